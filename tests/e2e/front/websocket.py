"""A WebSocket, as much of it as a test needs."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.front.exchange import Address, Answer, Request, ask

TEXT = 1
#: What a browser asks for; the key is any 16 bytes.
HANDSHAKE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", base64.b64encode(b"sixteen bytes ok").decode()),
)


@dataclass(frozen=True)
class Socket:
    """An open one; messages are short texts."""

    connection: socket.socket

    def send(self, text: str) -> None:
        """Send a text of at most 125 bytes."""
        body, mask = text.encode(), os.urandom(4)
        masked = bytes(byte ^ mask[number % 4] for number, byte in enumerate(body))
        self.connection.sendall(bytes([0x80 | TEXT, 0x80 | len(body)]) + mask + masked)

    def receive(self) -> str:
        """Return the next text."""
        kind, size = self._read(2)
        assert kind == 0x80 | TEXT, kind
        if size == 126:
            size = int.from_bytes(self._read(2), "big")
        return self._read(size).decode()

    def _read(self, size: int) -> bytes:
        read = b""
        while len(read) < size:
            piece = self.connection.recv(size - len(read))
            assert piece, "the connection was closed"
            read += piece
        return read


def refused(address: Address, target: str) -> Answer:
    """Return the answer to a handshake that is none."""
    return ask(address, Request(target, headers=HANDSHAKE))


@contextmanager
def opened(address: Address, target: str) -> Iterator[Socket]:
    """Open a WebSocket."""
    with address.connect() as connection:
        connection.sendall(Request(target, headers=HANDSHAKE).head())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = connection.recv(1)
            assert piece, head
            head += piece
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield Socket(connection)
