"""Tell when a program's sources change.

Watchfiles only says when to look, and what counts is the difference between two looks: a folder
that was moved is files that came and went, and what was reported wrongly or not at all is found
within seconds. Its own polling, which tells times apart by the second, would miss some edits.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from itertools import chain
from types import SimpleNamespace
from typing import Any

EXTENSIONS = "py html htm xml txt jinja jinja2 j2 mako css js sql ini cfg toml yaml yml"
IGNORED = ("__pycache__", "node_modules", "site-packages", "venv")
# What is below these may be large, and is no source, unless there are Python files.
DATA = ("data", "media")
# Seconds without a further change before a look, and at most how long to wait for that.
SETTLED, SETTLED_LIMIT = 0.02, 1.0
# Seconds between two looks that nothing asked for: without watchfiles, and with it.
POLL, UNASKED = 0.2, 2.0
# How many times as long as a look takes the pause after it is at least.
PAUSE = 20
# To watchfiles: no debugging, no polling of its own, each folder by itself, what may be read.
_PLAINLY = (False, False, 0, False, True)


class Sources:
    """The files that count: by their extension, in folders that are not hidden or ignored."""

    def __init__(self, roots: Iterable[str], extensions: Iterable[str], tools: str = "") -> None:
        """`tools` is the folder that has watchfiles; without one, files are looked at often."""
        self._roots = [os.path.realpath(root) for root in roots]
        self._extensions = frozenset(extensions) or frozenset(EXTENSIONS.split())
        self._notify: Any = _watchfiles(tools) if tools else None
        self._watcher: Any = None
        self._watched: list[str] = []
        self._files = self._look()

    def holds(self, path: str) -> bool:
        """Whether ``path`` is in one of the folders, linked ones included, that are not ignored."""
        for each in (os.path.abspath(path), os.path.realpath(path)):
            for top in self._tops:
                inside = each == top or each.startswith(top.rstrip("/") + "/")
                if inside and not any(map(_ignored, each[len(top) :].split("/"))):
                    return True
        return False

    def changes(self) -> list[str]:
        """Return the files that differ from the last call's, in order."""
        before, self._files = self._files, self._look()
        return sorted({path for path, _ in self._files.items() ^ before.items()})

    def wait(self, needed: Callable[[], bool]) -> None:
        """Return when there may be a change, or once ``needed`` says so."""
        if self._notify and self._watched != self._folders:
            # What changed before isn't reported: another look is needed.
            self._watch()
            return
        pause = max(UNASKED if self._watcher else POLL, PAUSE * self._took)
        limits = [int(1000 * seconds) for seconds in (SETTLED_LIMIT, SETTLED, pause)]
        end = time.monotonic() + pause
        while time.monotonic() < end and not needed():
            if self._watcher:
                found = self._watcher.watch(*limits, SimpleNamespace(is_set=needed))
                if isinstance(found, str) or any(self._matters(path) for _, path in found):
                    return
            else:
                time.sleep(SETTLED)

    def rest(self) -> None:
        """Have no thread until the next wait, so that this process may fork."""
        if self._watcher:
            self._watcher.close()
        self._watcher, self._watched = None, []

    def _watch(self) -> None:
        try:
            self._watcher = self._notify(self._folders, *_PLAINLY)
            self._watched = self._folders
        except FileNotFoundError:  # in the meantime
            self.rest()
        except OSError as error:
            _say(str(error))
            self._notify = self._watcher = None

    def _counts(self, path: str) -> bool:
        name = os.path.basename(path)
        return name.rpartition(".")[2] in self._extensions and not name.startswith(".")

    def _matters(self, path: str) -> bool:
        return self._counts(path) or path in self._folders or os.path.isdir(path)

    def _look(self) -> dict[str, tuple[int, ...]]:
        """Return the state of each file; take note of the folders, and of where links lead."""
        began = time.monotonic()
        states: dict[str, tuple[int, ...]] = {}
        seen: dict[str, str] = {}
        self._tops = list(self._roots)
        walks = [os.walk(root, followlinks=True) for root in self._roots]
        for folder, names, files in chain(*walks):
            real = os.path.realpath(folder)
            new = seen.setdefault(real, folder) is folder
            # A link may lead back to where it is.
            names[:] = [name for name in names if new and not _ignored(name)]
            if new and folder not in self._roots and _foreign(folder, files):
                names.clear()
                del seen[real]
                continue
            if not self.holds(real):
                self._tops.append(real)
            for path in (os.path.join(folder, name) for name in files if new):
                if self._counts(path):
                    with contextlib.suppress(OSError):
                        state = os.stat(path)
                        times = (state.st_mtime_ns, state.st_ctime_ns)
                        states[path] = (*times, state.st_size, state.st_ino)
        self._folders, self._took = sorted(seen.values()), time.monotonic() - began
        return states


def _ignored(name: str) -> bool:
    return name in IGNORED or (name.startswith(".") and len(name) > 1)


def _foreign(folder: str, files: list[str]) -> bool:
    """Whether a folder is a virtual environment of whatever name, or somebody's data."""
    if "pyvenv.cfg" in files:
        return True
    return os.path.basename(folder) in DATA and not any(name.endswith(".py") for name in files)


def _watchfiles(tools: str) -> Any:
    """Return watchfiles' class, and nothing else of it: the program is to import its own."""
    spec = PathFinder.find_spec("_rust_notify", [os.path.join(tools, "watchfiles")])
    if not spec or not spec.loader:
        _say(f"there is no watchfiles in {tools}")
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.RustNotify


def _say(reason: str) -> None:
    message = f"reload: {reason}; looking at the files every {POLL:g} s"
    print(message, file=sys.stderr, flush=True)
