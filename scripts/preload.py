"""Let a process import what its forks will need, but never the code that is being worked on.

A fork reports each library that it imports, and its parent imports it, too, when there is time: the
next fork finds it there. Multiprocessing's fork server takes its list of modules once, and programs
would see another name, parent, start method and standard input than they see alone.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    BuiltinImporter,
    FrozenImporter,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
)
from types import ModuleType

from watching import Sources

# Seconds without a report after which a program counts as started: only then is the CPU ours.
QUIET = 1.0
# What dev_server.py takes from the tools, not from the app's environment.
SERVER = ("uvicorn", "h11", "httptools", "uvloop", "websockets", "a2wsgi")


class Preload(MetaPathFinder):
    """What the forks reported, and what of it is imported by now; in a fork, who reports."""

    def __init__(self, sources: Sources, tools: str, *, wanted: bool) -> None:
        self._sources, self._tools, self._wanted = sources, tools, wanted
        self._known: set[str] = set()
        self._waiting: list[str] = []
        self._rest, self._last = b"", 0.0
        self._reports, self._report = os.pipe()
        for end in (self._reports, self._report):
            # A program never waits for us: what doesn't fit is learnt from the next one.
            os.set_blocking(end, False)
        # Its own code isn't to be found: not in a folder, nor by an editable install's finder.
        self._path, self._finders = list(sys.path), list(sys.meta_path)
        sys.path[:] = [entry for entry in self._path if not sources.holds(entry)]
        sys.meta_path[:] = [BuiltinImporter, FrozenImporter, PathFinder]

    def started(self) -> None:
        """Leave the CPU to a program for a while."""
        self._last = time.monotonic()

    def due(self) -> bool:
        """Take in what was reported; return whether it is time to import something."""
        with contextlib.suppress(BlockingIOError):
            *names, self._rest = (self._rest + os.read(self._reports, 1 << 16)).split(b"\n")
            self._waiting += [name for name in map(bytes.decode, names) if name not in self._known]
            self._known.update(self._waiting)
            self.started()
        return bool(self._waiting) and time.monotonic() > self._last + QUIET

    def step(self) -> str:
        """Import one module; return its name if that started a thread, else ""."""
        name, before = self._waiting.pop(0), threads()
        tools = [self._tools] if name.partition(".")[0] in SERVER else []
        sys.path += tools
        # Whatever a module does while it is imported.
        with contextlib.suppress(Exception, SystemExit):
            importlib.import_module(name)
        sys.path[:] = [entry for entry in sys.path if entry not in tools]
        return name if threads() > before else ""

    def enter_child(self) -> None:
        """Turn this fork into a program: its own code can be imported; libraries are reported."""
        os.close(self._reports)
        sys.path[:] = self._path + [entry for entry in sys.path if entry not in self._path]
        later = [finder for finder in sys.meta_path if finder not in self._finders]
        sys.meta_path[:] = self._finders + later
        if self._wanted:
            sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find what the finders after it find, and report it."""
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(fullname, path, target)):
                self._tell(spec)
                return spec
        return None

    def _tell(self, spec: ModuleSpec) -> None:
        name, origin = spec.name, spec.origin or ""
        # A debugger starts threads when it is imported, and is not the program's.
        debugger = origin.startswith(os.path.join(self._tools, "debugpy", ""))
        if origin and name not in self._known and not debugger and not name.endswith("__main__"):
            self._known.add(name)
            if not spec.has_location or not self._sources.holds(origin):
                with contextlib.suppress(OSError):
                    os.write(self._report, f"{name}\n".encode())


def threads() -> int:
    """Return how many threads this process has, on Linux those of foreign code included."""
    linux = sys.platform == "linux"
    return len(os.listdir("/proc/self/task")) if linux else threading.active_count()


def read_sources_only(sources: Sources) -> None:
    """Import what is in ``sources`` from its text: bytecode is told apart by seconds and size."""
    stats = SourceFileLoader.path_stats

    def path_stats(loader: SourceFileLoader, path: str) -> object:
        if sources.holds(path):
            raise OSError(path)
        return stats(loader, path)

    SourceFileLoader.path_stats = path_stats  # type: ignore[method-assign, assignment]
