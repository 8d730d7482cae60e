"""Load a server and print what came of it: `python load.py URL SECONDS CONNECTIONS [POST]`.

Each connection is kept and asks again as soon as it is answered. The standard library alone, for
any Python image on the servers' own network. Prints JSON: requests, failed, seconds, median, p99
and worst (ms).
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
from urllib.parse import urlsplit


class Client:
    """A kept connection with one request under way."""

    def __init__(self, url: str, method: str, number: int) -> None:
        """Connect; `number` tells the bodies of one client from another's."""
        self._url, self._method, self._number = urlsplit(url), method, number
        self._asked, self._got, self._at = 0, b"", 0.0
        address = (self._url.hostname, self._url.port or 80)
        self.socket = socket.create_connection(address, 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> None:
        """Send the next request."""
        path = self._url.path + (f"?{self._url.query}" if self._url.query else "")
        head = f"{self._method} {path} HTTP/1.1\r\nHost: bench\r\n"
        body = b""
        if self._method == "POST":
            name = f"bench {os.getpid()} {time.time_ns()} {self._number} {self._asked}"
            body = json.dumps({"name": name}).encode()
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._asked += 1
        self._got, self._at = b"", time.perf_counter()
        self.socket.sendall(f"{head}\r\n".encode() + body)

    def answered(self) -> tuple[float, bool] | None:
        """Read on; return the seconds that a whole answer took and whether it was a good one."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("closed unannounced")
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end:
            return None
        lower = head.lower()
        _, told, length = lower.partition(b"content-length:")
        if told:
            whole = len(body) >= int(length.split(b"\r\n", 1)[0])
        else:
            whole = body.endswith(b"0\r\n\r\n")
        if not whole:
            return None
        return time.perf_counter() - self._at, head[9:10] == b"2"


def load(url: str, seconds: float, connections: int, method: str) -> dict[str, float]:
    """Return the figures."""
    waiting = selectors.DefaultSelector()
    for number in range(connections):
        client = Client(url, method, number)
        waiting.register(client.socket, selectors.EVENT_READ, client)
        client.ask()
    took, failed, began = [], 0, time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        for key, _ in waiting.select(began + seconds - now):
            if answer := key.data.answered():
                took.append(answer[0])
                failed += not answer[1]
                key.data.ask()
    spent = time.perf_counter() - began
    took.sort()
    return {
        "requests": len(took), "failed": failed, "seconds": spent,
        "median": took[len(took) // 2] * 1e3, "p99": took[len(took) * 99 // 100] * 1e3,
        "worst": took[-1] * 1e3,
    }  # fmt: skip


if __name__ == "__main__":
    address, time_limit, clients, *way = sys.argv[1:]
    print(json.dumps(load(address, float(time_limit), int(clients), *way or ["GET"])))
