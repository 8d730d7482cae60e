"""A file of the user's repository, written anew in one step."""

from __future__ import annotations

import stat
from pathlib import Path


def replace(path: Path, data: bytes, *, executable: bool = False) -> None:
    """Put `data` in place of a file, which keeps its mode, or where there is none.

    Whoever is interrupted has the old file or the new one. Raises OSError.
    """
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    # Whatever the umask: containers read a new one as users of their own.
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
    # Whoever may read a program may run it.
    part.chmod(mode | (mode & 0o444) >> 2 if executable else mode)
    part.replace(path)
