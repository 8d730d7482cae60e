"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path


def replace(path: Path, text: str, *, owner: tuple[int, int] | None = None) -> None:
    """Write a file in one step and for this user alone; raises OSError, the old one still there.

    `owner` is the uid and gid that it gets, where root writes it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            if owner and hasattr(os, "geteuid") and os.geteuid() == 0:
                os.fchown(descriptor, *owner)
            file.write(text)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
