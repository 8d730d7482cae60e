#!/usr/bin/env python3
"""Serve a WSGI application under the reloader: ``dev_wsgi.py MODULE:NAME FD``.

For development only. Gunicorn's threads wait for idle connections before they end, 2 to 5 s on
every save with a browser open; this ends as soon as the requests in flight are answered. The
standard library's server, hence any WSGI application.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from typing import IO, Any, cast
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer


class _Handler(WSGIRequestHandler):
    """One connection and its single request."""

    server: Server

    def handle(self) -> None:
        """Answer the request; until it comes, the connection holds nothing up."""
        with self.server.in_flight.unless(self._request_is_near()):
            select.select([self.connection], [], [])
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if len(self.raw_requestline) > 65536:
                self.requestline = self.request_version = self.command = ""
                self.send_error(414)
            elif self.raw_requestline and self.parse_request():
                self._answer()
        except ConnectionError:
            return

    def _request_is_near(self) -> bool:
        return bool(select.select([self.connection], [], [], 0.05)[0])

    def _answer(self) -> None:
        reply = cast("IO[bytes]", self.wfile)
        handler = ServerHandler(self.rfile, reply, self.get_stderr(), self.get_environ())
        handler.request_handler = self  # type: ignore[attr-defined]
        handler.run(self.server.wsgi)

    def address_string(self) -> str:
        """Return the client's address, without asking a name server."""
        return str(self.client_address[0])


class _InFlight:
    """How many requests are being answered."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def add(self, number: int) -> None:
        """Count ``number`` more."""
        with self._changed:
            self._count += number
            self._changed.notify_all()

    @contextlib.contextmanager
    def unless(self, condition: bool) -> Iterator[None]:
        """Do not count the caller for as long as this lasts, unless ``condition``."""
        self.add(condition - 1)
        try:
            yield
        finally:
            self.add(1 - condition)

    def wait(self, seconds: float) -> bool:
        """Return whether all were answered within ``seconds``."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, seconds)


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, on a socket that listens already."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, application: Any) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.in_flight = _InFlight()
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()
        self.wsgi = application

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count the connection from here on: its request may have come with it."""
        self.in_flight.add(1)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer in the connection's thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.in_flight.add(-1)


def load(target: str) -> Any:
    """Return the application: ``module:name``, or ``module:name()`` for one that makes it."""
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in (name or "application").removesuffix("()").split("."):
        found = getattr(found, part)
    return found() if name.endswith("()") else found


def main() -> None:
    """Serve until SIGTERM, then answer what is in flight."""
    target, fd = sys.argv[1:]
    sys.path[0] = os.getcwd()
    # What an import makes stays: looking for garbage in it takes a seventh of the time.
    gc.disable()
    server = Server(socket.socket(fileno=int(fd)), load(target))
    gc.enable()

    def stop(*_: object) -> None:
        # It waits for the loop that this interrupts.
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"dev_wsgi: {target} on port {server.server_port}", file=sys.stderr, flush=True)
    server.serve_forever(poll_interval=0.05)
    server.in_flight.wait(float(os.environ.get("GRACEFUL_SECONDS") or 8))


if __name__ == "__main__":
    main()
