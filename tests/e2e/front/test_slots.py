"""Production's nginx before two sets of replicas: one rename decides whose turn it is."""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.front import nginx, replicas
from tests.e2e.front.nginx import Front
from tests.e2e.front.replicas import Place, told
from tests.e2e.support import docker, eventually

pytestmark = [pytest.mark.engine]


@pytest.fixture(scope="module")
def place(_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Two replicas of each service, of either slot one."""
    nginx.build()
    with replicas.place(Path(tmp_path_factory.mktemp("replicas"))) as place:
        for service in ("api", "app"):
            for slot in ("blue", "green"):
                place.replica(f"{service}-{slot}", f"{service}-{slot}")
        yield place


@pytest.fixture(scope="module")
def proxy(place: Place) -> Iterator[Front]:
    """A proxy before them."""
    with place.front() as front:
        yield front


@pytest.fixture
def front(proxy: Front) -> Front:
    """The same, which has found all of them, and passes requests on to blue."""
    for slot in ("green", "blue"):
        route(proxy, slot)
        slots = [f"api={slot}", f"app={slot}"]
        eventually(functools.partial(serves, proxy, slots), within=5)
    return proxy


def serves(front: Front, slots: list[str]) -> bool:
    """Say whether these are who answer."""
    return served(front) == slots


def route(front: Front, slot: str) -> None:
    """Switch both services."""
    assert told(front, "route", f"api={slot}", f"app={slot}").status == 0


def served(front: Front) -> list[str]:
    """Return who answers for the api and for the app, as SERVICE=SLOT."""
    with front.client() as client:
        answers = [client.get(path) for path in ("/api/x", "/")]
    return [answer.json()["from"].replace("-", "=") for answer in answers if answer.is_success]


class TestRouting:
    """Whose turn it is."""

    def test_it_is_blue_s_at_first(self, place: Place) -> None:
        with place.front() as front:
            eventually(lambda: served(front) == ["api=blue", "app=blue"], within=5)
            assert told(front, "slots").stdout == "api=blue\napp=blue\n"

    def test_what_is_not_named_stays(self, front: Front) -> None:
        assert told(front, "route", "api=green").status == 0
        assert served(front) == ["api=green", "app=blue"]
        assert told(front, "slots").stdout == "api=green\napp=blue\n"

    def test_the_api_is_told_its_prefix_whichever_slot_it_has(self, front: Front) -> None:
        with front.client() as client:
            blue = client.get("/api/x").json()
            told(front, "route", "api=green")
            green = client.get("/api/x").json()
        assert (blue["from"], green["from"]) == ("api-blue", "api-green")
        assert blue["prefix"] == green["prefix"] == "/api"

    def test_a_kept_connection_goes_to_the_new_ones_from_its_next_request_on(
        self, front: Front
    ) -> None:
        with front.connect() as end:
            for slot in ("blue", "green"):
                told(front, "route", f"app={slot}")
                end.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert f'"from": "app-{slot}"' in end.recv(4096).decode()

    def test_a_caller_inside_finds_those_that_serve(self, front: Front) -> None:
        found = []
        for slot in ("blue", "green"):
            route(front, slot)
            for port in (8001, 8002):
                with httpx.Client(base_url=f"http://{front.address}:{port}") as client:
                    found.append(client.get("/").json())
        assert [each["from"] for each in found] == [
            "api-blue", "app-blue", "api-green", "app-green"
        ]  # fmt: skip
        assert {each["host"] for each in found} == {"api:8000", "app:8000"}

    def test_an_open_stream_goes_on(self, front: Front) -> None:
        with front.client() as client, client.stream("GET", "/stream") as answer:
            parts = answer.iter_text()
            text = next(parts)
            told(front, "route", "app=green")
            text += "".join(parts)
        assert text == "app-blue goes on\n" * 20

    def test_a_body_that_took_its_time_reaches_who_serves_by_then(
        self, place: Place, front: Front
    ) -> None:
        container = place.replica("api-old", "api-blue")
        with front.connect() as end:
            end.sendall(b"POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf")
            time.sleep(0.2)
            told(front, "route", "api=green")
            docker("rm", "--force", container)
            end.sendall(b"more")
            assert end.recv(4096).startswith(b"HTTP/1.1 200 ")

    def test_a_new_container_goes_on_where_the_one_before_was(self, place: Place) -> None:
        volume = f"{place.name}-scratch"
        try:
            with place.front(volume=volume) as front:
                told(front, "route", "api=green", "app=blue")
            with place.front(volume=volume) as front:
                eventually(lambda: served(front) == ["api=green", "app=blue"], within=5)
        finally:
            docker("volume", "rm", volume)

    def test_all_of_them_are_switched_at_once_and_no_request_is_lost(self, front: Front) -> None:
        failed: list[str] = []
        done = threading.Event()

        def ask(number: int) -> None:
            with front.client() as client:
                while not done.is_set():
                    path = "/api/x" if number % 2 else "/"
                    answer = client.post(path, content=b"x" * 99)
                    if answer.status_code != 200:
                        failed.append(answer.text)
                    time.sleep(0.01)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for number in range(10):
            slot = ("green", "blue")[number % 2]
            route(front, slot)
            assert served(front) == [f"api={slot}", f"app={slot}"]
        done.set()
        for thread in threads:
            thread.join()
        assert failed == []

    @pytest.mark.parametrize(
        "words", [(), ("api",), ("api=red",), ("../x=green",), ("api=green", "app")]
    )
    def test_what_is_no_slot_changes_nothing(self, front: Front, words: tuple[str, ...]) -> None:
        done = told(front, "route", *words)
        assert done.status == 2
        assert done.stderr.startswith("front: route: ")
        assert told(front, "slots").stdout == "api=blue\napp=blue\n"

    def test_nobody_is_switched_to(self, place: Place) -> None:
        with place.front(PROXY_API="gone:8000") as front:
            done = told(front, "route", "gone=green", "app=green")
            assert (done.status, done.stderr) == (1, "front: route: nobody is gone-green\n")
            assert told(front, "slots").stdout == "app=blue\ngone=blue\n"

    def test_a_slot_without_replicas_is_no_complaint(self, place: Place) -> None:
        with place.front(PROXY_API="gone:8000") as front:
            eventually(lambda: served(front) == ["app=blue"], within=5)
            time.sleep(2)
            assert "could not be resolved" not in front.errors()

    def test_a_switch_waits_until_a_new_replica_is_found(self, place: Place) -> None:
        with place.front(PROXY_API="late:8000") as front:
            place.replica("late-blue", "late-blue")
            eventually(lambda: served(front)[0] == "late=blue", within=5)
            place.replica("late-green", "late-green")
            assert told(front, "route", "late=green").status == 0
            assert served(front)[0] == "late=green"

    def test_without_slots_there_is_nothing_to_switch(self, place: Place) -> None:
        with place.front(PROXY_SLOTS="off") as front:
            assert told(front, "route", "api=green").status == 2


class TestAsking:
    """What a replica answers to the proxy, whose turn it may not be yet."""

    def test_it_is_asked_as_by_the_proxy(self, front: Front) -> None:
        done = told(front, "ask", "api-green:8000", "/x?y", "Host: shop.example")
        status, body = done.stdout.split("\n")
        assert (done.status, status) == (0, "200")
        told_of = json.loads(body)
        assert (told_of["from"], told_of["host"]) == ("api-green", "shop.example")

    def test_an_error_is_an_answer(self, front: Front) -> None:
        done = told(front, "ask", "api-green:8000", "/broken")
        assert (done.status, done.stdout) == (0, "502\nbroken\n")

    @pytest.mark.parametrize("address", ["api-green:1", "nobody:8000"])
    def test_no_answer_is_said(self, front: Front, address: str) -> None:
        done = told(front, "ask", address, "/x")
        assert (done.status, done.stdout) == (1, "")
        assert done.stderr == f"front: {address} does not answer /x\n"

    def test_what_is_no_address_is_refused(self, front: Front) -> None:
        assert told(front, "ask", "api-green", "/x").status == 2
