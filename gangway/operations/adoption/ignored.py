"""What doesn't go into the app's image: docker/app.Dockerfile.dockerignore, for one repository.

BuildKit prefers it to a .dockerignore, which stays the user's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from gangway.operations.adoption.starter import Names

FILE: Final = "docker/app.Dockerfile.dockerignore"
BIG: Final = 50_000_000
"""From how many bytes on a folder without a line of Python is data."""

_GANGWAY: Final = ("docker/offline", "scripts/native")
_OURS: Final = ("env", "secrets")
_NEVER: Final = """\
# What is personal, secret, made again or only for this machine.
**/.git
**/.gangway
**/.env
**/.env.*
**/.envs
**/db.sqlite3
**/.venv
**/venv
**/__pycache__
**/*.py[co]
**/.*_cache
**/.nox
**/.tox
**/.coverage*
**/node_modules
"""


class Big(NamedTuple):
    """A folder of data, and how many bytes are in it."""

    path: str
    size: int


def text(
    source: str, locks: Iterable[str], ignored: Iterable[str], big: Iterable[Big], names: Names
) -> str:
    """Return the file's text for an app in the folder `source`.

    `locks` are what its packages are locked by, `ignored` the files and folders that git is told to
    ignore, `big` the folders with data.
    """
    # A change of these is none of the image.
    ours = (
        *_OURS, names.stack, f"{names.compose}.yml", f"{names.compose}.*.yml", names.tasks,
        *_GANGWAY,
    )  # fmt: skip
    outside = [path for path in locks if not _is_in(path, source)]
    if source == "." or outside:
        parts = [
            "# What Docker doesn't get to build the app's image with.\n"
            + "".join(f"{name}\n" for name in ours)
        ]
    else:
        kept = "".join(f"!{name}\n" for name in (source, "docker", "scripts"))
        parts = [
            "# Docker gets what the app's image is made of, and nothing else.\n*\n"
            + kept
            + "".join(f"{name}\n" for name in _GANGWAY)
        ]
    parts.append(_NEVER)
    lists = {
        "# What git ignores.": [path for path in ignored if not _matched(path)],
        "# Data.": [each.path for each in big],
    }
    for about, paths in lists.items():
        lines = [_escaped(path) for path in paths if _is_in(path, source) or outside]
        if lines:
            parts.append("\n".join([about, *lines, ""]))
    return "\n".join(parts)


def big_folders(root: Path, source: str, skipped: Sequence[str]) -> list[Big]:
    """Return the folders right below `source` that have much data in them, and no Python.

    `skipped` are folders that don't count.
    """
    found = []
    for entry in sorted((root / source).iterdir()):
        path = PurePosixPath(source, entry.name).as_posix()
        if not entry.is_dir() or entry.is_symlink() or path in skipped or entry.name == ".git":
            continue
        size = _size_of_data(entry)
        if size >= BIG:
            found.append(Big(path, size))
    return found


def _size_of_data(folder: Path) -> int:
    """Return how many bytes are in a folder; 0 where Python is in it, too."""
    size = 0
    for path in _below(folder):
        if path.name.endswith(".py"):
            return 0
        size += path.stat().st_size
    return size


def _below(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _below(Path(entry))
            elif entry.is_file(follow_symlinks=False):
                yield entry


def _is_in(path: str, folder: str) -> bool:
    return PurePosixPath(path).is_relative_to(folder) or folder == "."


def _matched(path: str) -> bool:
    """Say whether the patterns that are always there have a folder already."""
    names = (".venv", "venv", "node_modules", "__pycache__", ".gangway", ".nox", ".tox")
    parts = PurePosixPath(path).parts
    cache = parts[-1].startswith(".") and parts[-1].endswith("_cache")
    return cache or any(part in names for part in parts) or parts[0] in _OURS


def _escaped(path: str) -> str:
    return "".join(f"\\{char}" if char in "*?[]\\!#" else char for char in path)
