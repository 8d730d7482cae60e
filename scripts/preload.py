"""Let a process import what its children will need, but never the code that is being worked on.

A child reports each module as it imports it (``report``); the parent imports those that are not
the app's own (``Preload``), and the next child finds them ready.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from types import ModuleType

import debugging
from watching import Sources

# Seconds without a report after which a child counts as started: only then is the CPU ours.
QUIET = 1.0


class Preload:
    """The parent's side: what the children reported, and what of it is imported by now.

    With a file ``memory`` that is known from one run to the next, for as long as ``state`` (of
    the libraries that are installed) stays the same.
    """

    def __init__(self, sources: Sources, memory: str = "", state: str = "") -> None:
        self._sources = sources
        self._memory, self._state = memory, state
        self._guard = _Guard()
        self._waiting: deque[str] = deque()
        self._seen: set[str] = set()
        self._rest = b""
        self._last = 0.0
        self._path = list(sys.path)
        self.reports, self._write = os.pipe()
        os.set_blocking(self.reports, False)
        # A child never waits for us: what does not fit is learnt from the next one.
        os.set_blocking(self._write, False)
        sys.path[:] = [entry for entry in sys.path if not sources.holds(os.path.abspath(entry))]
        sys.meta_path.insert(0, self._guard)
        recalled = self._recalled()
        self._remembers = bool(recalled)
        self._take(recalled)

    def learn(self) -> None:
        """Take in what was reported."""
        try:
            self._rest += os.read(self.reports, 1 << 16)
        except BlockingIOError:
            return
        *lines, self._rest = self._rest.split(b"\n")
        self._take(lines)
        self._remember(lines)
        self.started()

    def started(self) -> None:
        """Leave the CPU to a child for a while."""
        self._last = time.monotonic()

    def _take(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            name = line[1:].decode()
            if line[:1] == b"-":
                self._guard.own.add(name)
            elif name not in self._seen:
                self._seen.add(name)
                self._waiting.append(name)

    def _recalled(self) -> list[bytes]:
        try:
            with open(self._memory, "rb") as file:
                state, *lines = file.read().splitlines()
        except (OSError, ValueError):
            return []
        return lines if state.decode() == self._state else []

    def _remember(self, lines: Sequence[bytes]) -> None:
        """Write it down, or forget the file; without it a start takes longer, nothing else."""
        if not self._memory:
            return
        header = [] if self._remembers else [self._state.encode()]
        try:
            with open(self._memory, "ab" if self._remembers else "wb") as file:
                file.write(b"\n".join([*header, *lines, b""]))
        except OSError:
            self._memory = ""
        self._remembers = True

    def forget(self) -> None:
        """Remember nothing: something in it must not be imported ahead."""
        if self._memory:
            with contextlib.suppress(OSError):
                os.unlink(self._memory)

    def due(self) -> float | None:
        """Return in how many seconds there is something to import; None: never."""
        return max(0.0, self._last + QUIET - time.monotonic()) if self._waiting else None

    def step(self) -> str:
        """Import one module; return its name if that started a thread, else ""."""
        name = self._waiting.popleft()
        if name not in sys.modules:
            try:
                importlib.import_module(name)
            except BaseException as error:  # whatever a module does while it is imported
                if isinstance(error, KeyboardInterrupt):
                    raise
        return name if _threads() > 1 else ""

    def enter_child(self) -> None:
        """Turn this fork into a child: own code can be imported, and is reported."""
        sys.meta_path.remove(self._guard)
        sys.path[:] = self._path + [entry for entry in sys.path if entry not in self._path]
        os.close(self.reports)
        sys.meta_path.insert(0, _Reporter(self._sources, self._write, self._seen))
        read_sources_only(self._sources)


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        import threading

        return threading.active_count()


class _Guard(MetaPathFinder):
    """Refuses to import the app's own modules, however they might be found."""

    def __init__(self) -> None:
        self.own: set[str] = set()

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Find nothing, and let no other finder look for what is ours."""
        if fullname.partition(".")[0] in self.own:
            raise ModuleNotFoundError(fullname)
        return None


class _Reporter(MetaPathFinder):
    """Finds modules as the finders after it do, and writes down what was found."""

    def __init__(self, sources: Sources, write: int, known: set[str]) -> None:
        self._sources, self._write, self._known = sources, write, known

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find what the others find."""
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec: ModuleSpec | None = find(fullname, path, target)
            if spec is not None:
                self._report(spec)
                return spec
        return None

    def _report(self, spec: ModuleSpec) -> None:
        if not spec.origin or spec.name in self._known or spec.name.endswith("__main__"):
            return
        # A debugger starts threads when it is imported, and is not the program's.
        if spec.origin.startswith(os.path.join(debugging.FOLDER, "")):
            return
        own = spec.has_location and self._sources.holds(spec.origin)
        if own and "." in spec.name:
            return
        self._known.add(spec.name)
        try:
            os.write(self._write, f"{'-' if own else '+'}{spec.name}\n".encode())
        except OSError:
            self._known.discard(spec.name)


class _SourceOnly(SourceFileLoader):
    """Never reads or writes bytecode: it is told apart by whole seconds and the size alone."""

    def path_stats(self, path: object) -> dict[str, int]:
        """Deny knowing the time and size that bytecode is checked against."""
        raise OSError(path)


def read_sources_only(sources: Sources) -> None:
    """Import what is in ``sources`` from the source text itself, whoever left bytecode there."""

    def hook(path: str) -> FileFinder:
        directory = os.path.abspath(path)
        if not sources.holds(directory) or not os.path.isdir(directory):
            raise ImportError(path)
        return FileFinder(
            path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_SourceOnly, SOURCE_SUFFIXES)
        )

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()
