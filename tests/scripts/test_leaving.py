"""A server that was told to stop cuts no request that was sent, and waits for nobody in vain."""

import asyncio
import http.client
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.scripts.conftest import Environment
from tests.scripts.posts import Posts
from tests.scripts.serving import fetch, serving
from tests.support.processes import Running, eventually

# So often in a row; by hand, thirty times: STOPS=30 pytest --timeout 0 -k under_load
STOPS = int(os.environ.get("STOPS", "3"))


@contextmanager
def following(port: int, path: str, accept: str = "text/event-stream") -> Iterator[socket.socket]:
    """Ask for what never ends by itself, and yield the connection once it has begun."""
    with closing(socket.create_connection(("127.0.0.1", port), 10)) as client:
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"
        client.sendall(request.encode())
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
        yield client


def rest(client: socket.socket) -> bytes:
    """Return what still comes on a connection, until it ends."""
    found = b""
    while more := client.recv(1 << 16):
        found += more
    return found


def test_a_request_on_a_kept_connection_is_answered_after_the_stop_and_is_its_last(
    env: Environment, app: Path
) -> None:
    with (
        serving(env, app, WEB_CONCURRENCY="1") as (server, port),
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client,
    ):
        client.request("GET", "/")
        with client.getresponse() as answer:
            answer.read()
            assert answer.getheader("connection") != "close"
        server.signal()
        # Later than a server looks for the signal.
        last = None
        while last != "close":
            client.request("GET", "/")
            with client.getresponse() as answer:
                answer.read()
                assert answer.status == 200
                last = answer.getheader("connection")
        # Others are still answered, until the port is closed.
        assert fetch(port)[0] == 200
        assert server.ends(5) == 0


# Longer pauses than a server goes on for would meet the end of a connection as any idle one does.
@pytest.mark.parametrize("pause", [0, 0.4], ids=["busy", "with pauses"])
def test_no_request_fails_that_was_sent_to_a_server_that_stops_under_load(
    env: Environment, app: Path, pause: float
) -> None:
    async def stop_under_load(server: Running, port: int) -> Posts:
        posts = Posts(port, pause)
        running = asyncio.create_task(posts.run(32))
        await asyncio.sleep(0.5)
        server.signal()
        await running
        return posts

    for _ in range(STOPS):
        with serving(env, app) as (server, port):
            posts = asyncio.run(stop_under_load(server, port))
            assert server.ends(5) == 0, server.log
        assert posts.answered > 32
        assert posts.last > 0
        assert posts.failed == []


def test_connections_without_a_request_do_not_hold_up_the_end(env: Environment, app: Path) -> None:
    with serving(env, app, GRACEFUL_SECONDS="30") as (server, port):
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
        time.sleep(0.3)
        began = time.monotonic()
        server.signal()
        # Those come while it stops.
        while time.monotonic() < began + 0.4:
            idle.append(socket.create_connection(("127.0.0.1", port)))
            time.sleep(0.02)
        assert server.ends(10) == 0, server.log
        assert time.monotonic() - began < 4
        for each in idle:
            each.close()


@pytest.mark.parametrize("quiet", ["", "?quiet=1"], ids=["with events", "quiet"])
def test_a_stream_of_events_ends_whole_so_that_its_client_comes_back(
    env: Environment, app: Path, quiet: str
) -> None:
    if quiet and app.name == "wsgi":
        pytest.skip("a thread that waits for an event cannot be told")
    with (
        serving(env, app, GRACEFUL_SECONDS="30") as (server, port),
        following(port, f"/events{quiet}") as client,
    ):
        began = time.monotonic()
        server.signal()
        assert rest(client).endswith(b"0\r\n\r\n")
        assert server.ends(10) == 0, server.log
        assert time.monotonic() - began < 4
        server.says("stream closed")
        assert "Traceback" not in server.log


@pytest.mark.parametrize("app", ["asgi"], indirect=True)
def test_a_stream_does_not_hold_up_a_reload(env: Environment, app: Path) -> None:
    with (
        serving(env, app, RELOAD="1", GRACEFUL_SECONDS="30") as (_, port),
        following(port, "/events?quiet=1") as client,
    ):
        file = app / "service.py"
        file.write_text(file.read_text().replace("v000", "v001"))
        assert rest(client).endswith(b"0\r\n\r\n")
        eventually(lambda: fetch(port)[1] == "v001", "the new code", 4)


def test_an_answer_that_is_no_browsers_stream_goes_on_to_its_end(
    env: Environment, app: Path
) -> None:
    with (
        serving(env, app) as (server, port),
        following(port, "/events?count=20", accept="*/*") as client,
    ):
        server.signal()
        found = rest(client)
        assert b"event 19" in found
        assert found.endswith(b"0\r\n\r\n")
        assert server.ends(5) == 0


@pytest.mark.parametrize("app", ["asgi"], indirect=True)
def test_a_websocket_is_told_that_the_service_restarts(env: Environment, app: Path) -> None:
    with (
        serving(env, app) as (server, port),
        closing(socket.create_connection(("127.0.0.1", port), 10)) as client,
    ):
        client.sendall(
            b"GET /socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade"
            b"\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 101")
        server.signal()
        # A frame that closes, with two bytes in it: 1012.
        assert client.recv(16)[:4] == b"\x88\x02\x03\xf4"
        client.sendall(b"\x88\x82\0\0\0\0\x03\xf4")
        assert server.ends(5) == 0


def test_what_outlasts_the_limit_ends_with_it(env: Environment, app: Path) -> None:
    with (
        serving(env, app, GRACEFUL_SECONDS="2") as (server, port),
        following(port, "/events?count=600", accept="*/*"),
    ):
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        server.ends(10)
        assert 1.5 < time.monotonic() - began < 4.5
        eventually(lambda: fetch(port) == (0, ""), "the port's end")
