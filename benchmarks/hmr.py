"""What Next.js's development server tells a browser over its websocket, to time it."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from benchmarks.bench import Failed

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA


class Updates:
    """A browser's connection for hot updates to the server at `url`."""

    def __init__(self, url: str, seconds: float = 30.0) -> None:
        """Connect; no message may be longer than `seconds` in coming."""
        place = urlsplit(url)
        self._socket = socket.create_connection((place.hostname, place.port), timeout=seconds)
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

    def close(self) -> None:
        """Hang up."""
        self._reader.close()
        self._socket.close()

    def messages(self) -> Iterator[dict[str, Any]]:
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
