"""What the proxy is told while it runs: other settings, and to let requests wait."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from tests.e2e.front import nginx
from tests.e2e.front.nginx import Front
from tests.e2e.front.upstream import Behaviour, Line, Request, Upstream
from tests.e2e.support import Result, docker
from tests.policy.rendering import Case, render


@pytest.fixture(scope="module")
def proxy(places: dict[str, str]) -> Iterator[Front]:
    """The proxy, whatever it was told."""
    with nginx.started(places) as front:
        yield front


@pytest.fixture
def front(proxy: Front) -> Iterator[Front]:
    """The proxy as it starts."""
    yield proxy
    assert tell(proxy, "resume").status == 0
    assert tell(proxy, "settings").status == 0


@pytest.fixture
def volume() -> Iterator[str]:
    """A volume that outlives a container."""
    name = f"gangway-e2e-front-{uuid.uuid4().hex[:8]}"
    yield name
    docker("volume", "rm", name)


def held(go_on: threading.Event) -> Behaviour:
    """Return what answers with the first half of a stream, and with the other when it may."""

    def stream(_: Request, line: Line) -> None:
        line.begin()
        line.chunk(b"first")
        go_on.wait(20)
        line.chunk(b"last")
        line.chunk()

    return stream


def statuses(front: Front, *paths: str) -> list[int]:
    """Return what the proxy answers at these."""
    with front.client() as client:
        return [client.get(path).status_code for path in paths]


def tell(front: Front, *words: str, stdin: str = "") -> Result:
    """Run `front` in its container."""
    return docker("exec", "--interactive", front.container, "front", *words, stdin=stdin)


class TestSettings:
    """What nginx goes by is changed without a restart."""

    def test_a_new_connection_finds_the_new_ones(self, front: Front, root: Upstream) -> None:
        done = tell(front, "settings", stdin="CLIENT_MAX_BODY=1k\nCLOSED_PATHS=/docs /x\n")
        assert done.status == 0, done.text
        with front.client() as client:
            assert client.post("/", content=b"x" * 2000).status_code == 413
        assert statuses(front, "/docs", "/x", "/ready") == [404, 404, 200]

    def test_all_that_a_container_has_may_be_among_them(
        self, front: Front, root: Upstream, places: dict[str, str]
    ) -> None:
        own = render(Case("prod"))["services"]["nginx"]["environment"]
        lines = [f"{name}={value}" for name, value in (own | places).items()]
        done = tell(front, "settings", stdin="\n".join(lines))
        assert done.status == 0, done.text
        assert statuses(front, "/") == [200]

    def test_what_is_not_named_is_the_container_s_own(self, front: Front, root: Upstream) -> None:
        tell(front, "settings", stdin="CLOSED_PATHS=/docs")
        tell(front, "settings", stdin="CLIENT_SECONDS=30")
        assert statuses(front, "/docs", "/ready") == [200, 404]

    @pytest.mark.parametrize(
        "lines",
        ["CLIENT_MAX_BODY=1k\nREQUEST_SECONDS=soon", "CLIENT_MAX_BODY=1k\nCLIENT_MAX_HEADER=much",
         "CLIENT_MAX_BODY=1k\nTLS=files", "CLIENT_MAX_BODY"],
    )  # fmt: skip
    def test_what_nginx_does_not_take_changes_nothing(self, front: Front, lines: str) -> None:
        settings = docker("exec", front.container, "cat", "/etc/nginx/conf.d/front.conf").stdout
        done = tell(front, "settings", stdin=lines)
        assert done.status == 2
        assert done.stderr.startswith("front: settings: ")
        assert (
            docker("exec", front.container, "cat", "/etc/nginx/conf.d/front.conf").stdout
            == settings
        )
        with front.client() as client:
            assert client.post("/", content=b"x" * 2000).status_code == 200

    def test_they_outlive_a_container_but_not_other_settings_of_its_own(
        self, places: dict[str, str], volume: str
    ) -> None:
        found = []
        with nginx.started(places, volume=volume) as front:
            assert tell(front, "settings", stdin="CLOSED_PATHS=/docs").status == 0
        for closed in ("/ready", "/more"):
            with nginx.started(places, volume=volume, CLOSED_PATHS=closed) as front:
                found.append(statuses(front, "/ready", "/docs", "/more"))
        assert found == [[200, 404, 200], [200, 200, 404]]

    def test_a_kept_connection_is_told_before_it_is_closed(
        self, front: Front, root: Upstream
    ) -> None:
        with front.connect() as kept, ThreadPoolExecutor(1) as pool:
            told = pool.submit(tell, front, "settings", stdin="CLIENT_SECONDS=20")
            answer = b""
            while b"Connection: close" not in answer:
                kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = kept.recv(4096)
                assert answer.startswith(b"HTTP/1.1 200 ")
                time.sleep(0.05)
            assert told.result().status == 0

    def test_a_stream_goes_on(self, front: Front, root: Upstream) -> None:
        go_on = threading.Event()
        root.begin(held(go_on))
        with front.client() as client, client.stream("GET", "/") as answer:
            parts = answer.iter_text()
            assert next(parts) == "first"
            for seconds in (20, 30):
                assert tell(front, "settings", stdin=f"CLIENT_SECONDS={seconds}").status == 0
            go_on.set()
            assert list(parts) == ["last"]


class TestPause:
    """Requests wait for the end of some work, or are sent away."""

    def test_they_wait_and_go_on_at_once(self, front: Front, root: Upstream) -> None:
        bodies = [b"x" * (1000 * number) for number in range(6)]

        def post(body: bytes) -> tuple[int, float]:
            with front.client() as client:
                answer = client.post("/", content=body)
            return answer.status_code, time.monotonic()

        assert tell(front, "pause", "20").status == 0
        with ThreadPoolExecutor(len(bodies)) as pool:
            waiting = [pool.submit(post, body) for body in bodies]
            time.sleep(1.5)
            assert not root.seen
            begun = time.monotonic()
            assert tell(front, "resume").status == 0
            found = [each.result() for each in waiting]
        assert [status for status, _ in found] == [200] * len(bodies)
        assert max(at for _, at in found) - begun < 2
        assert sorted(request.body for request in root.seen) == [len(body) for body in bodies]

    @pytest.mark.parametrize("path", ["/", "/api/x", "/.static/x"])
    def test_who_has_waited_long_enough_is_told_to_come_back(
        self, front: Front, root: Upstream, api: Upstream, path: str
    ) -> None:
        tell(front, "pause", "1")
        begun = time.monotonic()
        with front.client() as client:
            answer = client.get(path)
        assert 0.9 < time.monotonic() - begun < 3
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "10"
        assert "www-authenticate" not in answer.headers
        assert answer.headers["content-type"] == "text/plain"
        assert not root.seen + api.seen

    def test_a_browser_gets_a_page_and_at_once_where_that_is_asked_for(
        self, front: Front, root: Upstream
    ) -> None:
        tell(front, "pause", "503")
        assert tell(front, "paused").stdout == "503\n"
        begun = time.monotonic()
        with front.client() as client:
            page = client.post("/", content=b"x" * 9999, headers={"Accept": "text/html,*/*;q=0.8"})
            assert client.get("/nginx-health").status_code == 200
            tell(front, "resume")
            assert client.get("/").status_code == 200
        assert time.monotonic() - begun < 3
        assert (page.status_code, page.headers["content-type"]) == (503, "text/html")
        assert page.text.startswith("<!doctype html>")
        assert tell(front, "paused").status == 1

    def test_what_is_under_way_goes_on(self, front: Front, root: Upstream) -> None:
        go_on = threading.Event()
        root.begin(held(go_on))
        with front.client() as client, client.stream("GET", "/") as answer:
            parts = answer.iter_text()
            assert next(parts) == "first"
            tell(front, "pause", "503")
            go_on.set()
            assert list(parts) == ["last"]

    def test_services_inside_go_on(self, front: Front, api: Upstream) -> None:
        tell(front, "pause", "503")
        assert httpx.get(f"http://{front.address}:8001/", trust_env=False).status_code == 200

    def test_who_gave_up_waiting_is_not_passed_on(self, front: Front, root: Upstream) -> None:
        tell(front, "pause", "20")
        with front.connect() as end:
            end.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
            time.sleep(0.3)
        time.sleep(0.3)
        tell(front, "resume")
        with front.client() as client:
            client.get("/after")
        assert [request.target for request in root.seen] == ["/after"]

    def test_a_path_arrives_as_it_was_sent(self, front: Front, api: Upstream) -> None:
        tell(front, "pause", "20")
        with front.connect() as end:
            end.sendall(b"GET /api/a%2Fb//c?d=%3F HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.3)
            tell(front, "resume")
            assert end.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert api.last.target == "/a%2Fb//c?d=%3F"

    def test_it_outlives_a_container(self, places: dict[str, str], volume: str) -> None:
        with nginx.started(places, volume=volume) as front:
            tell(front, "pause", "1")
        with nginx.started(places, volume=volume) as front, front.client() as client:
            begun = time.monotonic()
            assert client.get("/").status_code == 503
            assert time.monotonic() - begun > 0.9

    @pytest.mark.parametrize("seconds", ["", "soon", "0", "-1"])
    def test_what_is_no_time_is_refused(self, front: Front, seconds: str) -> None:
        assert tell(front, "pause", seconds).status == 2
        assert tell(front, "paused").status == 1


class TestLeaving:
    """Another container is to take the port over."""

    def test_who_comes_back_finds_the_door_closed_and_all_that_was_let_in_is_answered(
        self, places: dict[str, str], root: Upstream, api: Upstream
    ) -> None:
        answered: list[int] = []

        def ask(front: Front) -> None:
            with front.client() as client, suppress(httpx.TransportError):
                while True:
                    answered.append(client.post("/", content=b"x").status_code)
                    time.sleep(0.005)

        with nginx.started(places) as front, ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask, front) for _ in range(4)]
            time.sleep(0.3)
            assert tell(front, "leave").status == 0
            for each in asking:
                each.result(timeout=20)
            assert set(answered) == {200}
            assert len(root.seen) == len(answered)
            assert httpx.get(f"http://{front.address}:8001/", trust_env=False).status_code == 200
            assert front.errors().count("[emerg]") == 0

    def test_streams_are_cut(self, places: dict[str, str], root: Upstream) -> None:
        root.begin(held(threading.Event()))
        with (
            nginx.started(places) as front,
            front.client() as client,
            client.stream("GET", "/") as answer,
        ):
            parts = answer.iter_text()
            assert next(parts) == "first"
            assert tell(front, "leave").status == 0
            with pytest.raises(httpx.TransportError):
                next(parts)
