"""Where backups are: a folder for each, which is there whole or not at all.

ROOT/logical/NAME/            a backup that is whole
ROOT/logical/NAME.partial/    one that is being made, or was when something was killed
ROOT/scratch/                 throw-away servers
ROOT/lock                     held by whoever changes anything here
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from backup.errors import Failed, Refused

PARTIAL = ".partial"
NAME = re.compile(r"[0-9]{8}-[0-9]{6}(-[A-Za-z0-9._-]+)?")


@dataclass(frozen=True)
class Place:
    """The folder of all backups; `kind` is a folder in it, such as `logical`."""

    root: Path

    def folder(self, kind: str) -> Path:
        """Return the folder of the backups of one kind; it is made if need be."""
        path = self.root / kind
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Failed(f"{path} can't be made: {error.strerror}") from error
        return path

    def names(self, kind: str) -> list[str]:
        """Return the names of the whole backups of one kind, the oldest first."""
        path = self.root / kind
        found = path.iterdir() if path.is_dir() else ()
        return sorted(each.name for each in found if NAME.fullmatch(each.name) and each.is_dir()
                      and not each.name.endswith(PARTIAL))  # fmt: skip

    def find(self, kind: str, wanted: str) -> Path:
        """Return the folder of a backup by its name or a part of it; the newest for none.

        Raises Refused where none, or more than one, is called so.
        """
        known = self.names(kind)
        fix = f"one of: {', '.join(reversed(known[-5:]))}" if known else "make one: backup make"
        found = [name for name in known if wanted == name] or [n for n in known if wanted in n]
        if not found:
            what = f"there is no backup {wanted}" if wanted else "there is no backup"
            raise Refused(f"{what} in {self.root / kind}", fix=fix)
        if wanted and len(found) > 1:
            raise Refused(f"{wanted} is part of several names: {', '.join(found)}", fix=fix)
        return self.root / kind / found[-1]

    @contextlib.contextmanager
    def making(self, kind: str, name: str) -> Iterator[Path]:
        """Yield a folder to make a backup in, which gets its name once all of it is on the disk.

        What the block fails to finish is removed.
        """
        final = self.folder(kind) / name
        partial = final.with_name(name + PARTIAL)
        if final.exists():
            raise Failed(f"there is a backup {name} already", fix="the clock may have gone back")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        try:
            yield partial
            sync(partial)
            partial.rename(final)
            _sync_one(final.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def sweep(self) -> list[Path]:
        """Remove what killed processes left behind, and return it; only under the lock."""
        left = [*self.root.glob(f"*/*{PARTIAL}"), *self.root.glob("scratch/*")]
        for path in left:
            shutil.rmtree(path, ignore_errors=True)
        return left

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a new folder for what is thrown away after the block."""
        path = Path(tempfile.mkdtemp(dir=self.folder("scratch")))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, what: str, name: str = "lock", patience: float = 0.0) -> Iterator[None]:
        """Hold the only right to change backups, in all containers that have this volume.

        Raises Refused where somebody else has it for longer than `patience` (s), with what that
        one does.
        """
        deadline = time.monotonic() + patience
        with (self.folder(".") / name).open("a+") as file:
            while not (locked := _locked(file)) and time.monotonic() < deadline:
                time.sleep(0.2)
            if not locked:
                file.seek(0)
                raise Refused(
                    f"not now: {file.read().strip() or 'something else is under way'}",
                    fix="try again when that has ended",
                )
            file.truncate(0)
            file.write(f"{what} since {time.strftime('%Y-%m-%d %H:%M:%S')} UTC\n")
            file.flush()
            yield

    def locked(self) -> bool:
        """Say whether somebody has that right."""
        with (self.folder(".") / "lock").open("a+") as file:
            return not _locked(file)


def new_name(release: str, now: float) -> str:
    """Return a backup's name, by time (seconds since 1970) and release."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", release).strip("-.")
    return f"{stamp}-{plain}" if plain else stamp


def sync(folder: Path) -> None:
    """Have all of a folder on the disk before its name says that it is there."""
    for path in [*folder.rglob("*"), folder]:
        _sync_one(path)


def size(folder: Path) -> int:
    """Return how many bytes the files of a folder have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _locked(file: IO[str]) -> bool:
    """Take the only right to a file that is open; say whether it was to be had."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
