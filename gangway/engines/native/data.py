"""Where a project's native services keep their data: on the disk, or in memory behind a link."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from gangway.engines.native.service import private
from gangway.model.model import Model

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (a folder of our own in there, 0700)
# Bytes: what the test model allows its stores together, and then some.
_ROOM: Final = 1024**3


def is_in_memory(kind: str, model: Model) -> bool:
    """Say whether the model of an environment of this kind keeps all data in memory: tests' do."""
    return kind == "test" and not model.volumes()


def keep_in_memory(volumes: Path, memory: Path = SHARED_MEMORY) -> None:
    """Make the folder of a project's data a link into `memory`, unless it is there already.

    Where that has no room, or isn't there at all (macOS), the data will be on the disk. There a
    new database can take a second: ext4 passes over every inode that was freed a moment ago, and
    the last run has just left a thousand.
    """
    if volumes.exists() or not memory.is_dir() or shutil.disk_usage(memory).free < _ROOM:
        return
    private(volumes.parent)
    # A link into what the machine had in memory before it was started again.
    volumes.unlink(missing_ok=True)
    volumes.symlink_to(tempfile.mkdtemp(prefix="gangway-", dir=memory))


def remove(volumes: Path) -> None:
    """Delete a project's data, wherever it is; the caller has asked."""
    if volumes.is_symlink():
        target = volumes.readlink()
        if target.name.startswith("gangway-") and target.is_dir():
            shutil.rmtree(target)
        volumes.unlink()
    elif volumes.exists():
        shutil.rmtree(volumes)
