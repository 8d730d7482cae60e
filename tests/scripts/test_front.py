"""An app sees its clients as if there were no proxy, and has the proxy's limits without one."""

import http.client
import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.conftest import Environment, Script
from tests.scripts.serving import serving

SERVICE = """
import asyncio
import json
import sys
import time


def seen(scheme, client, host, path, root, request_id):
    return json.dumps({
        "scheme": scheme, "client": client, "host": host, "path": path, "root": root,
        "id": request_id,
    }).encode()


async def body_of(receive):
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            return size


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    path = scope["path"].removeprefix(scope["root_path"])
    length = await body_of(receive)
    print("asked for", path, flush=True)
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    answer = b"done"
    if path == "/seen":
        answer = seen(
            scope["scheme"], scope["client"][0], headers["host"], scope["path"],
            scope["root_path"], headers.get("x-request-id"),
        )
    if path == "/body":
        answer = str(length).encode()
    if path == "/slow":
        await asyncio.sleep(3)
        print("slow done", flush=True)
    if path == "/block":
        time.sleep(3)
    if path == "/broken":
        raise RuntimeError("broken on purpose")
    size = str(len(answer)).encode()
    await send({
        "type": "http.response.start", "status": 200, "headers": [(b"content-length", size)],
    })
    if path == "/stalls":
        await asyncio.sleep(3)
    await send({"type": "http.response.body", "body": answer})
    if path == "/fails-late":
        raise RuntimeError("late on purpose")


def wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    length = len(environ["wsgi.input"].read())
    print("asked for", path, flush=True)
    answer = b"done"
    if path == "/seen":
        answer = seen(
            environ["wsgi.url_scheme"], environ["REMOTE_ADDR"], environ["HTTP_HOST"],
            environ["SCRIPT_NAME"] + path, environ["SCRIPT_NAME"],
            environ.get("HTTP_X_REQUEST_ID"),
        )
    if path == "/body":
        answer = str(length).encode()
    if path in ("/slow", "/block"):
        time.sleep(3)
        print("slow done", flush=True)
    if path == "/broken":
        raise RuntimeError("broken on purpose")
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
"""

DEV, PROD = {"RELOAD": "1", "RELOAD_POLL": "1"}, {"RELOAD": ""}
Told = dict[str, Any]


@pytest.fixture(params=["asgi", "wsgi"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Mapping[str, str]:
    """Write an app of either interface; return the variables that serve it."""
    return served(tmp_path, request.param)


def served(folder: Path, interface: str) -> Mapping[str, str]:
    """Write an app; return the variables that serve it."""
    (folder / "service.py").write_text(SERVICE)
    return {
        "APP_INTERFACE": interface, "APP_TARGET": f"service:{interface}", "WEB_CONCURRENCY": "1",
    }  # fmt: skip


@pytest.fixture(params=[DEV, PROD], ids=["dev", "prod"])
def kind(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the variables of either server."""
    return dict(request.param)


def ask(
    port: int,
    path: str = "/seen",
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterable[bytes] | None = None,
    method: str = "GET",
) -> tuple[int, str, Mapping[str, str]]:
    """Return status, body and headers of an answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=15)) as client:
        client.request(method, path, body, dict(headers or {}), encode_chunked=bool(body))
        with client.getresponse() as answer:
            return answer.status, answer.read().decode(), dict(answer.headers.items())


def seen(port: int, **headers: str) -> Told:
    """Return what the app sees of a request with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, body, _ = ask(port, headers=named)
    assert status == 200, body
    return dict(json.loads(body))


def test_an_app_sees_the_client_that_the_proxy_names(
    env: Environment, tmp_path: Path, service: Mapping[str, str], kind: dict[str, str]
) -> None:
    with serving(env, tmp_path, **service, **kind, FORWARDED_ALLOW_IPS="*") as (_, port):
        told = seen(
            port, X_Forwarded_For="203.0.113.7", X_Forwarded_Proto="https",
            X_Forwarded_Host="shop.example", X_Forwarded_Prefix="/api", X_Request_ID="abc-1",
        )  # fmt: skip
    assert told == {
        "scheme": "https", "client": "203.0.113.7", "host": "shop.example", "path": "/api/seen",
        "root": "/api", "id": "abc-1",
    }  # fmt: skip


def test_of_several_proxies_the_first_that_is_not_trusted_is_the_client(
    env: Environment, tmp_path: Path, service: Mapping[str, str], kind: dict[str, str]
) -> None:
    trusted = "127.0.0.1, 198.51.100.0/24 2001:db8::1"
    with serving(env, tmp_path, **service, **kind, FORWARDED_ALLOW_IPS=trusted) as (_, port):
        chain = "203.0.113.66, 203.0.113.7, 198.51.100.4, 2001:db8::1"
        told = seen(port, X_Forwarded_For=chain, X_Forwarded_Proto="http, https")
        assert (told["client"], told["scheme"]) == ("203.0.113.7", "https")


def test_what_is_no_address_host_scheme_or_path_changes_nothing(
    env: Environment, tmp_path: Path, service: Mapping[str, str], kind: dict[str, str]
) -> None:
    with serving(env, tmp_path, **service, **kind, FORWARDED_ALLOW_IPS="*") as (_, port):
        told = seen(
            port, X_Forwarded_For="somebody", X_Forwarded_Proto="gopher",
            X_Forwarded_Host="a/b", X_Forwarded_Prefix="//elsewhere.example",
        )  # fmt: skip
        assert (told["client"], told["scheme"], told["root"]) == ("127.0.0.1", "http", "")
        assert told["host"] == f"127.0.0.1:{port}"


def test_nobody_else_is_believed(
    env: Environment, tmp_path: Path, service: Mapping[str, str], kind: dict[str, str]
) -> None:
    address = own_address()
    with (
        serving(env, tmp_path, **service, **kind, APP_HOST="0.0.0.0") as (_, port),
        closing(http.client.HTTPConnection(address, port, timeout=15)) as client,
    ):
        told = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
        client.request("GET", "/seen", headers=told | {"X-Forwarded-Prefix": "/api"})
        with client.getresponse() as answer:
            got = json.loads(answer.read())
    assert (got["client"], got["scheme"], got["root"]) == (address, "http", "")


def own_address() -> str:
    """Return an address of this machine that isn't its loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        return str(probe.getsockname()[0])


@pytest.fixture
def kept(
    env: Environment, tmp_path: Path, service: Mapping[str, str], kind: dict[str, str]
) -> Iterator[http.client.HTTPConnection]:
    """Yield a connection that a proxy would keep."""
    with (
        serving(env, tmp_path, **service, **kind) as (_, port),
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=15)) as client,
    ):
        yield client


@pytest.mark.parametrize("path", ["/fails-late", "/broken"])
def test_a_connection_is_not_closed_unannounced_after_an_exception(
    kept: http.client.HTTPConnection, path: str
) -> None:
    kept.request("GET", path)
    with kept.getresponse() as answer:
        answer.read()
        announced = answer.getheader("connection", "").lower() == "close"
    if announced:
        return
    kept.auto_open = 0
    assert kept.sock is not None
    kept.request("GET", "/seen")
    with kept.getresponse() as answer:
        assert answer.status == 200


def test_an_idle_connection_is_kept_longer_than_the_proxy_does(
    env: Environment, tmp_path: Path, service: Mapping[str, str], kind: dict[str, str]
) -> None:
    with serving(env, tmp_path, **service, **kind) as (server, _):
        # The reloader's child has the arguments of the reloader.
        command = Path(f"/proc/{server.process.pid}/cmdline").read_text().split("\0")
    option = "--timeout-keep-alive" if kind["RELOAD"] else "--keep-alive"
    assert int(command[command.index(option) + 1]) > 60


@pytest.mark.parametrize(("switch", "logged"), [("1", True), ("0", False), ("", False)])
def test_requests_are_logged_where_that_is_asked_for(
    env: Environment,
    tmp_path: Path,
    service: Mapping[str, str],
    kind: dict[str, str],
    switch: str,
    logged: bool,
) -> None:
    with serving(env, tmp_path, **service, **kind, ACCESS_LOG=switch) as (server, port):
        ask(port, "/seen?needle")
        ask(port, "/end")
        server.says("asked for /end")
        server.signal()
        server.ends(12)
        assert ("needle" in server.log) is logged


@pytest.mark.parametrize("size", [9000, 15000])
def test_addresses_and_headers_as_long_as_the_proxy_allows_arrive(
    env: Environment, tmp_path: Path, service: Mapping[str, str], kind: dict[str, str], size: int
) -> None:
    with serving(env, tmp_path, **service, **kind, CLIENT_MAX_HEADER="16k") as (_, port):
        assert ask(port, f"/seen?q={'a' * size}")[0] == 200
        assert ask(port, headers={"Cookie": "c=" + "a" * size})[0] == 200
        assert ask(port, headers={f"X-{number}": "a" for number in range(90)})[0] == 200


def test_what_the_proxy_would_refuse_is_refused_in_development_with_its_words(
    env: Environment, tmp_path: Path, service: Mapping[str, str]
) -> None:
    limits = {"CLIENT_MAX_HEADER": "2k", "CLIENT_MAX_BODY": "3k"}
    with serving(env, tmp_path, **service, **DEV, **limits) as (server, port):
        long = "a" * 2100
        large = b"a" * 3100
        got = [
            ask(port, f"/address?q={long}"),
            ask(port, "/header", {"Cookie": long}),
            ask(port, "/length", {"Content-Length": "3100"}, large, "POST"),
            ask(port, "/chunked", None, iter([large, b"b"]), "POST"),
        ]
        assert [(status, body) for status, body, _ in got] == [
            (414, "The address is longer than CLIENT_MAX_HEADER (2k).\n"),
            (431, "A header is longer than CLIENT_MAX_HEADER (2k).\n"),
            (413, "The body is larger than CLIENT_MAX_BODY (3k).\n"),
            (413, "The body is larger than CLIENT_MAX_BODY (3k).\n"),
        ]
        assert ask(port, "/body", None, b"a" * 3000, "POST")[1] == "3000"
        assert "asked for /length" not in server.log
        assert "Traceback" not in server.log


def test_any_body_is_let_through_where_the_limit_is_0(
    env: Environment, tmp_path: Path, service: Mapping[str, str]
) -> None:
    with serving(env, tmp_path, **service, **DEV, CLIENT_MAX_BODY="0") as (_, port):
        large = [b"a" * (1 << 20)] * 12
        assert ask(port, "/body", None, iter(large), "POST")[1] == str(12 << 20)


def test_an_answer_that_is_late_is_a_504_in_development_and_the_request_runs_once(
    env: Environment, tmp_path: Path, service: Mapping[str, str]
) -> None:
    with serving(env, tmp_path, **service, **DEV, REQUEST_SECONDS="1") as (server, port):
        status, body, _ = ask(port, "/slow")
        assert (status, body) == (504, "The app has not answered within REQUEST_SECONDS (1).\n")
        server.says("slow done")
        assert server.log.count("asked for /slow") == 1


def test_an_answer_that_stops_halfway_is_broken_off_in_development(
    env: Environment, tmp_path: Path
) -> None:
    variables = {**served(tmp_path, "asgi"), **DEV}
    with (
        serving(env, tmp_path, **variables, REQUEST_SECONDS="1") as (_, port),
        pytest.raises(http.client.IncompleteRead),
    ):
        ask(port, "/stalls")


@pytest.mark.parametrize(("seconds", "status"), [("900", 200), ("1", 0)])
def test_a_handler_that_blocks_has_as_long_as_a_request_may_take(
    env: Environment, tmp_path: Path, seconds: str, status: int
) -> None:
    variables = {**served(tmp_path, "asgi"), **PROD}
    with serving(env, tmp_path, **variables, REQUEST_SECONDS=seconds) as (_, port):
        try:
            assert ask(port, "/block")[0] == status
        except (OSError, http.client.HTTPException):
            assert status == 0


def test_a_request_has_an_id_in_development_and_its_answer_names_it(
    env: Environment, tmp_path: Path, service: Mapping[str, str]
) -> None:
    with serving(env, tmp_path, **service, **DEV) as (_, port):
        for told in (None, "not one: has blanks", "x" * 129, "kept-1"):
            _, body, headers = ask(port, headers={"X-Request-ID": told} if told else None)
            named = {name.lower(): value for name, value in headers.items()}["x-request-id"]
            assert named == json.loads(body)["id"]
            assert (named == told) is (told == "kept-1")


@pytest.mark.parametrize(
    ("name", "value"),
    [("REQUEST_SECONDS", "soon"), ("CLIENT_MAX_HEADER", "16kb"), ("ACCESS_LOG", "maybe")],
)
def test_a_wrong_limit_gets_one_line_that_names_it(
    script: Script, tmp_path: Path, name: str, value: str
) -> None:
    done = script("serve", cwd=tmp_path, **{**served(tmp_path, "asgi"), **PROD, name: value})
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert f"{name}={value}" in done.err


def test_a_websocket_is_taken_by_an_app_that_has_no_library_for_it(
    env: Environment, tmp_path: Path, kind: dict[str, str]
) -> None:
    (tmp_path / "sockets.py").write_text(SOCKETS)
    variables = {"APP_INTERFACE": "asgi", "APP_TARGET": "sockets:app", "WEB_CONCURRENCY": "1"}
    with (
        serving(env, tmp_path, **variables, **kind, FORWARDED_ALLOW_IPS="*") as (_, port),
        socket.create_connection(("127.0.0.1", port), 10) as client,
    ):
        client.sendall(
            b"GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
            b"X-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /api\r\n\r\n"
        )
        got = b""
        while b"wss /api/echo" not in got:
            data = client.recv(4096)
            assert data, got
            got += data
    assert got.startswith(b"HTTP/1.1 101 ")


SOCKETS = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": f"{scope['scheme']} {scope['path']}"})
        await receive()
"""
