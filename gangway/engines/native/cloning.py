"""Data as a copy of another checkout's, and what a checkout that is gone has left running."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from gangway.base.process import Completed, Runner
from gangway.engines.native.commands import Native
from gangway.engines.native.local import localized
from gangway.engines.native.service import as_user, private
from gangway.engines.native.tools import DIRECTORY

_FOLDER: Final = "PGDATA"
_SERVER: Final = ("PGHOST", "PGPORT")
_PROCESS: Final = "process "
# See `tools`.
_LIBRARIES: Final = ("venv-*", "servers-*", "debugger-*")
_STAMP: Final = "gangway.stamp"


def clone(here: Native, source: Native, service: str, script: str) -> Completed | None:
    """See `gangway.engines.interface.Engine.clone`."""
    own, other = (localized(each.model)[service] for each in (here, source))
    target, theirs = (
        each.environment.root / found["environment"][_FOLDER]
        for each, found in ((here, own), (source, other))
    )
    if target.exists() or not (theirs / "PG_VERSION").exists():
        return None
    private(target.parent)
    _share_libraries(source.environment.root / DIRECTORY, here.environment.root / DIRECTORY)
    environment = source.place.environment(service, other)
    environment["PGUSER"] = source.environment.get("POSTGRES_USER")
    environment["PGPASSFILE"] = str(source.environment.root / environment.get("PGPASSFILE", ""))
    if not source.services.supervised(service).runs():
        environment = {name: each for name, each in environment.items() if name not in _SERVER}
    program = str(here.environment.root / script)
    runner = Runner(here.environment.root, environment)
    return runner.capture([*as_user(other), "bash", program, str(theirs), str(target)])


def _share_libraries(theirs: Path, own: Path) -> None:
    """Have the libraries that another checkout has installed here as well, where the disk can.

    What is installed is never written to again, only replaced; the stamp that says what it is, is
    a file of its own. Where it isn't what the locks here have, `up` installs that.
    """

    def share(source: str, target: str) -> None:
        if Path(source).name == _STAMP:
            shutil.copy2(source, target)
        else:
            os.link(source, target, follow_symlinks=False)

    for pattern in _LIBRARIES:
        for folder in theirs.glob(pattern):
            new, there = own / f"{folder.name}.new", own / folder.name
            if there.exists() or not (folder / _STAMP).exists():
                continue
            try:
                shutil.copytree(folder, new, symlinks=True, copy_function=share)
                new.rename(there)
            except (OSError, shutil.Error):
                # Another disk: they are installed here, then.
                shutil.rmtree(new, ignore_errors=True)


def left_by(folder: str) -> list[str]:
    """Return the processes that still run in a folder that is gone."""
    return [f"{_PROCESS}{pid} {name}".rstrip() for pid, name in _processes(folder)]


def remove_left(left: Sequence[str]) -> None:
    """End what `left_by` has returned; whoever watches over them first."""
    for each in left:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(int(each.removeprefix(_PROCESS).split()[0]), signal.SIGKILL)


def _processes(folder: str) -> Iterator[tuple[int, str]]:
    """Yield each process that has something of the services' folder open, the monitors first."""
    top = f"{folder}/{DIRECTORY}/"
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # One may end while it is looked at; another user's is none of ours.
        with suppress(OSError):
            links = [process / "cwd", *(process / "fd").iterdir()]
            if any(_target(link).startswith(top) for link in links):
                name = (process / "comm").read_text(encoding="utf-8").strip()
                words = (process / "cmdline").read_bytes()
                found.append((b"monitor.py" not in words, int(process.name), name))
    yield from ((pid, name) for _, pid, name in sorted(found))


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
