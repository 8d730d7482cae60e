"""Faults at the very moment when a program is started by the one under test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# It stands before the program on the PATH, counts how often it is called, and is the program then.
_BEFORE = """#!/bin/sh
echo >>{calls}
[ "$(wc -l <{calls})" -ne {call} ] || {{ {does}; }}
PATH=${{PATH#*:}} exec {program} "$@"
"""
KILLS = "kill -9 $PPID; exit 1"
"""Who called is killed: by the memory's end, or with the machine's power."""


def fills(folder: Path) -> str:
    """Return what takes all the room of a folder's file system."""
    return f"cat /dev/zero >{folder}/filler 2>/dev/null || :"


@contextmanager
def before(program: str, call: int, does: str, path: str) -> Iterator[str]:
    """Yield a PATH by which this happens before the program's call of that number, from 1.

    For the block; `path` is what the PATH is otherwise.
    """
    folder = Path(tempfile.mkdtemp(prefix="gangway-fault-", dir="/tmp"))
    folder.chmod(0o777)
    shim = folder / program
    shim.write_text(
        _BEFORE.format(calls=folder / "calls", call=call, does=does, program=program),
        encoding="utf-8",
    )
    shim.chmod(0o755)
    try:
        yield os.pathsep.join([str(folder), path])
        assert (folder / "calls").read_text().count("\n") >= call, (
            f"{program} isn't called so often"
        )
    finally:
        shutil.rmtree(folder)


@contextmanager
def small(folder: Path, size: str) -> Iterator[Path]:
    """Have a new folder be a file system of `size` bytes for the block, as root."""
    folder.mkdir(exist_ok=True)
    options = f"size={size},mode=1777"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small", str(folder)], check=True)
    try:
        yield folder
    finally:
        with suppress(FileNotFoundError):
            (folder / "filler").unlink()
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
