"""Servers start from a few variables, and end without losing a request."""

import http.client
import os
import shutil
import socket
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.scripts.conftest import SCRIPTS, Environment, Script
from tests.scripts.serving import FIXTURES, GRACE, fetch, serving, started
from tests.support.postgres import free_port
from tests.support.processes import eventually, running


@pytest.fixture(params=["", "1"], ids=["gunicorn", "reload"])
def reload(request: pytest.FixtureRequest) -> str:
    """Return RELOAD."""
    return str(request.param)


def test_sigterm_lets_a_request_in_flight_finish_and_ends_within_the_grace_period(
    env: Environment, app: Path, reload: str
) -> None:
    answers: list[tuple[int, str]] = []
    with serving(env, app, RELOAD=reload) as (server, port):
        request = threading.Thread(target=lambda: answers.append(fetch(port, "/slow?seconds=2.5")))
        request.start()
        server.says("slow begun")
        started = time.monotonic()
        server.signal()
        assert server.ends(GRACE + 3) == 0, server.log
        assert time.monotonic() - started < GRACE
        request.join()
    assert answers == [(200, "slow done")]
    assert fetch(port) == (0, "")


def test_sigterm_ends_a_worker_that_has_only_just_been_forked(env: Environment, app: Path) -> None:
    with (app / "service.py").open("a") as service:
        service.write(
            "import os, time\n"
            "def late() -> None:\n"
            "    os.write(2, b'forked\\n')\n"
            "    time.sleep(1)\n"
            "os.register_at_fork(after_in_child=late)\n"
        )
    with started(env, app, WEB_CONCURRENCY="1", GRACEFUL_SECONDS="30") as (server, _):
        server.says("forked")
        server.signal()
        assert server.ends(10) == 0, server.log


def test_a_request_that_never_ends_does_not_outlast_the_grace_period(
    env: Environment, app: Path, reload: str
) -> None:
    with serving(env, app, RELOAD=reload, GRACEFUL_SECONDS="1") as (server, port):
        request = threading.Thread(target=fetch, args=(port, "/slow?seconds=60"))
        request.start()
        server.says("slow begun")
        server.signal()
        server.ends(5)
        request.join()


def test_idle_connections_do_not_hold_up_the_end(env: Environment, app: Path, reload: str) -> None:
    with (
        serving(env, app, RELOAD=reload, GRACEFUL_SECONDS="30") as (server, port),
        closing(http.client.HTTPConnection("127.0.0.1", port)) as kept,
    ):
        kept.request("GET", "/")
        with kept.getresponse() as answer:
            assert answer.read()
        server.signal()
        # Gunicorn's threads let go of them after 2 to 5 s; the grace period is for requests.
        server.ends(12)


def test_arguments_go_to_the_server(env: Environment, app: Path) -> None:
    with serving(env, app, "--name", "two words", "--access-logformat", "seen %(U)s") as (
        server,
        port,
    ):
        command = Path(f"/proc/{server.process.pid}/cmdline").read_text().split("\0")
        assert command[-5:-1] == ["--name", "two words", "--access-logformat", "seen %(U)s"]
        assert fetch(port)[0] == 200


def test_a_body_without_a_length_is_read(env: Environment, app: Path, reload: str) -> None:
    with (
        serving(env, app, RELOAD=reload) as (_, port),
        closing(http.client.HTTPConnection("127.0.0.1", port)) as client,
    ):
        client.request("POST", "/echo", iter([b"first, ", b"second"]), encode_chunked=True)
        with client.getresponse() as answer:
            assert answer.read() == b"first, second"


def test_a_function_that_makes_the_application_is_called(
    env: Environment, app: Path, reload: str
) -> None:
    with (app / "service.py").open("a") as service:
        service.write("def create() -> object:\n    return app\n")
    with serving(env, app, RELOAD=reload, APP_TARGET="service:create()") as (_, port):
        assert fetch(port)[1] == "v000"


def test_the_server_takes_the_scripts_place(env: Environment, app: Path) -> None:
    with serving(env, app) as (server, _):
        command = Path(f"/proc/{server.process.pid}/cmdline").read_text()
        assert "gunicorn" in command
        assert "entrypoint" not in command


PLAIN = """
def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"plain"]


async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"plain"})
"""


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_an_app_without_a_server_is_served_by_ours(
    env: Environment, tmp_path: Path, bare: Path, servers: Path, interface: str
) -> None:
    (tmp_path / "plain.py").write_text(PLAIN)
    own = {"PATH": f"{SCRIPTS}:{bare}:/usr/bin:/bin", "SERVERS_PATH": str(servers)}
    target = {"APP_INTERFACE": interface, "APP_TARGET": f"plain:{interface}"}
    with serving(env, tmp_path, **own, **target) as (_, port):
        assert fetch(port)[1] == "plain"


def test_a_server_that_the_app_has_is_the_one_that_serves(
    env: Environment, app: Path, tmp_path: Path
) -> None:
    for name in ("gunicorn", "uvicorn_worker"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not the app's own')\n")
    with serving(env, app, SERVERS_PATH=str(tmp_path)) as (_, port):
        assert fetch(port)[0] == 200


def test_where_there_is_no_server_at_all_that_is_one_line(
    script: Script, app: Path, bare: Path, tmp_path: Path
) -> None:
    done = script(
        "serve", cwd=app, APP_INTERFACE=app.name, APP_TARGET="service:app",
        PATH=f"{SCRIPTS}:{bare}:/usr/bin:/bin", SERVERS_PATH=str(tmp_path),
    )  # fmt: skip
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert f"serve: the app has no gunicorn, nor is it in {tmp_path}; " in done.err


@pytest.mark.parametrize("workers", ["1", "3"])
def test_the_number_of_workers_is_the_one_that_is_asked_for(
    env: Environment, app: Path, workers: str
) -> None:
    with serving(env, app, WEB_CONCURRENCY=workers) as (server, _):
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        eventually(lambda: len(children.read_text().split()) == int(workers), "its workers")


@pytest.mark.parametrize(("quota", "workers"), [("100000", 2), ("max", None)])
def test_without_a_number_the_cpus_decide_between_2_and_8(
    env: Environment, app: Path, tmp_path: Path, quota: str, workers: int | None
) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota} 100000\n")
    expected = workers or min(8, max(2, len(os.sched_getaffinity(0))))
    with serving(env, app, WEB_CONCURRENCY="", CGROUP_ROOT=str(tmp_path)) as (server, _):
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        eventually(lambda: len(children.read_text().split()) == expected, "its workers")


def test_nothing_is_written_outside_of_memory(env: Environment, app: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with serving(env, app, HOME=str(home)) as (_, port):
        assert fetch(port)[0] == 200
    assert list(home.iterdir()) == []


def test_the_apps_own_gunicorn_settings_are_read(env: Environment, app: Path) -> None:
    (app / "gunicorn.conf.py").write_text('print("own settings read", flush=True)\n')
    with serving(env, app) as (server, _):
        server.says("own settings read")


@pytest.mark.parametrize("switch", ["", "1"], ids=["python", "reload"])
def test_a_command_runs_as_a_module_with_its_arguments(
    env: Environment, tmp_path: Path, switch: str
) -> None:
    shutil.copytree(FIXTURES / "command", tmp_path / "command")
    settings = {"APP_INTERFACE": "command", "APP_TARGET": "ticker", "RELOAD": switch}
    command = ["entrypoint", "serve", "a b", "--flag"]
    with running(command, env=env | settings, cwd=tmp_path / "command") as worker:
        worker.says("ticking v000 ['a b', '--flag']")
        worker.signal()
        assert worker.ends() == 0
        assert "stopped v000" in worker.log


def test_a_port_that_is_taken_is_told_under_the_reloader(script: Script, app: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = script(
            "serve", cwd=app, APP_INTERFACE=app.name, APP_TARGET="service:app", RELOAD="1",
            APP_HOST="127.0.0.1", APP_PORT=port,
        )  # fmt: skip
    assert done.status == 2
    assert port in done.err
    assert "APP_PORT" in done.err


def test_an_app_that_its_module_does_not_have_is_named(script: Script, app: Path) -> None:
    done = script(
        "serve", cwd=app, APP_INTERFACE=app.name, APP_TARGET="service:nothing", RELOAD="1",
        APP_HOST="127.0.0.1", APP_PORT=str(free_port()), RELOAD_POLL="1",
    )  # fmt: skip
    assert done.status == 1
    assert 'dev_server: there is no "nothing" in service; look at APP_TARGET' in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("app", ["wsgi"], indirect=True)
def test_a_missing_development_server_is_one_line(
    script: Script, app: Path, tmp_path: Path
) -> None:
    done = script(
        "serve", cwd=app, APP_INTERFACE="wsgi", APP_TARGET="service:app", RELOAD="1",
        APP_HOST="127.0.0.1", APP_PORT="0", DEBUG_PATH=str(tmp_path), RELOAD_POLL="1",
    )  # fmt: skip
    assert done.status == 1
    assert f"dev_server: No module named 'a2wsgi', nor in {tmp_path}" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, ["APP_INTERFACE", "APP_TARGET"]),
        (
            {"APP_INTERFACE": "fcgi", "APP_TARGET": "x"},
            ["fcgi", "asgi", "wsgi", "command", "program", "cron"],
        ),
        ({"APP_INTERFACE": "asgi", "APP_TARGET": "x", "APP_PORT": "http"}, ["APP_PORT=http"]),
        ({"APP_INTERFACE": "asgi", "APP_TARGET": "x", "RELOAD": "maybe"}, ["RELOAD=maybe"]),
    ],
)
def test_a_wrong_setting_gets_one_line_that_names_it(
    script: Script, variables: dict[str, str], words: list[str]
) -> None:
    done = script("serve", **variables)
    assert done.status == 2
    assert done.err.count("\n") == 1
    for word in words:
        assert word in done.err
