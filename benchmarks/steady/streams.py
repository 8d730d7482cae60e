"""Streams of events, followed as a browser does: Last-Event-ID, ``retry:``, and again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from benchmarks.steady.count import Phase
from benchmarks.steady.exchange import Failed, Server
from benchmarks.steady.reading import opened

#: Seconds without a byte after which a stream counts as dead.
SILENCE = 15.0
#: Seconds for the head of the answer.
OPENING = 10.0


class Stream:
    """One that is followed until it is cancelled.

    Events are numbered without gaps. Where the data says ``{"at": SECONDS}``, of this machine's
    clock, it is counted how late the event was.
    """

    def __init__(self, server: Server, path: str, phase: Callable[[], Phase]) -> None:
        self._server, self._path, self._phase = server, path, phase
        self._last: int | None = None
        self._retry = 1.0
        self._fresh = False

    async def follow(self) -> None:
        """Read it, and again where it ends."""
        while True:
            try:
                await self._read()
                # Ended as an answer ends: the server asks to come back.
                self._phase().streams["ended"] += 1
            except Failed as failed:
                self._phase().streams[f"failed: {failed.kind}"] += 1
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
                self._phase().streams[f"cut: {type(error).__name__}"] += 1
            await asyncio.sleep(self._retry)

    async def _read(self) -> None:
        headers = {"Accept": "text/event-stream"}
        if self._last is not None:
            headers["Last-Event-ID"] = str(self._last)
        (status, fields), (reader, writer) = await opened(
            self._server, self._path, headers, OPENING
        )
        try:
            if status != 200:
                raise Failed(f"{status}")
            self._phase().streams["opened"] += 1
            # What was missed meanwhile is late for a good reason.
            self._fresh = False
            chunked = fields.get("transfer-encoding", "").lower() == "chunked"
            number: int | None = None
            async for line in _lines(reader, chunked):
                if line.startswith("id:"):
                    number = int(line[3:])
                elif line.startswith("data:"):
                    self._note_time(line[5:])
                elif line.startswith("retry:"):
                    self._retry = int(line[6:]) / 1000
                elif not line and number is not None:
                    self._event(number)
                    number = None
        finally:
            writer.close()

    def _event(self, number: int) -> None:
        counts = self._phase().streams
        counts["events"] += 1
        if self._last is not None:
            if number <= self._last:
                counts["doubled"] += 1
            counts["lost"] += max(0, number - self._last - 1)
        self._last = max(number, self._last or number)

    def _note_time(self, data: str) -> None:
        with suppress(ValueError, KeyError, TypeError):
            late = time.time() - float(json.loads(data)["at"])
            self._fresh = self._fresh or late < 1
            if self._fresh:
                self._phase().events_late.add(late)


async def _lines(reader: asyncio.StreamReader, chunked: bool) -> AsyncIterator[str]:
    """Yield the body's lines; EOFError where it breaks off, Failed at a silence."""
    rest = b""
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                data = await (_chunk(reader) if chunked else reader.read(2**16))
        except TimeoutError:
            raise Failed("silent") from None
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode().rstrip("\r")


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n")
    size = int(head.split(b";")[0], 16)
    return (await reader.readexactly(size + 2))[:-2]
