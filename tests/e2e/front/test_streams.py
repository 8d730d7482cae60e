"""What takes long or is large, in development and through production's proxy."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from tests.e2e.front import websocket
from tests.e2e.front.exchange import HOST, Answer, Request, ask, get
from tests.e2e.front.places import Bare, Route
from tests.e2e.front.stack import REQUEST_SECONDS, SERVICES, Stack
from tests.e2e.front.table import ASGI
from tests.e2e.support import docker, eventually

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

Value = TypeVar("Value")
MIB = 2**20
#: A silence, or a wait, that is allowed; and one that is not.
SILENCE = REQUEST_SECONDS - 2
TOO_LONG = REQUEST_SECONDS + 4
#: What a service may hold in its memory while a download of 200 MB waits for its reader.
HELD = 160 * MIB


@pytest.fixture(scope="module", params=["development", "production"])
def routes(request: pytest.FixtureRequest) -> list[Route]:
    """Every app, in one environment after the other."""
    found: list[Route] = request.getfixturevalue(request.param)
    return found


def at_once(
    action: Callable[[Route], Value], routes: Iterable[Route]
) -> Iterator[tuple[Route, Value]]:
    """Do the same at all of these at the same time."""
    listed = list(routes)
    with ThreadPoolExecutor(len(listed)) as pool:
        yield from zip(listed, pool.map(action, listed), strict=True)


def asgi(routes: Iterable[Route]) -> list[Route]:
    return [route for route in routes if route.app == ASGI]


class TestWebSockets:
    def test_one_is_opened_and_sees_what_it_would_see_without_a_proxy(
        self, routes: list[Route], bare: Bare
    ) -> None:
        for route in asgi(routes):
            reference = bare.like(route)
            with websocket.opened(route.address, f"{route.prefix}/socket") as socket:
                got = json.loads(socket.receive())
            with websocket.opened(reference.address, f"{reference.prefix}/socket") as socket:
                expected = json.loads(socket.receive())
            assert got.pop("client") in route.clients, route.name
            assert expected.pop("client") in reference.clients
            assert got == expected, route.name

    def test_it_may_be_silent(self, routes: list[Route]) -> None:
        def echo(route: Route) -> str:
            with websocket.opened(route.address, f"{route.prefix}/socket") as socket:
                socket.receive()
                time.sleep(SILENCE)
                socket.send("after a while")
                return socket.receive()

        for route, answer in at_once(echo, asgi(routes)):
            assert answer == "after a while", route.name

    def test_a_refusal_is_the_app_s(self, routes: list[Route]) -> None:
        for route in asgi(routes):
            assert websocket.refused(route.address, f"{route.prefix}/refused").status == 403


class TestStreams:
    def test_an_event_comes_at_once_and_the_next_one_after_a_silence(
        self, routes: list[Route]
    ) -> None:
        def listen(route: Route) -> tuple[float, bytes]:
            target = f"{route.prefix}/events?seconds={SILENCE}"
            begun = time.monotonic()
            with route.address.connect() as connection:
                connection.sendall(Request(target, version="HTTP/1.0").head())
                read = connection.recv(65536)
                while b"first" not in read:
                    read += connection.recv(65536)
                first = time.monotonic() - begun
                while piece := connection.recv(65536):
                    read += piece
            return first, read

        for route, (first, read) in at_once(listen, routes):
            assert first < SILENCE / 2, route.name
            assert b"last" in read, route.name

    def test_an_answer_may_take_its_time(self, routes: list[Route]) -> None:
        def wait(route: Route) -> Answer:
            return get(route.address, f"{route.prefix}/slow?seconds={SILENCE}&name=patient")

        for route, answer in at_once(wait, routes):
            assert answer.status == 200, (route.name, answer)


def executed(probes: Stack, name: str) -> int:
    """Return how often production's apps began a request of this name."""
    return sum(
        docker("logs", str(record["Id"])).stdout.count(name)
        for service in SERVICES.values()
        for record in probes.checkout.containers("prod", service)
    )


class TestTime:
    def test_a_request_that_takes_too_long_is_executed_once(
        self, production: list[Route], probes: Stack
    ) -> None:
        names = {route: f"late-{uuid.uuid4().hex}" for route in production}

        def wait(route: Route) -> Answer:
            target = f"{route.prefix}/slow?seconds={TOO_LONG}&name={names[route]}"
            return get(route.address, target)

        for route, answer in at_once(wait, production):
            assert answer.status == 504, (route.name, answer)
            assert REQUEST_SECONDS - 1 < answer.seconds < TOO_LONG, route.name
            assert executed(probes, names[route]) == 1, route.name

    def test_it_is_executed_once_with_three_containers_as_well(
        self, production: list[Route], probes: Stack
    ) -> None:
        route = asgi(production)[0]
        probes.checkout.succeed("prod.scale", "api=3")
        name = f"late-{uuid.uuid4().hex}"
        try:
            answer = get(route.address, f"{route.prefix}/slow?seconds={TOO_LONG}&name={name}")
            assert answer.status == 504
            assert executed(probes, name) == 1
        finally:
            probes.checkout.succeed("prod.scale", "api=1")

    def test_a_handler_that_blocks_too_long_takes_no_other_request_with_it(
        self, production: list[Route], probes: Stack
    ) -> None:
        route = asgi(production)[0]
        name = f"block-{uuid.uuid4().hex}"
        answer = get(route.address, f"{route.prefix}/block?seconds={TOO_LONG}&name={name}")
        assert answer.status in (502, 504)
        assert executed(probes, name) == 1
        assert get(route.address, f"{route.prefix}/health").status == 200


class TestExceptions:
    def test_the_next_request_does_not_suffer(self, routes: list[Route]) -> None:
        def fail(route: Route) -> list[tuple[int, int]]:
            return [
                (
                    ask(route.address, Request(f"{route.prefix}/boom", "POST", body=b"x")).status,
                    ask(route.address, Request(f"{route.prefix}/echo", "POST", body=b"y")).status,
                )
                for _ in range(30)
            ]

        for route, statuses in at_once(fail, routes):
            assert statuses == [(500, 200)] * 30, route.name


class TestBodies:
    def test_many_uploads_at_once_are_whole(self, routes: list[Route]) -> None:
        body = b"many uploads " * (9 * MIB // 13)
        digest = hashlib.sha256(body).hexdigest()

        def upload(route: Route) -> Answer:
            return ask(route.address, Request(f"{route.prefix}/upload", "POST", body=body))

        # Two apps, eight times each: 144 MB are on their way.
        for route, answer in at_once(upload, routes[:2] * 8):
            assert (answer.status, answer.json) == (
                200,
                {"bytes": len(body), "sha256": digest},
            ), route.name

    @pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
    @pytest.mark.parametrize("prefix", ["", "/api"], ids=["asgi", "wsgi"])
    def test_a_large_one_is_whole_where_the_limit_lets_it_in(
        self, roomy: Route, probes: Stack, prefix: str, *, chunked: bool
    ) -> None:
        body = b"l" * 100 * MIB
        request = Request(f"{prefix}/upload", "POST", body=body, chunked=chunked)
        answer = ask(roomy.address, request, seconds=120)
        digest = hashlib.sha256(body).hexdigest()
        assert (answer.status, answer.json) == (200, {"bytes": len(body), "sha256": digest})

    @pytest.mark.parametrize("prefix", ["", "/api"], ids=["asgi", "wsgi"])
    def test_a_large_answer_is_held_by_nobody_for_a_slow_reader(
        self, roomy: Route, probes: Stack, prefix: str
    ) -> None:
        size = 200 * MIB
        with roomy.address.connect() as connection:
            connection.sendall(Request(f"{prefix}/download?mib=200", version="HTTP/1.0").head())
            read = len(connection.recv(65536))
            time.sleep(2)
            held = {service: memory(probes, service) for service in ("api", "plain", "roomy")}
            while piece := connection.recv(MIB):
                read += len(piece)
        assert {service: most for service, most in held.items() if most > HELD} == {}
        assert size < read < size + 4096

    def test_nothing_was_killed_for_want_of_memory(self, roomy: Route, probes: Stack) -> None:
        """After all that was up and down."""
        for record in probes.checkout.containers("prod"):
            assert not record["State"]["OOMKilled"], record["Name"]
            assert record["RestartCount"] == 0, record["Name"]


@pytest.fixture
def roomy(production: list[Route], probes: Stack) -> Route:
    """The proxy for large bodies: FastAPI at /, Flask at /api."""
    return probes.behind("roomy")


def memory(probes: Stack, service: str) -> int:
    """Return the bytes that a service's processes have in memory, files not counted."""
    (record,) = probes.checkout.containers("prod", service)
    look = "cat /proc/[0-9]*/status"
    done = docker("exec", str(record["Id"]), "sh", "-c", look)
    found = re.findall(r"^RssAnon:\s+(\d+) kB$", done.stdout, re.MULTILINE)
    assert found, done.text
    return sum(map(int, found)) * 1024


def test_django_takes_a_browser_s_form_behind_a_proxy_that_ends_tls(
    production: list[Route],
) -> None:
    route = next(each for each in production if each.address.tls and each.app == "classic")
    page = get(route.address, f"{route.prefix}/guarded")
    cookie = page.get("set-cookie").partition(";")[0]
    form = f"csrfmiddlewaretoken={page.content.decode()}".encode()
    headers = (
        ("Origin", f"https://{HOST}"),
        ("Cookie", cookie),
        ("Content-Type", "application/x-www-form-urlencoded"),
    )
    answer = ask(route.address, Request(f"{route.prefix}/guarded", "POST", headers, form))
    assert (answer.status, answer.content) == (200, b"taken")


def test_a_request_is_one_line_in_all_the_logs(production: list[Route], probes: Stack) -> None:
    route = production[0]
    path = f"{route.prefix}/echo/{uuid.uuid4().hex}"
    number = get(route.address, f"{path}?secret=1").get("x-request-id")
    lines = functools.partial(_lines, probes, path)
    eventually(lines)
    (line,) = lines()
    entry = json.loads(line)
    assert (entry["request_id"], entry["status"], entry["path"]) == (number, 200, path)


def _lines(probes: Stack, words: str) -> list[str]:
    found = []
    for record in probes.checkout.containers("prod"):
        done = docker("logs", str(record["Id"]))
        found += [line for line in (done.stdout + done.stderr).splitlines() if words in line]
    return found
