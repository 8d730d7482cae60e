"""The memory of a service's processes, by what they are at: the most of each."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

TURN = 0.1
"""Seconds between two looks."""


@contextmanager
def watched(
    containers: Callable[[], Sequence[str]], step: Callable[[set[str]], str]
) -> Iterator[dict[str, int]]:
    """Yield bytes by step, the most so far, while containers are looked at again and again.

    `step` names what is done from the names of the programs that run. Pages that processes share
    count once.
    """
    most: dict[str, int] = {}
    over = threading.Event()

    def look() -> None:
        while not over.wait(TURN):
            for container in containers():
                seen = [(_name(pid), _bytes(pid)) for pid in _processes(container)]
                name = step({name for name, _ in seen})
                most[name] = max(most.get(name, 0), sum(size for _, size in seen))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield most
    finally:
        over.set()
        looker.join()


def _processes(container: str) -> list[int]:
    done = subprocess.run(
        ["docker", "top", container, "-eo", "pid"], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in done.stdout.split()[1:]]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
