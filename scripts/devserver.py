#!/usr/bin/env python3
"""Serve a WSGI application under the reloader: ``devserver.py MODULE:NAME FD [GRACE]``.

For development only. Gunicorn's threads wait for idle connections before they end, 2 to 5 s on
every save with a browser open; this ends as soon as the requests in flight are answered (after
GRACE seconds at the latest). The standard library's server, hence any WSGI application.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer


class _Handler(WSGIRequestHandler):
    """One connection: a single request, counted from its first line on."""

    server: Server

    def handle(self) -> None:
        try:
            self.raw_requestline = self.rfile.readline(65537)
        except OSError:
            return
        with self.server.in_flight:
            if len(self.raw_requestline) > 65536:
                self.send_error(414)
            elif self.raw_requestline and self.parse_request():
                handler = ServerHandler(
                    self.rfile, self.wfile, self.get_stderr(), self.get_environ(), multithread=True
                )
                handler.request_handler = self  # type: ignore[attr-defined]
                handler.run(self.server.get_app())

    def address_string(self) -> str:
        return str(self.client_address[0])


class _InFlight:
    """How many requests are being answered."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

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
        self.set_app(application)


def load(target: str) -> Any:
    """Return the application: ``module:name``, or ``module:name()`` for one that makes it."""
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in (name or "application").removesuffix("()").split("."):
        found = getattr(found, part)
    return found() if name.endswith("()") else found


def main() -> None:
    """Serve until SIGTERM, then answer what is in flight."""
    target, fd, *grace = sys.argv[1:]
    sys.path[0] = os.getcwd()
    stopping = threading.Event()
    server = Server(socket.socket(fileno=int(fd)), load(target))

    def stop(*_: object) -> None:
        if not stopping.is_set():
            stopping.set()
            threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"devserver: {target} on port {server.server_port}", file=sys.stderr, flush=True)
    server.serve_forever(poll_interval=0.05)
    server.in_flight.wait(float(grace[0]) if grace else 2.0)


if __name__ == "__main__":
    main()
