"""The files of a repository, as git lists them: names, sizes, text."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

MEGABYTE = 1024 * 1024
_TEXT_LIMIT = 8 * MEGABYTE
"""Larger files are data: a lock of a thousand packages has 3 MB."""

# What nobody keeps in git, for a folder that isn't a repository.
_NEVER = frozenset(
    {".git", ".hg", ".tox", ".nox", ".venv", "venv", "node_modules", "__pycache__", ".gangway"}
)


class Tree:
    """A repository's files: those that git knows or would add, none that it ignores.

    Without git it is what is there, less what is never kept. Paths are POSIX paths seen from the
    root; a symbolic link is no file of its own.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._texts: dict[str, str] = {}

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Every file with its size in bytes, by name."""
        found: dict[str, int] = {}
        for name in _listed(self.root) or _walked(self.root):
            try:
                status = os.lstat(self.root / name)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                found[name] = status.st_size
        return dict(sorted(found.items()))

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The files' paths, in order."""
        return tuple(self.sizes)

    @cached_property
    def folders(self) -> frozenset[str]:
        """The folders that have files below them; the root is the empty string."""
        found = {""}
        for name in self.files:
            folder = parent(name)
            while folder not in found:
                found.add(folder)
                folder = parent(folder)
        return frozenset(found)

    def has(self, path: str) -> bool:
        """Say whether there is such a file."""
        return path in self.sizes

    def named(self, *names: str, under: str = "") -> list[str]:
        """Return the files with one of these names below a folder, the nearest first."""
        found = [file for file in self.below(under) if PurePosixPath(file).name in names]
        return sorted(found, key=lambda file: (file.count("/"), file))

    def below(self, folder: str) -> Iterator[str]:
        """Yield the files below a folder."""
        start = f"{folder}/" if folder else ""
        return (file for file in self.files if file.startswith(start))

    def beside(self, folder: str) -> list[str]:
        """Return the names of the files right in a folder."""
        return [file[len(folder) :].lstrip("/") for file in self.files if parent(file) == folder]

    def text(self, path: str) -> str:
        """Return a file's text; nothing where it isn't there, isn't text or is too large.

        A file that git ignores is read as well, where somebody asks for it by name.
        """
        if path not in self._texts:
            self._texts[path] = _read(self.root / path)
        return self._texts[path]

    def line(self, path: str, *words: str) -> str:
        """Return the place, `path:line`, of the first line that has all the words."""
        for number, line in enumerate(self.text(path).splitlines(), 1):
            if all(word in line for word in words):
                return f"{path}:{number}"
        return f"{path}:1"

    def is_tracked(self, path: str) -> bool:
        """Say whether git has the file, or would take it."""
        return path in self.sizes

    @cached_property
    def ignored(self) -> tuple[str, ...]:
        """What git ignores and is there all the same; a folder ends with a slash."""
        listed = _git(
            self.root,
            "ls-files",
            "-z",
            "--others",
            "--ignored",
            "--exclude-standard",
            "--directory",
        )
        return tuple(listed or ())


def parent(path: str) -> str:
    """Return the folder of a path; the root is the empty string."""
    return path.rpartition("/")[0]


def join(*parts: str) -> str:
    """Put a path together and take out `.` and `..`; above the root it keeps its `..`."""
    joined = os.path.normpath("/".join(part for part in parts if part) or ".")
    return "" if joined == "." else joined


def seen_from(folder: str, path: str) -> str:
    """Return `path` as seen from `folder`, both from the root; the folder itself is empty."""
    seen = os.path.relpath(path or ".", folder or ".")
    return "" if seen == "." else seen


def within(folder: str, path: str) -> bool:
    """Say whether `path` is `folder` or below it."""
    return not folder or path == folder or path.startswith(f"{folder}/")


def ancestors(folder: str) -> Iterator[str]:
    """Yield a folder and those above it, the root last."""
    while folder:
        yield folder
        folder = parent(folder)
    yield ""


def common(folders: Iterable[str]) -> str:
    """Return the folder that holds all of these."""
    every = [folder or "." for folder in folders]
    if not every or "." in every:
        return ""
    return os.path.commonpath(every)


def _git(root: Path, *words: str) -> list[str] | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    return [name for name in done.stdout.decode(errors="surrogateescape").split("\0") if name]


def _listed(root: Path) -> list[str] | None:
    return _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")


def _walked(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _NEVER]
        start = Path(folder).relative_to(root).as_posix()
        for name in names:
            yield name if start == "." else f"{start}/{name}"


def _read(path: Path) -> str:
    try:
        if path.is_symlink() or path.stat().st_size > _TEXT_LIMIT:
            return ""
        data = path.read_bytes()
    except OSError:
        return ""
    if b"\0" in data[:8192]:
        return ""
    return data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
