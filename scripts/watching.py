"""Tell what changed under some directories: by inotify, by polling where there is none.

No threads, so that a process that watches may fork.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

EXTENSIONS = frozenset(
    "py html htm xml txt jinja jinja2 j2 mako css js sql ini cfg toml yaml yml".split(" ")  # noqa: SIM905
)
IGNORED = frozenset(("__pycache__", "node_modules", "site-packages", "venv"))


@dataclass(frozen=True)
class Sources:
    """The files that count: by their extension, in directories that are not hidden or ignored."""

    roots: tuple[str, ...]  # real paths
    extensions: frozenset[str] = EXTENSIONS

    def counts(self, path: str) -> bool:
        """Whether a change of the file at ``path`` matters."""
        name = os.path.basename(path)
        return name.rpartition(".")[2] in self.extensions and not name.startswith(".")

    def holds(self, path: str) -> bool:
        """Whether ``path`` is in one of the directories, and in none that is ignored."""
        path = os.path.realpath(path)
        for root in self.roots:
            if path == root or path.startswith(root.rstrip("/") + "/"):
                return not any(map(_ignored, path[len(root) :].split("/")))
        return False

    def directories(self, top: str) -> Iterator[tuple[str, list[str]]]:
        """Yield ``top`` and every directory below it, each before its files are listed."""
        yield top, []
        try:
            entries = list(os.scandir(top))
        except OSError:
            return
        yield top, [entry.path for entry in entries if self.counts(entry.path)]
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not _ignored(entry.name):
                yield from self.directories(entry.path)


def _ignored(name: str) -> bool:
    return name in IGNORED or (name.startswith(".") and len(name) > 1)


class Watch(Protocol):
    """What both ways of watching offer."""

    @property
    def interval(self) -> float | None:
        """Return the seconds between two looks; None where ``fileno`` tells."""

    def fileno(self) -> int:
        """Return the descriptor that gets readable on a change, or -1."""

    def changes(self) -> list[str]:
        """Return the paths that changed since the last call."""

    def close(self) -> None:
        """Give the descriptor back."""


class Inotify:
    """Changes as the kernel reports them, directories that come and go included."""

    interval = None
    # IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR
    _MASK = 0x2 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x01000000
    _CREATE, _OVERFLOW, _IGNORED, _DIRECTORY = 0x100, 0x4000, 0x8000, 0x40000000
    _HEADER = struct.Struct("iIII")

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._paths: dict[int, str] = {}
        for root in sources.roots:
            self._add(root)

    def fileno(self) -> int:
        """Return the descriptor that gets readable on a change."""
        return self._fd

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)

    def changes(self) -> list[str]:
        """Return the paths that changed since the last call."""
        found: list[str] = []
        while True:
            try:
                buffer = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return found
            offset = 0
            while offset < len(buffer):
                watch, mask, _, length = self._HEADER.unpack_from(buffer, offset)
                offset += self._HEADER.size
                name = os.fsdecode(buffer[offset : offset + length].rstrip(b"\0"))
                offset += length
                found += self._seen(watch, mask, name)

    def _seen(self, watch: int, mask: int, name: str) -> list[str]:
        if mask & self._OVERFLOW:
            return [path for root in self._sources.roots for path in [root, *self._add(root)]]
        if mask & self._IGNORED:
            self._paths.pop(watch, None)
            return []
        path = os.path.join(self._paths.get(watch, ""), name)
        if mask & self._DIRECTORY:
            return [] if _ignored(name) else self._add(path)
        # A file that was only created is empty, unless it is a link.
        if mask & self._CREATE and not os.path.islink(path) and _links(path) < 2:
            return []
        return [path] if self._sources.counts(path) else []

    def _add(self, top: str) -> list[str]:
        """Watch ``top`` and what is below it; return the files that were there already."""
        files: list[str] = []
        for directory, names in self._sources.directories(top):
            if names:
                files += names
                continue
            watch = self._libc.inotify_add_watch(self._fd, os.fsencode(directory), self._MASK)
            if watch >= 0:
                self._paths[watch] = directory
            elif (error := ctypes.get_errno()) == 28:  # ENOSPC: the user's limit of watches
                raise OSError(error, "too many directories to watch")
        return files


def _links(path: str) -> int:
    try:
        return os.stat(path).st_nlink
    except OSError:
        return 0


class Polling:
    """Changes found by looking at every file, for file systems that report none."""

    def __init__(self, sources: Sources, interval: float) -> None:
        self.interval = interval
        self._sources = sources
        self._known = self._look()

    def fileno(self) -> int:
        """Return no descriptor."""
        return -1

    def close(self) -> None:
        """Hold nothing, give nothing back."""

    def changes(self) -> list[str]:
        """Return the paths that differ from the last look."""
        before, self._known = self._known, self._look()
        return sorted({path for path, _ in self._known.items() ^ before.items()})

    def _look(self) -> dict[str, tuple[int, int, int]]:
        found = {}
        for root in self._sources.roots:
            for _, names in self._sources.directories(root):
                for name in names:
                    try:
                        status = os.stat(name)
                    except OSError:
                        continue
                    found[name] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return found


def watch(sources: Sources, *, poll: bool = False) -> Watch:
    """Watch ``sources``, from now on; ``poll`` where the file system is known to report nothing."""
    if not poll and sys.platform == "linux":
        try:
            return Inotify(sources)
        except OSError as error:
            print(f"reload: {error.strerror}; polling instead", file=sys.stderr, flush=True)
    return Polling(sources, 0.2)
