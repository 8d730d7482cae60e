"""Clients that send one POST after the other, and repeat none."""

from __future__ import annotations

import asyncio
import select
import socket
from dataclasses import dataclass, field


@dataclass
class Posts:
    """POSTs to /echo of a port of this machine on kept connections, until that refuses a new one.

    `pause` is the most seconds that each client waits between two. Sent is what was written to
    a connection that the server had not ended; it fails without its whole answer.
    """

    port: int
    pause: float = 0
    answered: int = 0
    last: int = 0
    """Answers that were their connection's last by what they say."""
    failed: list[str] = field(default_factory=list)

    async def run(self, clients: int) -> None:
        """Go on until the port is closed."""
        await asyncio.gather(*(self._client() for _ in range(clients)))

    async def _client(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except ConnectionRefusedError:
                return
            try:
                # A client connects when it has something to send.
                while await self._post(reader, writer):
                    pass
            except (OSError, EOFError, TimeoutError) as error:
                self.failed.append(repr(error))
            finally:
                writer.close()

    async def _post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send a request, and read its answer; return whether another may follow."""
        body = b"%d" % self.answered
        head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        if _has_ended(writer.get_extra_info("socket")):
            return False
        writer.writelines((head, body))
        async with asyncio.timeout(20):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            answer = await reader.readexactly(len(body))
        assert head.startswith(b"http/1.1 200")
        assert answer == body
        self.answered += 1
        is_last = b"\r\nconnection: close" in head
        self.last += is_last
        await asyncio.sleep(self.answered % 10 / 10 * self.pause)
        return not is_last


def _has_ended(connection: socket.socket) -> bool:
    """Return whether the server has ended it, as clients look before they send."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
