"""A small server for tests of the proxy: it counts what it is asked and can be rude."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """One request as it came over the wire, with the size of its body in bytes."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: int
    connection: int

    def all(self, name: str) -> list[str]:
        """Return the values of every header of that name."""
        return [value for key, value in self.headers if key == name.lower()]

    def get(self, name: str) -> str | None:
        """Return a header's value, None where it is absent; one that comes twice is a fault."""
        found = self.all(name)
        assert len(found) < 2, f"{name} twice: {found}"
        return found[0] if found else None


class Hangup(Exception):
    """The connection is to be closed."""


class Line:
    """One connection of a client, read and written by hand."""

    def __init__(self, end: socket.socket, number: int) -> None:
        """Take a connection over."""
        self.end, self.number = end, number
        self._read = end.makefile("rb")

    def close(self) -> None:
        """End the connection."""
        with suppress(OSError):
            self.end.shutdown(socket.SHUT_RDWR)
        self._read.close()
        self.end.close()

    def send(self, data: bytes) -> None:
        """Write bytes at once."""
        self.end.sendall(data)

    def receive(self, size: int) -> bytes:
        """Return that many bytes; Hangup where the other end has gone."""
        data = self._read.read(size)
        if len(data) < size:
            raise Hangup
        return data

    def line(self) -> bytes:
        """Return a line without its end."""
        found = self._read.readline()
        if not found:
            raise Hangup
        return found.rstrip(b"\r\n")

    def reply(self, body: bytes = b"ok", status: str = "200 OK", *headers: str) -> None:
        """Answer with a body of known length."""
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        self.send("\r\n".join(head).encode() + body)

    def begin(self, *headers: str) -> None:
        """Answer with a body in chunks, which `chunk` sends; an empty one is the end."""
        head = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *headers, "", ""]
        self.send("\r\n".join(head).encode())

    def chunk(self, data: bytes = b"") -> None:
        """Send one chunk."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))


Behaviour = Callable[[Request, Line], None]


def answer(_: Request, line: Line) -> None:
    """Say ok."""
    line.reply()


@dataclass
class Upstream:
    """The server: what it was asked, and what it does then."""

    address: str
    port: int
    behaviour: Behaviour = answer
    seen: list[Request] = field(default_factory=list)
    #: Bytes of bodies so far, of those as well that aren't whole yet.
    arrived: int = 0
    connections: int = 0

    @property
    def place(self) -> str:
        """Return host and port."""
        return f"{self.address}:{self.port}"

    @property
    def last(self) -> Request:
        """Return the request that came last."""
        return self.seen[-1]

    def begin(self, behaviour: Behaviour = answer) -> None:
        """Forget what was, and behave like this from here on."""
        self.behaviour, self.arrived = behaviour, 0
        self.seen.clear()

    def serve(self, line: Line) -> None:
        """Answer the requests of one connection until either end has enough."""
        with suppress(Hangup, OSError, AssertionError):
            while True:
                request = self._request(line)
                self.seen.append(request)
                self.behaviour(request, line)
        line.close()

    def _request(self, line: Line) -> Request:
        method, target, _ = line.line().decode("latin-1").split(" ", 2)
        headers = []
        while text := line.line().decode("latin-1"):
            key, _, value = text.partition(":")
            headers.append((key.lower(), value.strip()))
        named = dict(headers)
        if named.get("transfer-encoding") == "chunked":
            size = self._chunks(line)
        else:
            size = self._body(line, int(named.get("content-length", 0)))
        return Request(method, target, tuple(headers), size, line.number)

    def _body(self, line: Line, size: int) -> int:
        left = size
        while left:
            part = line.receive(min(left, 65536))
            self.arrived += len(part)
            left -= len(part)
        return size

    def _chunks(self, line: Line) -> int:
        total = 0
        while size := int(line.line().split(b";")[0], 16):
            total += self._body(line, size)
            line.line()
        line.line()
        return total


@contextmanager
def running(address: str) -> Iterator[Upstream]:
    """Serve on a free port of an address of this machine."""
    with socket.create_server((address, 0), backlog=256) as door:
        upstream = Upstream(address, door.getsockname()[1])

        def accept() -> None:
            with suppress(OSError):
                while True:
                    end, _ = door.accept()
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    upstream.connections += 1
                    line = Line(end, upstream.connections)
                    threading.Thread(target=upstream.serve, args=(line,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield upstream
        finally:
            # Closing alone doesn't wake the thread up that waits there.
            with suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
