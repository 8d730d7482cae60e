"""The program that follows a server's log, in tests."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.support.backups import AS_USER, Backups

T = TypeVar("T")
NOBODY = AS_USER if os.geteuid() == 0 else ()


@contextmanager
def running(program: Backups, word: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the program with a word in the block, and tell it to end then; what it says is kept."""
    with (program.folder / f"{word}.out").open("ab") as output:
        started = subprocess.Popen(
            [*program.command, word], env=program.environment, cwd=program.folder,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield started
    finally:
        started.terminate()
        started.wait(20)


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a new folder of nobody's for the block."""
    path = Path(tempfile.mkdtemp(prefix="gangway-past-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(path, "nobody")
    try:
        yield path
    finally:
        shutil.rmtree(path)


def until(found: Callable[[], T], seconds: float = 100, what: str | Callable[[], str] = "") -> T:
    """Return what becomes true, or fail at the deadline."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        shown = what if isinstance(what, str) else what()
        assert time.monotonic() < deadline, f"not within {seconds} s: {shown}"
        time.sleep(0.05)
    return value
