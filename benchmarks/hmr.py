"""What Next.js's development server tells a browser over its websocket, to time it."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from collections.abc import Iterator
from queue import Empty, Queue
from threading import Thread
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.bench import Failed

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
#: The messages after which a browser has, or fetches, what was saved.
NEWS: Final = frozenset({"serverComponentChanges", "built"})
#: Seconds without a message after which all has been said.
SILENCE: Final = 0.4


class Updates:
    """A browser's connection for hot updates to the server at `url`."""

    def __init__(self, url: str) -> None:
        """Connect, and listen from now on."""
        place = urlsplit(url)
        self._socket = socket.create_connection((place.hostname, place.port))
        self._reader = self._socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET /_next/hmr?id=benchmark HTTP/1.1\r\nHost: {place.netloc}\r\nOrigin: {url}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        status = self._reader.readline().decode().strip()
        if " 101 " not in f"{status} ":
            raise Failed(f"no websocket at {url}: {status}")
        while self._reader.readline().strip():
            pass
        self._heard: Queue[str] = Queue()
        Thread(target=self._listen, daemon=True).start()
        self.quiet()

    def told(self, seconds: float = 30.0) -> None:
        """Return when the browser is told of news; raises Failed where it isn't."""
        try:
            while self._heard.get(timeout=seconds) not in NEWS:
                pass
        except Empty:
            raise Failed(f"the browser was told nothing for {seconds:g} s") from None

    def quiet(self) -> None:
        """Return when all has been said."""
        try:
            while True:
                self._heard.get(timeout=SILENCE)
        except Empty:
            return

    def close(self) -> None:
        """Hang up."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _listen(self) -> None:
        try:
            for message in self._messages():
                self._heard.put(str(message.get("type")))
        except (Failed, OSError):
            return

    def _messages(self) -> Iterator[dict[str, Any]]:
        """Yield each message as it comes; what isn't JSON is left out."""
        while True:
            first, second = self._read(2)
            size = second & 0x7F
            if size >= 126:
                layout, width = (">H", 2) if size == 126 else (">Q", 8)
                (size,) = struct.unpack(layout, self._read(width))
            payload, kind = self._read(size), first & 0x0F
            if kind == _PING:
                self._socket.sendall(bytes((0x80 | _PONG, 0x80 | size)) + bytes(4) + payload)
            elif kind == _CLOSE:
                raise Failed("the server closed its websocket")
            elif kind == _TEXT:
                found: dict[str, Any] = json.loads(payload)
                yield found

    def _read(self, size: int) -> bytes:
        found = self._reader.read(size)
        if len(found) < size:
            raise Failed("the server went away")
        return found
