"""Looking into a running service, and at a stack: debugger, profiler, one image built anew."""

from __future__ import annotations

import json
import re
import socket
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import MakeCheckout, MakeNative
from tests.e2e.support import Checkout, docker, eventually, get, myself, one_message, web
from tests.support.dap import Client

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

MAIN = "apps/api/api/main.py"
LINE = "    await asyncio.sleep(seconds)\n"
HEARTBEAT = ("apps/scheduler/scheduler/__main__.py", "    beat(settings.heartbeat_file)\n")


@dataclass(frozen=True)
class Stack:
    """The running stack that the tests share, by container or natively."""

    checkout: Checkout
    urls: dict[str, str]
    engine: tuple[str, ...] = ()

    def debug(self, *words: str) -> dict[str, Any]:
        """Call `dev.debug`; return the editor's settings that it prints."""
        done = self.checkout.succeed("dev.debug", *words, *self.engine)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    @contextmanager
    def attached(self, settings: dict[str, Any], path: str, line: str) -> Iterator[Client]:
        """Attach as an editor with these settings does, with a breakpoint at a line of a file."""
        file = self.checkout.root / path
        number = file.read_text(encoding="utf-8").split(line)[0].count("\n") + 1
        # As an editor does it, which has the checkout open.
        opened = json.dumps(settings).replace("${workspaceFolder}", str(self.checkout.root))
        given = {key: value for key, value in json.loads(opened).items() if key != "connect"}
        with Client(settings["connect"]["port"]) as client:
            client.attach({str(file): [number]}, **given)
            yield client


@pytest.fixture(scope="module")
def stack(make_checkout: MakeCheckout) -> Stack:
    checkout = make_checkout("a check out")
    checkout.succeed("dev.up", "--ports", "auto", timeout=300)
    return Stack(checkout, checkout.urls("dev"))


@pytest.fixture(scope="module")
def native(make_native: MakeNative) -> Stack:
    checkout = make_native("native", user=myself())
    checkout.succeed("dev.up", "--ports", "auto", timeout=300)
    return Stack(checkout, checkout.urls("dev"), ("--engine", "native"))


@pytest.fixture(scope="module")
def settings(stack: Stack) -> dict[str, Any]:
    """Run the api with a debugger, for the first tests of this file; return how to attach."""
    return stack.debug("api")


@pytest.fixture
def checkout(stack: Stack) -> Checkout:
    return stack.checkout


@contextmanager
def asking(url: str) -> Iterator[list[httpx.Response]]:
    """Send a request beside the block; its answer is in the list after it."""
    answers: list[httpx.Response] = []

    def ask() -> None:
        with suppress(httpx.TransportError):
            answers.append(httpx.get(url, trust_env=False, timeout=60))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        thread.join()


def await_status(stack: Stack, status: int) -> None:
    """Wait until the api's health check is answered with this status."""
    url = f"{stack.urls['api']}/health"
    eventually(lambda: (answer := get(url)) and answer.status_code == status, what=f"{status}")


def passes_by(stack: Stack, client: Client, seconds: float) -> dict[str, str]:
    """Have a request stop at the breakpoint and go on; return the variables that it had there."""
    with asking(f"{stack.urls['api']}/slow?seconds={seconds}") as answers:
        thread = client.stopped()
        variables = client.variables(thread)
        client.request("continue", threadId=thread)
    assert [answer.json() for answer in answers] == [{"slept": seconds}]
    return variables


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


def published(checkout: Checkout, service: str) -> set[str]:
    """Return the addresses that lead to the debugger of a service's container."""
    return {
        f"{binding['HostIp']}:{binding['HostPort']}"
        for found in checkout.containers("dev", service)
        for binding in found["HostConfig"]["PortBindings"].get("5678/tcp") or ()
    }


def debugs_again_after_a_change(stack: Stack, settings: dict[str, Any]) -> None:
    """Attach, stop, edit, attach again, stop in the new code; once more as the edit is undone."""
    with ExitStack() as editors:
        client = editors.enter_context(stack.attached(settings, MAIN, LINE))
        assert passes_by(stack, client, 0.125)["seconds"] == "0.125"
        with stack.checkout.edited(MAIN, LINE, f"    twice = seconds * 2\n{LINE}"):
            # What makes an editor attach again by itself.
            assert client.event("terminated")["body"] == {"restart": True}
            client = editors.enter_context(stack.attached(settings, MAIN, LINE))
            assert passes_by(stack, client, 0.25)["twice"] == "0.5"
        assert client.event("terminated")["body"] == {"restart": True}
        client = editors.enter_context(stack.attached(settings, MAIN, LINE))
        assert "twice" not in passes_by(stack, client, 0.0625)


class TestDebugger:
    def test_it_stops_a_request_and_attaches_again_after_a_change(
        self, stack: Stack, settings: dict[str, Any]
    ) -> None:
        debugs_again_after_a_change(stack, settings)

    def test_its_port_is_for_this_machine_alone(
        self, stack: Stack, settings: dict[str, Any]
    ) -> None:
        assert settings["connect"]["host"] == "127.0.0.1"
        port = settings["connect"]["port"]
        assert published(stack.checkout, "api") == {f"127.0.0.1:{port}"}

    def test_a_change_is_served_though_the_program_stands_at_a_breakpoint(
        self, stack: Stack, settings: dict[str, Any]
    ) -> None:
        new = LINE.replace("seconds)", "0)")
        with (
            stack.attached(settings, MAIN, LINE) as client,
            asking(f"{stack.urls['api']}/slow?seconds=60"),
        ):
            client.stopped()
            with stack.checkout.edited(MAIN, LINE, new):
                client.event("terminated")
                with web(stack.urls["api"]) as api:
                    assert api.get("/slow?seconds=60").json() == {"slept": 60}

    def test_it_waits_for_a_program_that_cannot_start_until_that_is_mended(
        self, stack: Stack, settings: dict[str, Any]
    ) -> None:
        with stack.checkout.edited(MAIN, LINE, "    this is no Python\n"):
            await_status(stack, 503)
            connection = Client(settings["connect"]["port"])
        with connection as client:
            client.attach({})
        await_status(stack, 200)


class TestDebug:
    def test_the_scheduler_takes_the_debugger_over_and_gives_it_back(self, stack: Stack) -> None:
        stack.debug("api")
        settings = stack.debug("scheduler")
        assert published(stack.checkout, "api") == set()
        with stack.attached(settings, *HEARTBEAT) as client:
            thread = client.stopped()
            assert "settings" in client.variables(thread)
            client.request("continue", threadId=thread)
        stack.checkout.succeed("dev.debug", "scheduler", "--off")
        assert published(stack.checkout, "scheduler") == set()
        assert not listens(settings["connect"]["port"])

    def test_the_program_waits_for_a_debugger_where_that_is_asked_for(self, stack: Stack) -> None:
        settings = stack.debug("app", "--wait")
        container = stack.checkout.containers("dev", "app")[0]["Id"]
        eventually(lambda: "waiting for a debugger" in docker("logs", container).text)
        with Client(settings["connect"]["port"]) as client:
            client.attach({})
            url = f"{stack.urls['app']}/health"
            eventually(lambda: (answer := get(url)) and answer.status_code == 200)

    def test_the_next_up_goes_back(self, stack: Stack) -> None:
        stack.checkout.succeed("dev.up")
        assert published(stack.checkout, "app") == set()

    def test_what_is_no_python_program_is_refused(self, checkout: Checkout) -> None:
        message = one_message(checkout.invoke("dev.debug", "redis"))
        assert "redis" in message and "api, app, scheduler" in message

    def test_a_dry_run_prints_a_command_that_works(self, stack: Stack) -> None:
        done = stack.checkout.succeed("dev.debug", "api", "--dry-run")
        assert published(stack.checkout, "api") == set()
        pasted = stack.checkout.run("bash", "-ec", done.stdout)
        assert pasted.status == 0, pasted.text
        assert published(stack.checkout, "api")
        stack.checkout.succeed("dev.up")


@contextmanager
def busy(url: str) -> Iterator[None]:
    """Ask for the habits all the time while the block lasts: few samples find the api idle."""
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            get(f"{url}/habits")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def profiled(stack: Stack) -> tuple[Path, str]:
    """Record the api under load; return the picture, and the functions that it names."""
    with busy(stack.urls["api"]):
        done = stack.checkout.succeed("dev.profile", "api", "--seconds", "4", *stack.engine)
    path = stack.checkout.root / done.stdout.strip()
    names = [
        title.text or ""
        for title in ET.parse(path).iter("{http://www.w3.org/2000/svg}title")  # noqa: S314
    ]
    return path, "\n".join(names)


class TestProfile:
    def test_it_names_the_functions_of_the_app_that_serves(self, stack: Stack) -> None:
        path, names = profiled(stack)
        assert path.parent == stack.checkout.root / ".gangway" / "profiles"
        assert re.search(r"list_habits \(api/habits\.py:\d+\)", names), names

    def test_the_service_keeps_its_restrictions_and_its_container(self, stack: Stack) -> None:
        before = stack.checkout.ids("dev")
        profiled(stack)
        assert stack.checkout.ids("dev") == before
        (container,) = stack.checkout.containers("dev", "api")
        assert container["HostConfig"]["CapDrop"] == ["ALL"]
        assert not container["HostConfig"]["CapAdd"]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("migrate",), "migrate isn't running"),
            (("redis",), "no Python process"),
            (("apii",), "did you mean api?"),
            (("api", "--seconds", "0"), "between 1 and"),
        ],
        ids=str,
    )
    def test_what_cannot_be_looked_at_is_one_message(
        self, checkout: Checkout, words: Sequence[str], said: str
    ) -> None:
        assert said in one_message(checkout.invoke("dev.profile", *words))


class TestRebuild:
    def test_one_service_is_built_without_cache_and_it_alone_is_replaced(
        self, stack: Stack
    ) -> None:
        before = stack.checkout.ids("dev")
        image = stack.checkout.containers("dev", "scheduler")[0]["Image"]
        done = stack.checkout.succeed("dev.rebuild", "scheduler", timeout=280)
        assert "build --no-cache scheduler" in done.stderr
        after = stack.checkout.ids("dev")
        gone = {name.split()[0] for name in before.keys() - after.keys()}
        assert gone == {"scheduler"}
        assert stack.checkout.containers("dev", "scheduler")[0]["Image"] != image

    @pytest.mark.parametrize(
        ("service", "said"), [("apii", "did you mean api?"), ("redis", "isn't built here")]
    )
    def test_what_is_not_built_here_is_one_message(
        self, checkout: Checkout, service: str, said: str
    ) -> None:
        before = checkout.ids("dev")
        assert said in one_message(checkout.invoke("dev.rebuild", service))
        assert checkout.ids("dev") == before


class TestGraph:
    def test_it_draws_what_runs(self, stack: Stack) -> None:
        done = stack.checkout.succeed("dev.graph")
        for found in stack.checkout.containers("dev"):
            name = found["Config"]["Labels"]["com.docker.compose.service"]
            assert f"<b>{name}</b>" in done.stdout
        for url in stack.urls.values():
            assert f"localhost:{url.rpartition(':')[2]} " in done.stdout


class TestProduction:
    def test_its_image_has_neither_debugger_nor_profiler(self, checkout: Checkout) -> None:
        checkout.succeed("test.build", "api", timeout=280)
        name = f"{checkout.project('test')}-api:local"
        look = "test -d /srv/app && ! test -e /opt/debugger && ! python -c 'import debugpy'"
        done = docker("run", "--rm", "--entrypoint", "sh", name, "-c", look)
        assert done.status == 0, done.text


class TestNatively:
    def test_a_debugger_stops_a_request_and_attaches_again_after_a_change(
        self, native: Stack
    ) -> None:
        debugs_again_after_a_change(native, native.debug("api"))

    def test_a_flame_graph_names_the_functions_of_the_app_that_serves(self, native: Stack) -> None:
        native.checkout.succeed("dev.debug", "api", "--off", *native.engine)
        _, names = profiled(native)
        assert re.search(r"list_habits \(.*habits\.py:\d+\)", names), names
