"""A server that was told to stop ends no connection on which a request may be on its way."""

import http.client
import signal
from contextlib import closing

from tests.scripts.conftest import Environment
from tests.scripts.serving import FIXTURES, fetch, serving


def test_a_request_on_a_kept_connection_is_answered_after_the_stop_and_is_its_last(
    env: Environment,
) -> None:
    with (
        serving(env, FIXTURES / "asgi", WEB_CONCURRENCY="1", RELOAD="") as (server, port),
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client,
    ):
        client.request("GET", "/")
        with client.getresponse() as answer:
            answer.read()
            assert answer.getheader("connection") is None
        server.process.send_signal(signal.SIGTERM)
        # Later than a server looks for the signal, ten times a second.
        last = None
        while last is None:
            client.request("GET", "/")
            with client.getresponse() as answer:
                answer.read()
                assert answer.status == 200
                last = answer.getheader("connection")
        assert last == "close"
        # Others are still answered, until the port is closed.
        assert fetch(port)[0] == 200
        assert server.process.wait(5) == 0
