"""One HTTP/1.1 connection with one request at a time, as little of it as is strict and cheap."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import NamedTuple, cast

#: Seconds for a connection to be there.
CONNECT_SECONDS = 3.0


class Failed(Exception):
    """A request that didn't end in the wished answer."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind} {detail}")
        self.kind, self.detail = kind, detail


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Server:
    """Who is asked."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @property
    def name(self) -> str:
        """Return what a Host header has."""
        usual = 443 if self.tls else 80
        return self.host if self.port == usual else f"{self.host}:{self.port}"


class _Protocol(asyncio.Protocol):
    """Reads one answer at a time off a connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.over = False
        self.closing = False
        self._data = b""
        self._waiting: asyncio.Future[Answer] | None = None
        self._head: tuple[int, int, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def expect(self) -> asyncio.Future[Answer]:
        """Return the answer to come."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._head = None
        return self._waiting

    def data_received(self, data: bytes) -> None:
        if self._waiting is None or self._waiting.done():
            # Nobody asked: what comes unasked belongs to no request of ours.
            self.over = True
            self.close()
            return
        self._data += data
        try:
            answer = self._parse()
        except (ValueError, IndexError) as error:
            self._waiting.set_exception(Failed("other", repr(error)))
            self.close()
            return
        if answer:
            self._waiting.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self.over = True
        if self._waiting is not None and not self._waiting.done():
            if self._head and self._head[2] == _TO_THE_END:
                self._waiting.set_result(Answer(self._head[0], self._data[self._head[1] :]))
            else:
                got = f"{len(self._data)} bytes of the answer read"
                self._waiting.set_exception(Failed("reset", f"{error or 'closed'}, {got}"))

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _parse(self) -> Answer | None:
        if self._head is None:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return None
            self._head = (*self._read_head(self._data[:end]), 0)
            self._head = (self._head[0], end + 4, self._head[1])
        status, start, length = self._head
        if length == _CHUNKED:
            body = _unchunked(self._data, start)
        elif length == _TO_THE_END or len(self._data) < start + length:
            body = None
        else:
            body = self._data[start : start + length]
        if body is None:
            return None
        self._data = b""
        return Answer(status, body)

    def _read_head(self, head: bytes) -> tuple[int, int]:
        lines = head.split(b"\r\n")
        if not lines[0].startswith(b"HTTP/1.1 "):
            raise ValueError(f"not an HTTP/1.1 answer: {lines[0][:80]!r}")
        status = int(lines[0][9:12])
        length = 0 if status in (204, 304) else _TO_THE_END
        for line in lines[1:]:
            name, _, value = line.lower().partition(b":")
            if name == b"content-length" and length != _CHUNKED:
                length = int(value)
            elif name == b"transfer-encoding" and b"chunked" in value:
                length = _CHUNKED
            elif name == b"connection" and b"close" in value:
                self.closing = True
        return status, length


_CHUNKED, _TO_THE_END = -1, -2


def _unchunked(data: bytes, at: int) -> bytes | None:
    """Return the body in chunks from a place on, None while it isn't whole."""
    parts: list[bytes] = []
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        size = int(data[at:end].split(b";")[0], 16)
        if len(data) < end + 4 + size:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(data[end + 2 : end + 2 + size])
        at = end + 4 + size


class Connection:
    """A kept connection; `closed_while_idle` is how often the server ended it between requests."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._protocol: _Protocol | None = None
        self._used = False
        self.closed_while_idle = 0

    def close(self) -> None:
        """Let the next request open a new one."""
        if self._protocol is not None:
            self._protocol.close()
        self._protocol, self._used = None, False

    async def ask(self, request: bytes, seconds: float) -> Answer:
        """Send a request and return the whole answer; raises Failed."""
        # What any client does: a kept connection that was closed while idle isn't used again. Only
        # a close that meets a request on its way is a failure.
        if self._protocol is not None and self._protocol.over:
            self.close()
            self.closed_while_idle += 1
        if self._protocol is None:
            self._protocol = await self._open()
        protocol = self._protocol
        assert protocol.transport is not None
        waiting = protocol.expect()
        protocol.transport.write(request)
        try:
            answer = await asyncio.wait_for(waiting, seconds)
        except TimeoutError:
            self.close()
            raise Failed("timeout", f"no whole answer in {seconds:g} s") from None
        except Failed as failed:
            kind = "reset-kept" if failed.kind == "reset" and self._used else failed.kind
            self.close()
            raise Failed(kind, failed.detail) from None
        self._used = True
        if protocol.closing:
            self.close()
        return answer

    async def _open(self) -> _Protocol:
        server = self._server
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, protocol = await loop.create_connection(
                    _Protocol, server.host, server.port, ssl=server.tls
                )
        except TimeoutError:
            raise Failed("connect-timeout") from None
        except OSError as error:
            raise Failed("connect", str(error)) from None
        return protocol


def request(server: Server, method: str, path: str, body: bytes | None = None) -> bytes:
    """Return a request as it is sent."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {server.name}\r\nUser-Agent: steady\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + (body or b"")
