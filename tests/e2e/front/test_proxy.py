"""Production's nginx before servers that count what they are asked, and are rude at times."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from tests.e2e.front import nginx
from tests.e2e.front.nginx import RESET, Front
from tests.e2e.front.upstream import Hangup, Line, Request, Upstream
from tests.e2e.support import docker, eventually

MakeFront = Callable[..., Front]
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def make_front(places: dict[str, str]) -> Iterator[MakeFront]:
    """Start nginx with variables other than production's; the same ones find it running."""
    running: dict[Any, Front] = {}
    with ExitStack() as stack:

        def make(*words: str, **variables: str) -> Front:
            key = (words, *sorted(variables.items()))
            if key not in running:
                running[key] = stack.enter_context(nginx.started({**places, **variables}, *words))
            return running[key]

        yield make


@pytest.fixture(scope="module")
def front(make_front: MakeFront) -> Front:
    """Nginx with production's own variables."""
    return make_front()


@pytest.fixture
def client(front: Front) -> Iterator[httpx.Client]:
    """A client of that."""
    with front.client() as client:
        yield client


class TestWhoTheClientIs:
    """The scheme, the client's address and the host that an app gets to know."""

    SAID: ClassVar = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
    }

    def test_nobody_is_believed_by_default(
        self, client: httpx.Client, root: Upstream, machine: str
    ) -> None:
        client.get("/", headers=self.SAID)
        assert root.last.get("X-Forwarded-For") == machine
        assert root.last.get("X-Forwarded-Proto") == "http"
        assert root.last.get("X-Forwarded-Host") == client.base_url.netloc.decode()

    def test_a_trusted_proxy_is_believed(
        self, make_front: MakeFront, api: Upstream, machine: str
    ) -> None:
        with make_front(
            TRUSTED_PROXIES=f"10.9.8.0/24, {machine}/32 2001:db8::/32"
        ).client() as client:
            client.get("/api/x", headers=self.SAID)
        assert api.last.get("X-Forwarded-For") == "203.0.113.7"
        assert api.last.get("X-Forwarded-Proto") == "https"
        assert api.last.get("X-Forwarded-Host") == "shop.example"
        assert api.last.get("Host") == "shop.example"

    def test_what_a_client_tells_a_trusted_proxy_is_not(
        self, make_front: MakeFront, root: Upstream, machine: str
    ) -> None:
        said = {
            "X-Forwarded-For": "198.51.100.1, 203.0.113.7, 10.9.8.7",
            "X-Forwarded-Proto": "https, http",
            "X-Forwarded-Host": "other.example, shop.example:8443",
        }
        with make_front(
            TRUSTED_PROXIES=f"10.9.8.0/24, {machine}/32 2001:db8::/32"
        ).client() as client:
            client.get("/", headers=said)
        assert root.last.get("X-Forwarded-For") == "203.0.113.7"
        assert root.last.get("X-Forwarded-Proto") == "http"
        assert root.last.get("Host") == "shop.example:8443"

    def test_another_proxy_than_the_trusted_ones_is_not_believed(
        self, make_front: MakeFront, root: Upstream, machine: str
    ) -> None:
        with make_front(TRUSTED_PROXIES="10.9.8.7").client() as client:
            client.get("/", headers=self.SAID)
        assert root.last.get("X-Forwarded-For") == machine
        assert root.last.get("X-Forwarded-Proto") == "http"

    def test_the_host_is_as_the_client_named_it(self, client: httpx.Client, root: Upstream) -> None:
        client.get("/", headers={"Host": "Shop.example:8081"})
        assert root.last.get("Host") == "Shop.example:8081"

    @pytest.mark.parametrize(
        "name",
        [
            "Forwarded",
            "Proxy",
            "X-Forwarded-Port",
            "X-Forwarded-Prefix",
            "X-Forwarded-Protocol",
            "X-Forwarded-Scheme",
            "X-Forwarded-Ssl",
        ],
    )
    def test_a_client_cannot_speak_as_a_proxy(
        self, client: httpx.Client, root: Upstream, name: str
    ) -> None:
        client.get("/", headers={name: "for=198.51.100.1;proto=https"})
        assert root.last.get(name) is None


class TestPaths:
    """What an app sees of an address, and what it is told of the rest."""

    @pytest.mark.parametrize(
        "target",
        [
            "/",
            "/a%2Fb",
            "/a//b",
            "//a",
            "/a/../b",
            "/a/./b/",
            "/caf%C3%A9?q=%C3%A9",
            "/a;b=c?d=e&d=f",
            "/a?",
            "/a?b?c",
            "/a%20b%3Fc",
            "/%7Ea",
            "/a+b?c+d",
        ],
    )
    def test_a_path_arrives_as_it_was_sent(
        self, front: Front, root: Upstream, api: Upstream, target: str
    ) -> None:
        front.raw(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert root.last.target == target
        front.raw(f"GET /api{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert api.last.target == target

    def test_the_prefix_that_is_taken_off_is_told(
        self, client: httpx.Client, api: Upstream
    ) -> None:
        client.get("/api/habits")
        assert api.last.get("X-Forwarded-Prefix") == "/api"

    def test_a_prefix_that_is_kept_is_not_told(self, make_front: MakeFront, api: Upstream) -> None:
        with make_front(API_MOUNT="/api/").client() as client:
            client.get("/api/a%2Fb?c=d")
        assert api.last.target == "/api/a%2Fb?c=d"
        assert api.last.get("X-Forwarded-Prefix") is None

    def test_a_prefix_in_other_letters_reaches_the_api_all_the_same(
        self, front: Front, api: Upstream
    ) -> None:
        front.raw("GET /%61pi/a%20b?c=d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert api.last.target == "/a%20b?c=d"

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_the_prefix_alone_leads_to_the_api_without_a_port(
        self, client: httpx.Client, api: Upstream, root: Upstream, method: str
    ) -> None:
        answer = client.request(method, "/api?a=b", headers={"Host": "shop.example"})
        assert answer.status_code == 308
        assert answer.headers["location"] == "/api/?a=b"
        assert not api.seen
        assert not root.seen

    def test_a_redirect_of_the_app_is_left_alone(self, client: httpx.Client, api: Upstream) -> None:
        api.begin(lambda _, line: line.reply(b"", "302 Found", "Location: http://api:8000/x"))
        assert client.get("/api/y").headers["location"] == "http://api:8000/x"


class TestDoors:
    """Services in the same stack ask by way of the proxy as they would ask directly."""

    @pytest.mark.parametrize(("port", "service"), [(8001, "api"), (8002, "root")])
    def test_a_request_is_what_it_would_be_without_a_proxy(
        self, front: Front, root: Upstream, api: Upstream, machine: str, port: int, service: str
    ) -> None:
        upstream = {"root": root, "api": api}[service]
        given = {
            "X-Request-ID": "a b",
            "X_Odd": "1",
            "X-Forwarded-Prefix": "/x",
            "If-Match": 'W/"1"',
        }
        seen = []
        for url in (f"http://{upstream.place}", f"http://{front.address}:{port}"):
            with httpx.Client(base_url=url, trust_env=False) as client:
                client.post("/a%2Fb//c?d=e", headers=given, content=b"body")
            seen.append(upstream.seen[-1])
        direct, passed = seen
        assert passed.target == direct.target
        assert passed.body == direct.body
        headers = [dict(request.headers) for request in seen]
        assert headers[1].pop("x-forwarded-for") == machine
        for each in headers:
            each.pop("connection", "")
        assert headers[1] == headers[0]

    def test_a_client_that_is_named_already_stays(self, front: Front, api: Upstream) -> None:
        url = f"http://{front.address}:8001"
        with httpx.Client(base_url=url, trust_env=False) as client:
            client.get("/", headers={"X-Forwarded-For": "203.0.113.7", "Host": "shop.example"})
        assert api.last.get("X-Forwarded-For") == "203.0.113.7"
        assert api.last.get("Host") == "shop.example"

    def test_what_a_service_says_of_itself_stays(self, front: Front, api: Upstream) -> None:
        own = ("X-Request-ID: 7", "Server: mine", "X-Frame-Options: DENY", 'ETag: "1"')
        api.begin(lambda _, line: line.reply(b"[" + b" " * 5000 + b"]", "200 OK", *own))
        url = f"http://{front.address}:8001"
        with httpx.Client(base_url=url, trust_env=False) as client:
            headers = client.get("/").headers
        for name, value in (line.split(": ") for line in own):
            assert headers.get_list(name) == [value]
        assert "x-content-type-options" not in headers
        assert "content-encoding" not in headers

    def test_they_are_no_lines_in_the_log(self, front: Front, client: httpx.Client) -> None:
        with httpx.Client(base_url=f"http://{front.address}:8001", trust_env=False) as inside:
            inside.get("/inside")
        client.get("/outside")
        eventually(lambda: front.log()[-1]["path"] == "/outside", within=5)
        assert all(line["path"] != "/inside" for line in front.log())


class TestOnce:
    """A request that failed is repeated only where nothing of it can have been executed."""

    @pytest.mark.parametrize("path", ["/", "/api/x"])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_server_that_hangs_up_is_not_asked_again(
        self, client: httpx.Client, root: Upstream, api: Upstream, path: str, method: str
    ) -> None:
        def hang_up(_: Request, line: Line) -> None:
            raise Hangup

        root.begin(hang_up)
        api.begin(hang_up)
        assert client.request(method, path).status_code == 502
        assert len(root.seen + api.seen) == 1

    @pytest.mark.parametrize("path", ["/", "/api/x"])
    def test_a_slow_request_is_executed_once(
        self, make_front: MakeFront, root: Upstream, api: Upstream, path: str
    ) -> None:
        root.begin(lambda _, line: time.sleep(3))
        api.begin(lambda _, line: time.sleep(3))
        with make_front(REQUEST_SECONDS="1").client() as client:
            answer = client.get(path)
        assert answer.status_code == 504
        assert "REQUEST_SECONDS (1)" in answer.text
        assert len(root.seen + api.seen) == 1

    def test_a_request_may_take_as_long_as_the_variable_says(self, front: Front) -> None:
        settings = docker("exec", front.container, "cat", "/etc/nginx/conf.d/front.conf").stdout
        assert "proxy_read_timeout 900s;" in settings

    def test_a_refused_request_goes_to_a_live_replica_whatever_its_method(
        self, make_front: MakeFront
    ) -> None:
        with ExitStack() as stack:
            network = "gangway-e2e-front-replicas"
            docker("network", "rm", network)
            assert docker("network", "create", network).status == 0
            stack.callback(docker, "network", "rm", network)
            alias = ("--network", network, "--network-alias", "both")
            # One that answers 404 by itself, and one where nobody listens.
            places = {"PROXY_ROOT": "nobody:1", "PROXY_API": "nobody:1"}
            stack.enter_context(nginx.started(places, *alias, CLOSED_PATHS="/there"))
            for _ in range(2):
                stack.enter_context(nginx.started(places, *alias, command=("sleep", "60")))
            places["PROXY_ROOT"] = places["PROXY_API"] = "both:8080"
            words = ("--network", network)
            front = stack.enter_context(nginx.started(places, *words, CLOSED_PATHS="off"))
            client = stack.enter_context(front.client())
            for path in ("/there", "/api/there"):
                answers = {client.post(path, content=b"x" * 99).status_code for _ in range(20)}
                assert answers == {404}, front.errors()

    def test_where_nobody_listens_the_answer_comes_at_once(self, front: Front) -> None:
        nobody = {"PROXY_ROOT": "127.0.0.1:1", "PROXY_API": "nobody.invalid:1"}
        with nginx.started(nobody) as alone, alone.client() as client:
            begun = time.monotonic()
            answers = [client.post(path) for path in ("/", "/api/x")]
        assert [answer.status_code for answer in answers] == [502, 502]
        assert {answer.text for answer in answers} == {"The app does not answer.\n"}
        assert time.monotonic() - begun < 2

    def test_an_error_of_the_app_is_the_apps_own(self, client: httpx.Client, api: Upstream) -> None:
        api.begin(lambda _, line: line.reply(b"mine", "502 Bad Gateway"))
        answer = client.get("/api/x")
        assert (answer.status_code, answer.text) == (502, "mine")
        assert len(api.seen) == 1

    def test_an_idle_connection_that_the_server_closed_is_not_used(
        self, client: httpx.Client, root: Upstream
    ) -> None:
        def once(_: Request, line: Line) -> None:
            line.reply()
            raise Hangup

        root.begin(once)
        for _ in range(20):
            assert client.post("/").status_code == 200
            time.sleep(0.02)

    def test_connections_are_kept(self, client: httpx.Client, root: Upstream) -> None:
        for _ in range(10):
            client.get("/")
        assert len({request.connection for request in root.seen}) <= 2


class TestStreams:
    """What comes piece by piece goes on piece by piece, both ways."""

    @pytest.mark.parametrize("path", ["/", "/api/x"])
    def test_a_websocket_is_passed_through(
        self, front: Front, root: Upstream, api: Upstream, path: str
    ) -> None:
        def upgrade(request: Request, line: Line) -> None:
            assert request.get("Upgrade") == "websocket"
            assert request.get("Connection") == "upgrade"
            line.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")
            line.send(b"Connection: Upgrade\r\n\r\n")
            while True:
                line.send(line.receive(4).upper())

        root.begin(upgrade)
        api.begin(upgrade)
        with front.connect() as end:
            end.sendall(
                f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            assert end.recv(4096).startswith(b"HTTP/1.1 101 ")
            for _ in range(3):
                end.sendall(b"ping")
                assert end.recv(4) == b"PING"

    def test_nothing_but_a_websocket_is_upgraded(self, front: Front, root: Upstream) -> None:
        front.raw(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\n"
            "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
        assert root.last.get("Upgrade") is None
        assert root.last.get("Connection") is None

    @pytest.mark.parametrize(
        "kind", ["text/event-stream", "text/plain", "text/html", "application/json"]
    )
    @pytest.mark.parametrize("encoding", ["gzip", "identity"])
    def test_each_piece_of_an_answer_comes_when_it_is_said(
        self, client: httpx.Client, api: Upstream, kind: str, encoding: str
    ) -> None:
        go_on = threading.Event()

        def pieces(_: Request, line: Line) -> None:
            line.begin(f"Content-Type: {kind}")
            for number in range(3):
                line.chunk(b"data: %d\n\n" % number)
                assert go_on.wait(5)
                go_on.clear()
            line.chunk()

        api.begin(pieces)
        with client.stream("GET", "/api/x", headers={"Accept-Encoding": encoding}) as answer:
            text = ""
            for part in answer.iter_text():
                text += part
                if part:
                    go_on.set()
        assert text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"

    def test_an_app_may_leave_an_answer_for_a_slow_reader_to_the_proxy(
        self, front: Front, api: Upstream
    ) -> None:
        left = threading.Event()

        def large(_: Request, line: Line) -> None:
            line.reply(b"z" * (30 * MIB), "200 OK", "X-Accel-Buffering: yes")
            left.set()

        api.begin(large)
        with front.connect() as end:
            end.sendall(b"GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert left.wait(10)

    def test_a_silent_stream_may_be_silent_as_long_as_a_request_may_take(
        self, make_front: MakeFront, root: Upstream
    ) -> None:
        def silent(_: Request, line: Line) -> None:
            line.begin("Content-Type: text/event-stream")
            line.chunk(b"data: first\n\n")
            time.sleep(2.5)
            line.chunk(b"data: last\n\n")
            line.chunk()

        root.begin(silent)
        # As a client's patience is a fraction of a request's in production.
        with make_front(REQUEST_SECONDS="4", CLIENT_SECONDS="1").client() as client:
            assert client.get("/").text.endswith("data: last\n\n")

    def test_a_body_is_passed_on_as_it_comes_where_that_is_asked_for(
        self, make_front: MakeFront, api: Upstream
    ) -> None:
        front = make_front(REQUEST_BUFFERING="off")
        with front.connect() as end:
            end.sendall(b"POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf")
            eventually(lambda: api.arrived or api.connections, within=5)
            time.sleep(0.2)
            end.sendall(b"more")
            assert end.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert api.last.body == 8

    def test_a_body_is_whole_before_an_app_sees_it(self, front: Front, api: Upstream) -> None:
        with front.connect() as end:
            end.sendall(b"POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf")
            time.sleep(0.3)
            assert not api.arrived
            end.sendall(b"more")
            assert end.recv(4096).startswith(b"HTTP/1.1 200 ")

    def test_a_chunked_body_arrives(self, client: httpx.Client, api: Upstream) -> None:
        client.post("/api/x", content=(b"x" * 1000 for _ in range(50)))
        assert api.last.body == 50_000


class TestSizes:
    """Bodies and headers up to limits that are named where they are met."""

    @pytest.mark.parametrize("path", ["/", "/api/x"])
    def test_a_body_over_the_limit_is_told_so(
        self, client: httpx.Client, root: Upstream, api: Upstream, path: str
    ) -> None:
        answer = client.post(path, content=b"x" * (11 * MIB))
        assert answer.status_code == 413
        assert answer.text == "The body is larger than CLIENT_MAX_BODY (10m).\n"
        assert not root.seen + api.seen

    def test_a_chunked_body_over_the_limit_is_told_so(
        self, client: httpx.Client, api: Upstream
    ) -> None:
        answer = client.post("/api/x", content=(b"x" * MIB for _ in range(11)))
        assert answer.status_code == 413
        assert not api.seen

    def test_many_large_bodies_at_once_fit(self, front: Front, api: Upstream) -> None:
        def upload(_: int) -> int:
            with front.client() as client:
                return client.post("/api/x", content=b"x" * (9 * MIB)).status_code

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(upload, range(8))) == [200] * 8
        assert [each.body for each in api.seen] == [9 * MIB] * 8

    def test_a_body_larger_than_the_memory_passes(
        self, make_front: MakeFront, api: Upstream
    ) -> None:
        front = make_front("--memory", "48m", CLIENT_MAX_BODY="200m")
        with front.client() as client:
            answer = client.post("/api/x", content=b"x" * (100 * MIB), timeout=60)
        assert answer.status_code == 200, front.errors()
        assert api.last.body == 100 * MIB
        left = docker("exec", front.container, "find", "/var/cache/nginx", "-type", "f").stdout
        assert left == ""

    def test_an_answer_larger_than_the_memory_passes(
        self, make_front: MakeFront, api: Upstream
    ) -> None:
        def large(_: Request, line: Line) -> None:
            line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * MIB))
            for _piece in range(200):
                line.send(b"z" * MIB)

        api.begin(large)
        front = make_front("--memory", "48m", CLIENT_MAX_BODY="200m")
        with front.client() as client, client.stream("GET", "/api/x") as answer:
            assert sum(len(part) for part in answer.iter_raw()) == 200 * MIB

    @pytest.mark.parametrize("size", [3000, 6000, 12000, 15500])
    def test_large_headers_of_an_answer_pass(
        self, client: httpx.Client, api: Upstream, size: int
    ) -> None:
        api.begin(lambda _, line: line.reply(b"ok", "200 OK", "Set-Cookie: a=" + "x" * size))
        assert len(client.get("/api/x").headers["set-cookie"]) == size + 2

    @pytest.mark.parametrize("size", [3000, 9000, 16000])
    def test_large_headers_and_addresses_of_a_request_pass(
        self, client: httpx.Client, api: Upstream, size: int
    ) -> None:
        assert client.get("/api/x", headers={"Cookie": "a=" + "x" * size}).status_code == 200
        assert len(api.last.get("Cookie") or "") == size + 2
        assert client.get("/api/x?q=" + "x" * size).status_code == 200
        assert len(api.last.target) == size + 5

    def test_a_header_over_the_limit_is_told_so(self, client: httpx.Client, api: Upstream) -> None:
        answer = client.get("/api/x", headers={"Cookie": "a=" + "x" * 17000})
        assert answer.status_code == 431
        assert answer.text == "A header is longer than CLIENT_MAX_HEADER (16k).\n"
        assert not api.seen

    def test_an_address_over_the_limit_is_told_so(
        self, client: httpx.Client, api: Upstream
    ) -> None:
        answer = client.get("/api/x?q=" + "x" * 17000)
        assert answer.status_code == 414
        assert answer.text == "The address is longer than CLIENT_MAX_HEADER (16k).\n"
        assert not api.seen

    def test_the_limit_of_headers_can_be_set(self, make_front: MakeFront, api: Upstream) -> None:
        api.begin(lambda _, line: line.reply(b"ok", "200 OK", "Set-Cookie: a=" + "x" * 60000))
        with make_front(CLIENT_MAX_HEADER="64k").client() as client:
            answer = client.get("/api/x?q=" + "x" * 60000)
        assert answer.status_code == 200


class TestLog:
    """One line for each request, as JSON, with the id that the app and the client have as well."""

    def test_a_request_is_one_line(self, front: Front, api: Upstream, machine: str) -> None:
        before = len(front.log())
        with front.client() as client:
            client.get(
                "/api/log?token=secret", headers={"Host": "shop.example", "User-Agent": 'a "b"'}
            )
        eventually(lambda: len(front.log()) > before, within=5)
        [line] = front.log()[before:]
        assert re.fullmatch(r"[0-9a-f]{32}", line.pop("request_id"))
        assert line.pop("time").startswith("20")
        assert isinstance(line.pop("duration"), float)
        assert float(line.pop("upstream_time")) >= 0
        assert line == {
            "client": machine, "method": "GET", "path": "/api/log", "status": 200, "bytes": 2,
            "upstream": api.place, "user_agent": 'a "b"', "host": "shop.example", "scheme": "http",
        }  # fmt: skip

    def test_an_id_is_made_and_is_the_same_everywhere(
        self, front: Front, client: httpx.Client, api: Upstream
    ) -> None:
        answer = client.get("/api/x")
        assert answer.headers["x-request-id"] == api.last.get("X-Request-ID")
        eventually(lambda: front.log()[-1]["request_id"] == api.last.get("X-Request-ID"), within=5)

    def test_an_id_that_is_given_is_passed_on(self, client: httpx.Client, api: Upstream) -> None:
        api.begin(lambda _, line: line.reply(b"ok", "200 OK", "X-Request-ID: order-7"))
        answer = client.get("/api/x", headers={"X-Request-ID": "order-7"})
        assert api.last.get("X-Request-ID") == "order-7"
        assert answer.headers.get_list("x-request-id") == ["order-7"]

    @pytest.mark.parametrize("odd", ["a b", 'a"b', "x" * 129, "{}"])
    def test_an_id_that_is_none_is_replaced(
        self, client: httpx.Client, api: Upstream, odd: str
    ) -> None:
        client.get("/api/x", headers={"X-Request-ID": odd})
        assert re.fullmatch(r"[0-9a-f]{32}", api.last.get("X-Request-ID") or "")

    def test_a_health_check_is_no_line(self, front: Front) -> None:
        assert all(line["path"] != "/nginx-health" for line in front.log())

    def test_what_is_no_request_is_a_line_as_well(self, front: Front) -> None:
        before = len(front.log())
        front.raw("NONSENSE\r\n\r\n")
        eventually(lambda: len(front.log()) > before, within=5)
        assert front.log()[-1]["status"] == 400


class TestHeaders:
    """What the proxy says beside the app, where the app says nothing."""

    def test_pages_get_the_usual_headers(self, client: httpx.Client, root: Upstream) -> None:
        headers = client.get("/").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert "strict-transport-security" not in headers
        assert "content-security-policy" not in headers

    def test_an_app_has_the_last_word(self, client: httpx.Client, root: Upstream) -> None:
        own = {"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}
        own |= {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src *"}
        said = [f"{name}: {value}" for name, value in own.items()]
        root.begin(lambda _, line: line.reply(b"ok", "200 OK", *said))
        headers = client.get("/").headers
        assert {name: headers.get_list(name) for name in own} == {
            name: [value] for name, value in own.items()
        }

    def test_only_https_is_to_be_kept(
        self, make_front: MakeFront, root: Upstream, machine: str
    ) -> None:
        front = make_front(
            TRUSTED_PROXIES=machine,
            CONTENT_SECURITY_POLICY="default-src 'self'",
            FRAME_OPTIONS="off",
        )
        with front.client(headers={"X-Forwarded-Proto": "https"}) as client:
            headers = client.get("/").headers
        assert headers["strict-transport-security"] == "max-age=31536000"
        assert headers["content-security-policy"] == "default-src 'self'"
        assert "x-frame-options" not in headers

    def test_no_version_is_told(self, client: httpx.Client, root: Upstream) -> None:
        root.begin(lambda _, line: line.reply(b"ok", "200 OK", "Server: gunicorn/23"))
        assert client.get("/").headers["server"] == "nginx"
        assert "nginx/" not in client.get("/ready").text

    def test_text_is_compressed(self, client: httpx.Client, api: Upstream) -> None:
        body = json.dumps(list(range(1000))).encode()
        api.begin(lambda _, line: line.reply(body, "200 OK", "Content-Type: application/json"))
        answer = client.get("/api/x")
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.content == body
        plain = client.get("/api/x", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers

    def test_nothing_is_compressed_where_that_is_off(
        self, make_front: MakeFront, api: Upstream
    ) -> None:
        body = b"[" + b" " * 5000 + b"]"
        api.begin(lambda _, line: line.reply(body, "200 OK", "Content-Type: application/json"))
        with make_front(COMPRESSION="off").client() as client:
            assert "content-encoding" not in client.get("/api/x").headers

    def test_who_got_a_version_may_write_to_it(self, client: httpx.Client, api: Upstream) -> None:
        body = b"[" + b" " * 5000 + b"]"
        said = ("Content-Type: application/json", 'ETag: "v1"')
        api.begin(lambda _, line: line.reply(body, "200 OK", *said))
        answer = client.get("/api/x")
        assert answer.headers["content-encoding"] == "gzip"
        client.put("/api/x", headers={"If-Match": answer.headers["etag"]})
        assert api.last.get("If-Match") == '"v1"'

    def test_files_are_cached_by_what_their_names_say(
        self, make_front: MakeFront, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = Path(tmp_path_factory.mktemp("static"))
        folder.chmod(0o755)
        for name in ("site.css", "site.0123456789ab.css"):
            (folder / name).write_text("a {}", encoding="utf-8")
        front = make_front(
            "--volume", f"{folder}:/srv/static:ro", "--volume", f"{folder}:/srv/media:ro",
            STATIC_URL="/static/", MEDIA_URL="/media/",
        )  # fmt: skip
        with front.client() as client:
            hashed = client.get("/static/site.0123456789ab.css").headers
            plain = client.get("/static/site.css").headers
            media = client.get("/media/site.css").headers
        assert hashed["cache-control"] == "public, max-age=31536000, immutable"
        assert plain["cache-control"] == media["cache-control"] == "no-cache"
        assert hashed["x-content-type-options"] == media["x-content-type-options"] == "nosniff"
        assert media["content-security-policy"].startswith("sandbox;")


class TestClosed:
    """What nobody outside gets."""

    @pytest.mark.parametrize(
        "path",
        ["/ready", "/ready/", "/ready/x", "/api/ready", "/api/ready?x", "/api//ready", "//ready",
         "/%72eady", "/api/x/../ready", "/./ready", "//api/ready"],
    )  # fmt: skip
    def test_readiness_is_for_the_inside(
        self, front: Front, root: Upstream, api: Upstream, path: str
    ) -> None:
        answer = front.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert not root.seen + api.seen

    @pytest.mark.parametrize("path", ["/readyz", "/api/already", "/x/ready"])
    def test_its_neighbours_are_open(
        self, client: httpx.Client, root: Upstream, api: Upstream, path: str
    ) -> None:
        assert client.get(path).status_code == 200

    def test_others_are_named_by_a_variable(
        self, make_front: MakeFront, root: Upstream, api: Upstream
    ) -> None:
        with make_front(CLOSED_PATHS="/docs, /openapi.json").client() as client:
            codes = [
                client.get(path).status_code
                for path in (
                    "/docs",
                    "/api/docs",
                    "/api/openapi.json",
                    "/api/openapiXjson",
                    "/ready",
                )
            ]
        assert codes == [404, 404, 404, 200, 200]


class TestLimits:
    """Off or generous unless a variable says otherwise; counted for each client."""

    def test_paths_have_rates_of_their_own(
        self, make_front: MakeFront, root: Upstream, api: Upstream, machine: str
    ) -> None:
        front = make_front(CLIENT_RATES="/api/jobs/=2/m /login=1/m", TRUSTED_PROXIES=machine)
        with front.client() as client:
            one, two = ({"X-Forwarded-For": f"203.0.113.{end}"} for end in (1, 2))
            jobs = [client.get("/api/jobs/x", headers=one).status_code for _ in range(5)]
            other = [client.get("/api/jobs/x", headers=two).status_code for _ in range(2)]
            login = [client.get("/login", headers=one).status_code for _ in range(3)]
            rest = [client.get("/api/jobs", headers=one).status_code for _ in range(9)]
        assert jobs == [200, 200, 200, 429, 429]
        assert other == [200, 200]
        assert login == [200, 200, 429]
        assert rest == [200] * 9

    def test_a_client_has_no_more_requests_at_a_time_than_it_may(
        self, make_front: MakeFront, root: Upstream
    ) -> None:
        go_on = threading.Event()

        def wait(_: Request, line: Line) -> None:
            go_on.wait(5)
            line.reply()

        root.begin(wait)
        front = make_front(CLIENT_CONNECTIONS="2")

        def ask(_: int) -> int:
            with front.client() as client:
                return client.get("/").status_code

        with ThreadPoolExecutor(4) as pool:
            found = [pool.submit(ask, number) for number in range(4)]
            eventually(lambda: sum(each.done() for each in found) == 2, within=4)
            go_on.set()
        assert sorted(each.result() for each in found) == [200, 200, 429, 429]

    def test_slow_headers_and_bodies_are_given_up(
        self, make_front: MakeFront, root: Upstream
    ) -> None:
        front = make_front(REQUEST_SECONDS="4", CLIENT_SECONDS="1")
        begun = time.monotonic()
        assert front.raw("GET / HTTP/1.1\r\nHost: ") in (b"", RESET)
        late = front.raw("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nslow")
        assert late in (b"", RESET) or late.startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - begun < 5
        assert not root.seen

    def test_many_clients_who_never_finish_their_headers_fit_the_memory(
        self, make_front: MakeFront, root: Upstream
    ) -> None:
        front = make_front("--memory", "64m")
        lines = "".join(f"X-{number}: {'x' * 15000}\r\n" for number in range(4))
        with ExitStack() as stack:
            for _ in range(1000):
                end = stack.enter_context(front.connect())
                end.settimeout(0.05)
                with suppress(OSError):
                    end.sendall(f"GET / HTTP/1.1\r\nHost: x\r\n{lines}".encode())
        assert "exited" not in front.errors()
        with front.client() as client:
            eventually(lambda: client.get("/").status_code == 200, within=10)


class TestStart:
    """What the image makes of its variables."""

    def test_an_address_of_both_kinds_is_listened_on(self, front: Front) -> None:
        settings = docker("exec", front.container, "cat", "/etc/nginx/conf.d/front.conf").stdout
        assert "listen 8080;" in settings
        assert ("listen [::]:8080;" in settings) == Path("/proc/net/if_inet6").exists()
