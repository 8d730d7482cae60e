"""Clients that add rows one after the other, and know which of them were acknowledged."""

from __future__ import annotations

import threading
import time
from typing import Self

import httpx

from tests.e2e.support import eventually, web

WRITERS = 4
ENOUGH = 200
"""Rows that are acknowledged before anything is broken."""


class Writers:
    """For the block, rows come through the proxy; `acknowledged` has when (s), by the name."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(WRITERS)]
        self.acknowledged: dict[str, float] = {}

    def _write(self, writer: int) -> None:
        with web(self._url) as client:
            number = 0
            while not self._over.is_set():
                name, number = f"{self._name} {writer}-{number}", number + 1
                try:
                    done = client.post("/api/habits", json={"name": name}).status_code < 300
                except httpx.HTTPError:
                    done = False
                if done:
                    self.acknowledged[name] = time.monotonic()
                else:
                    time.sleep(0.1)

    def more(self) -> None:
        """Wait until some are acknowledged that were sent after this call."""
        # What each is at when this is called may have been sent before.
        enough = len(self.acknowledged) + 2 * WRITERS
        eventually(lambda: len(self.acknowledged) > enough, within=120, what="writes are taken")

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        eventually(lambda: len(self.acknowledged) > ENOUGH, within=60, what="rows are written")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in self._threads:
            each.join()
