"""One command at a time changes an environment of a checkout."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gangway.base.errors import GangwayError


@contextmanager
def held(path: Path, environment: str, task: str) -> Iterator[None]:
    """Hold an environment's lock, the file `path`, while `task` (e.g. `dev.up`) changes it.

    The lock goes with the process, however that ends. Raises GangwayError when another command
    holds it, naming that command and its process.
    """
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "another command"
            raise GangwayError(
                f"{environment} is being changed by {holder}",
                fix=f"wait until it has ended (or end it), then run invoke {task} again",
            ) from None
        file.truncate(0)
        file.write(f"invoke {task} (process {os.getpid()})")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
