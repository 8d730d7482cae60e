"""One request and its answer, byte for byte: no library tidies up either of them."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

#: The name by which a browser asks for the site; nobody resolves it.
HOST = "shop.example"
SECONDS = 30.0
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """What is sent; text is bytes in Latin-1, so that any byte can stand in it."""

    target: str
    method: str = "GET"
    headers: Headers = ()
    body: bytes = b""
    chunked: bool = False
    host: str | None = HOST
    version: str = "HTTP/1.1"

    def head(self) -> bytes:
        """Return the request line and the headers."""
        lines = [f"{self.method} {self.target} {self.version}"]
        if self.host is not None:
            lines.append(f"Host: {self.host}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        elif self.body or self.method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(self.body)}")
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it is sent, in chunks of 1000 bytes where it is chunked."""
        if not self.chunked:
            yield self.body
            return
        for start in range(0, len(self.body), 1000):
            piece = self.body[start : start + 1000]
            yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
        yield b"0\r\n\r\n"


@dataclass(frozen=True)
class Address:
    """Where a server listens; `tls` is what its certificate is checked by."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    def connect(self, seconds: float = SECONDS) -> socket.socket:
        """Return a connection."""
        plain = socket.create_connection((self.host, self.port), timeout=seconds)
        return self.tls.wrap_socket(plain, server_hostname=HOST) if self.tls else plain


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 and why in the body where nothing did."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    seconds: float = 0.0

    def get(self, name: str) -> str:
        """Return a header's first value, or nothing."""
        return next((value for known, value in self.headers if known == name.lower()), "")

    @property
    def content(self) -> bytes:
        """Return the body without the compression that it was sent under."""
        if self.get("content-encoding") == "gzip" and self.body:
            with contextlib.suppress(gzip.BadGzipFile):
                return gzip.decompress(self.body)
        return self.body

    @property
    def json(self) -> Any:
        """Return the body as JSON, None where it is something else."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None


def ask(address: Address, request: Request, seconds: float = SECONDS) -> Answer:
    """Send a request over a connection of its own and return the whole answer."""
    begun = time.monotonic()
    try:
        with address.connect(seconds) as connection:
            return _exchange(connection, request, begun)
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, body=repr(error).encode(), seconds=time.monotonic() - begun)


def get(address: Address, target: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return the answer to a plain GET."""
    return ask(address, Request(target, headers=tuple((headers or {}).items())))


def _exchange(connection: socket.socket, request: Request, begun: float) -> Answer:
    # Who refuses a body doesn't wait for the end of it: the answer is there all the same.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(request.head())
        for piece in request.pieces():
            connection.sendall(piece)
    answer = http.client.HTTPResponse(connection, method=request.method)
    answer.begin()
    headers = [(name.lower(), value) for name, value in answer.getheaders()]
    return Answer(answer.status, headers, answer.read(), time.monotonic() - begun)
