"""Probes that cost milliseconds and are right."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scripts.conftest import SCRIPTS, Script
from tests.support.postgres import free_port


@contextmanager
def answering(
    reply: bytes, *, hold: bool = False, early: bool = False, host: str = "127.0.0.1"
) -> Iterator[tuple[int, list[bytes]]]:
    """Serve ``reply``; ``hold`` the connection after it, or send it ``early``: before the end."""
    requests: list[bytes] = []
    over = threading.Event()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                request = connection.recv(1)
                while not early and request and not request.endswith(b"\r\n\r\n"):
                    request += connection.recv(4096)
                requests.append(request)
                connection.sendall(reply)
                if hold:
                    over.wait(20)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], requests
        finally:
            over.set()
            with socket.socket(family) as last:
                last.connect_ex(listener.getsockname())
                thread.join(20)


def test_what_listens_on_the_ipv6_address_alone_is_healthy(script: Script) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with answering(reply, host="::1") as (port, _):
        done = script("healthcheck", "http", str(port), "/health")
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_status_200_is_healthy(script: Script, end: str) -> None:
    reply = f"HTTP/1.1 200 OK{end}Content-Length: 0{end}{end}".encode()
    with answering(reply) as (port, requests):
        done = script("healthcheck", "http", str(port), "/health?deep=1")
    assert (done.status, done.out, done.err) == (0, "", "")
    assert requests[0].startswith(b"GET /health?deep=1 HTTP/1.1\r\nHost: ")


def test_an_answer_is_enough_though_the_connection_stays_open(script: Script) -> None:
    with answering(b"HTTP/1.1 200\r\n\r\n", hold=True) as (port, _):
        started = time.monotonic()
        assert script("healthcheck", "http", str(port), "/").status == 0
        assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("attempt", range(5))
def test_a_server_may_answer_before_it_has_read_everything(script: Script, attempt: int) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n", early=True) as (port, _):
        done = script("healthcheck", "http", str(port), "/")
    assert (done.status, done.err) == (0, ""), attempt


@pytest.mark.parametrize("status", ["500", "404", "302", "204", "2000"])
def test_any_other_status_is_unhealthy_and_is_told(script: Script, status: str) -> None:
    with answering(f"HTTP/1.1 {status} X\r\n\r\n".encode()) as (port, _):
        done = script("healthcheck", "http", str(port), "/ready")
    assert done.status == 1
    assert status in done.err
    assert "/ready" in done.err


def test_an_empty_answer_is_unhealthy(script: Script) -> None:
    with answering(b"") as (port, _):
        assert script("healthcheck", "http", str(port), "/").status == 1


def test_a_closed_port_is_unhealthy_and_is_told(script: Script) -> None:
    port = str(free_port())
    done = script("healthcheck", "http", port, "/")
    assert done.status == 1
    assert port in done.err


def test_a_server_that_hangs_is_unhealthy_within_the_deadline(script: Script) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        done = script("healthcheck", "http", str(silent.getsockname()[1]), "/")
        assert done.status not in {0, 2}
        assert 1.5 < time.monotonic() - started < 6


def test_a_server_that_hangs_in_its_answer_is_unhealthy(script: Script) -> None:
    with answering(b"HTTP/1.1 20", hold=True) as (port, _):
        done = script("healthcheck", "http", str(port), "/", HEALTHCHECK_SECONDS="0.3")
    assert done.status not in {0, 2}


@pytest.mark.parametrize("stamp", ["{now}", "{now}\n", "{now}.75"])
def test_a_fresh_heartbeat_is_healthy(script: Script, tmp_path: Path, stamp: str) -> None:
    (tmp_path / "beat").write_text(stamp.format(now=int(time.time())))
    assert script("healthcheck", "heartbeat", "beat", "10").status == 0


def test_a_stale_heartbeat_is_unhealthy_and_its_age_is_told(script: Script, tmp_path: Path) -> None:
    (tmp_path / "beat").write_text(f"{int(time.time()) - 60}\n")
    done = script("healthcheck", "heartbeat", "beat", "10")
    assert done.status == 1
    assert "60 s" in done.err or "61 s" in done.err


@pytest.mark.parametrize("content", ["", "\n", "soon", "-5", "12x"])
def test_a_heartbeat_that_is_no_time_is_unhealthy(
    script: Script, tmp_path: Path, content: str
) -> None:
    (tmp_path / "beat").write_text(content)
    assert script("healthcheck", "heartbeat", "beat", "10").status == 1


def test_a_missing_heartbeat_is_unhealthy_and_its_file_is_named(script: Script) -> None:
    done = script("healthcheck", "heartbeat", "/tmp/no/such/beat", "10")
    assert done.status == 1
    assert "/tmp/no/such/beat" in done.err


def test_a_path_alone_is_asked_for(script: Script) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (port, requests):
        done = script("healthcheck", "/api/health?x=%20", APP_PORT=str(port))
    assert (done.status, done.err) == (0, "")
    assert requests == [
        b"GET /api/health?x=%20 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    ]


def test_the_app_is_asked_for_the_host_and_by_the_scheme_that_it_wants(script: Script) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (port, requests):
        done = script(
            "healthcheck", "http", str(port), "/health",
            HEALTHCHECK_HOST="shop.example.com", HEALTHCHECK_SCHEME="https",
        )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    assert requests == [
        b"GET /health HTTP/1.1\r\nHost: shop.example.com\r\nX-Forwarded-Proto: https\r\n"
        b"Connection: close\r\n\r\n"
    ]


@pytest.mark.parametrize("given", [True, False], ids=["a port", "APP_PORT"])
def test_a_port_that_accepts_is_healthy_whatever_it_says(script: Script, *, given: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        done = script("healthcheck", "tcp", *([port] if given else []), APP_PORT=port)
        assert (done.status, done.out, done.err) == (0, "", "")


def test_a_port_that_accepts_nothing_is_unhealthy_and_is_told(script: Script) -> None:
    port = str(free_port())
    done = script("healthcheck", "tcp", APP_PORT=port)
    assert done.status == 1
    assert f"healthcheck: nothing answers on port {port}\n" in done.err


@pytest.mark.parametrize(
    "variables",
    [{"APP_PORT": "{port}"}, {"PORT": "{port}"}, {"APP_PORT": "{port}", "PORT": "1"}],
    ids=["APP_PORT", "PORT", "both"],
)
def test_without_a_port_it_is_the_service_s_own(script: Script, variables: dict[str, str]) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (port, requests):
        given = {name: value.format(port=port) for name, value in variables.items()}
        done = script("healthcheck", "http", "/health", **given)
    assert (done.status, done.err) == (0, "")
    assert requests[0].startswith(b"GET /health HTTP/1.1\r\n")


def test_a_port_that_is_given_counts(script: Script) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (port, _):
        assert script("healthcheck", "http", str(port), "/", APP_PORT="1").status == 0


def test_where_there_is_no_port_at_all_that_is_said(script: Script) -> None:
    done = script("healthcheck", "http", "/health")
    assert (done.status, done.err) == (
        2, "healthcheck: no port: give one, or set APP_PORT\n"
    )  # fmt: skip


def test_without_a_file_the_heartbeat_is_among_the_service_s_temporary_files(
    script: Script, tmp_path: Path
) -> None:
    (tmp_path / "heartbeat").write_text(f"{time.time()}")
    assert script("healthcheck", "heartbeat", "10", TMPDIR=str(tmp_path)).status == 0
    (tmp_path / "heartbeat").unlink()
    done = script("healthcheck", "heartbeat", "10", TMPDIR=str(tmp_path))
    assert done.status == 1
    assert f"{tmp_path}/heartbeat is missing" in done.err


def test_the_file_alone_is_enough_even_where_it_cannot_be_executed(
    script: Script, tmp_path: Path
) -> None:
    """It is mounted into images that aren't built here."""
    alone = tmp_path / "mounted"
    alone.write_bytes((SCRIPTS / "healthcheck").read_bytes())
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (port, _):
        done = script("bash", alone, "http", str(port), "/", PATH="/usr/bin:/bin")
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["http"], ["http", "80", "/", "more"], ["/", "/"], ["tcp", "80", "/"], ["heartbeat"],
        ["heartbeat", "a", "1", "more"],
        ["ftp", "x", "y"], ["/a", "/b", "/c"],
    ],
)  # fmt: skip
def test_wrong_use_shows_the_right_one(script: Script, arguments: list[str]) -> None:
    done = script("healthcheck", *arguments)
    assert done.status == 2
    assert "usage" in done.err
