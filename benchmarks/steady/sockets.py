"""WebSockets that get an echo for each message, and come back when they are told to."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable

from benchmarks.steady.count import Phase
from benchmarks.steady.exchange import Failed, Server
from benchmarks.steady.reading import Pair, opened

#: Seconds between two messages of a socket, and for an echo.
EVERY, ECHO = 1.0, 10.0
#: Seconds until a socket that has ended is opened again.
AGAIN = 0.5
#: Ends that say that the server goes away: RFC 6455, 7.4.1, and its registry's "service restart".
TOLD = (1000, 1001, 1012)
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class Ended(Exception):
    """The server has said that it ends the socket, and why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Socket:
    """One that is used until it is cancelled."""

    def __init__(self, server: Server, path: str, phase: Callable[[], Phase]) -> None:
        self._server, self._path, self._phase = server, path, phase
        self._number = 0

    async def use(self) -> None:
        """Send and receive, and again where it ends."""
        while True:
            sent = [0]
            try:
                await self._talk(sent)
            except Ended as ended:
                counts = self._phase().sockets
                counts["ended" if ended.code in TOLD else f"ended: {ended.code}"] += 1
                # A message that crossed the end was never taken: the client knows, and sends again.
                counts["crossed"] += sent[0]
            except Failed as failed:
                self._phase().sockets[f"failed: {failed.kind}"] += 1
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
                counts = self._phase().sockets
                counts[f"cut: {type(error).__name__}"] += 1
                counts["lost"] += sent[0]
            await asyncio.sleep(AGAIN)

    async def _talk(self, sent: list[int]) -> None:
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        (status, _), pair = await opened(self._server, self._path, headers, ECHO)
        try:
            if status != 101:
                raise Failed(f"{status}")
            self._phase().sockets["opened"] += 1
            while True:
                self._number += 1
                text = f"message {self._number}".encode()
                sent[0] = 1
                pair[1].write(_frame(_TEXT, text))
                await _echo(pair, text)
                sent[0] = 0
                self._phase().sockets["echoes"] += 1
                await _idle(pair, EVERY)
        finally:
            pair[1].close()


async def _echo(pair: Pair, text: bytes) -> None:
    try:
        async with asyncio.timeout(ECHO):
            got = await _message(pair)
    except TimeoutError:
        raise Failed("no-echo") from None
    if got != text:
        raise ValueError(f"{got!r} for {text!r}")


async def _idle(pair: Pair, seconds: float) -> None:
    """Wait, and notice an end meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            got = await _message(pair)
    except TimeoutError:
        return
    raise ValueError(f"{got!r}, unasked")


async def _message(pair: Pair) -> bytes:
    """Return the next text; raises Ended, EOFError where the connection just breaks off."""
    reader, writer = pair
    while True:
        # A frame is small and comes whole; a timeout falls between two of them.
        kind, size = await reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await reader.readexactly(2))
        body = await reader.readexactly(size)
        if kind & 15 == _CLOSE:
            writer.write(_frame(_CLOSE, body[:2]))
            raise Ended(int.from_bytes(body[:2]) if body else 1005)
        if kind & 15 == _PING:
            writer.write(_frame(_PONG, body))
        elif kind & 15 != _PONG:
            return body


def _frame(kind: int, body: bytes) -> bytes:
    """Return a frame as a client sends it: masked, 125 bytes at most."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[number % 4] for number, byte in enumerate(body))
    return bytes([0x80 | kind, 0x80 | len(body)]) + mask + masked
