"""A debugger that attaches again and again to a program that is started again and again."""

import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scripts.conftest import Environment, Script
from tests.scripts.serving import FIXTURES, fetch, serving
from tests.scripts.test_reload import children
from tests.support.dap import Client
from tests.support.postgres import free_port
from tests.support.processes import Running, eventually


@contextmanager
def debugged(env: Environment, app: Path, **variables: str) -> Iterator[tuple[Running, int, int]]:
    """Yield the served application, its port and the debugger's."""
    port = free_port()
    settings = {"RELOAD": "1", "DEBUG_PORT": str(port)}
    with serving(env, app, **settings, **variables) as (server, web):
        yield server, web, port


def test_it_attaches_after_every_edit_and_sees_the_new_code(env: Environment, app: Path) -> None:
    file = app / "service.py"
    with debugged(env, app) as (_, _, port):
        client = Client(port)
        for number in range(3):
            client.attach({})
            answer = client.request("evaluate", expression="1 + 1", context="repl")
            assert answer["result"] == "2"
            file.write_text(f"{file.read_text()}\n# edit {number}\n")
            assert client.event("terminated")["body"] == {"restart": True}
            client.close()
            client = Client(port)
        client.close()


def test_it_is_told_at_once_though_the_old_adapter_lags_behind(env: Environment, app: Path) -> None:
    file = app / "service.py"
    with debugged(env, app) as (_, web, port), Client(port) as before:
        before.attach({})
        with halted(adapter(port)):
            # The line is not in the old code.
            file.write_text(
                file.read_text().replace('    print("slow', '    new = 1\n    print("slow')
            )
            assert before.event("terminated")["body"] == {"restart": True}
            with Client(port) as client:
                client.attach({str(file): [1 + file.read_text().split("print(")[0].count("\n")]})
                request = threading.Thread(target=fetch, args=(web, "/slow?seconds=0"))
                request.start()
                thread = client.stopped()
                assert client.variables(thread)["new"] == "1"
                client.request("continue", threadId=thread)
                request.join()


def test_it_is_told_at_once_though_it_has_not_attached_yet(env: Environment, app: Path) -> None:
    file = app / "service.py"
    with debugged(env, app) as (_, web, port), Client(port) as client:
        client.request("initialize", adapterID="debugpy")
        file.write_text(file.read_text().replace("v000", "v001"))
        eventually(lambda: "v001" in fetch(web)[1], "the new program")
        assert client.event("terminated")["body"] == {"restart": True}


def test_it_waits_on_when_a_program_has_come_and_gone(env: Environment, app: Path) -> None:
    file = app / "service.py"
    good = file.read_text()
    with debugged(env, app) as (server, web, port):
        file.write_text("1 / 0\n")
        eventually(lambda: fetch(web)[0] == 503, "the end of the program")
        with Client(port) as client:
            number = client.send("initialize", adapterID="debugpy")
            relay, *_ = children(server.process.pid)
            with halted(relay):
                file.write_text(good)
                eventually(lambda: fetch(web)[0] == 200, "a program")
                file.write_text("1 / 0\n")
                eventually(lambda: fetch(web)[0] == 503, "its end")
            file.write_text(good)
            client.response(number)


def test_a_program_that_ends_by_itself_is_waited_for(env: Environment, app: Path) -> None:
    file = app / "service.py"
    with debugged(env, app) as (server, _, port):
        client = Client(port)
        client.attach({})
        _, program = children(server.process.pid)
        os.kill(program, signal.SIGKILL)
        assert client.event("terminated")["body"] == {"restart": True}
        client.close()
        with Client(port) as again:
            number = again.send("initialize", adapterID="debugpy")
            file.write_text(f"{file.read_text()}\n")
            again.response(number)


def test_an_editor_that_asks_for_the_end_is_not_asked_to_attach_again(
    env: Environment, app: Path
) -> None:
    with debugged(env, app) as (_, _, port):
        client = Client(port)
        client.attach({})
        client.request("disconnect")
        assert not client.event("terminated").get("body")
        client.close()
        with Client(port) as again:
            again.attach({})


def test_the_libraries_are_imported_ahead_and_the_debugger_is_not(
    env: Environment, app: Path, tools: Path
) -> None:
    with debugged(env, app) as (server, _, port):
        with Client(port) as client:
            client.attach({})
        shared = Path(f"/proc/{server.process.pid}/maps")
        eventually(lambda: "/venv/" in shared.read_text(), "a library in the reloader", 40)
        assert str(tools / "debugpy") not in shared.read_text()


def test_a_reloader_that_begins_anew_lets_it_in_again(
    env: Environment, app: Path, tmp_path: Path
) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "eager.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    code = (app / "service.py").read_text()
    (app / "service.py").write_text(f"import eager  # noqa: F401\n{code}")
    library = str(tmp_path / "library")
    with debugged(env, app, PYTHONPATH=library) as (server, _, port):
        before = Client(port)
        before.attach({})
        server.says("eager starts threads when it is imported", 40)
        assert before.event("terminated")["body"] == {"restart": True}
        before.close()
        with Client(port) as client:
            client.attach({})


def test_the_end_of_the_reloader_is_the_end_of_all(env: Environment, app: Path) -> None:
    with debugged(env, app) as (server, _, port):
        client = Client(port)
        client.attach({})
        server.signal()
        assert not client.event("terminated").get("body")
        client.close()
        server.ends()
        eventually(lambda: not listens(port), "the port given back")


def test_a_program_is_served_though_its_debugger_is_missing(
    env: Environment, app: Path, tools: Path, tmp_path: Path
) -> None:
    lacking = tmp_path / "tools"
    shutil.copytree(tools, lacking, ignore=shutil.ignore_patterns("debugpy*"))
    with debugged(env, app, DEBUG_PATH=str(lacking)) as (server, web, _):
        assert fetch(web)[0] == 200
        assert f"there is no debugger in {lacking}" in server.log


@pytest.mark.parametrize("port", ["taken", "http", "70000"])
def test_a_port_that_cannot_be_had_is_one_message(script: Script, port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        number = str(squatter.getsockname()[1]) if port == "taken" else port
        done = script(
            "entrypoint", "serve", cwd=FIXTURES / "command", RELOAD="1", DEBUG_PORT=number,
            APP_INTERFACE="command", APP_TARGET="service",
        )  # fmt: skip
    assert done.status == 2
    assert "DEBUG_PORT" in done.err
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) == 1


def adapter(port: int) -> int:
    """Return the process of debugpy's own that stands between this port and the program."""
    (found,) = [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if f"DEBUG_PORT={port}\0".encode() in content(process / "environ")
        and b"/debugpy/adapter\0" in content(process / "cmdline")
    ]
    return found


def content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # the process has ended
        return b""


@contextmanager
def halted(pid: int) -> Iterator[None]:
    """Have a process do nothing while the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        stat = Path(f"/proc/{pid}/stat")
        eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "a halt")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True
