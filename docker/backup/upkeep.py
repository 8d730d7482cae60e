"""The copies of the cluster that the log leads on from: made when due, removed when of no use.

And both put where the target is.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from backup import away, kept_log, physical, programs, recover, sql, stream
from backup.errors import Failed
from backup.moments import Base
from backup.place import Place
from backup.settings import Settings
from backup.stream import Cluster

LOOK = 5.0
"""Seconds between two looks at whether something is due."""
AGAIN = (10.0, 30.0, 60.0, 300.0)
"""Seconds before what failed is tried again: the first time, the second, …"""


class Upkeep:
    """Has all that done in processes of their own, so that the log is followed meanwhile."""

    def __init__(self, settings: Settings, here: Place) -> None:
        """Look at the first turn."""
        self._jobs = [Job("base", lambda cluster: due(settings, here, cluster))]
        if settings.target:
            # Each by itself: the log isn't to wait for a copy of many hours.
            self._jobs += [
                Job("log-away", lambda _: away.log_missing(settings, here)),
                Job("base-away", lambda _: bool(away.bases_missing(settings, here))),
            ]

    def turn(self, cluster: Cluster) -> None:
        """Begin what is due, and see how that goes which is under way."""
        for job in self._jobs:
            job.turn(cluster)

    def end(self) -> None:
        """End what is under way."""
        for job in self._jobs:
            job.end()


class Job:
    """Runs the program with a word where it is due, one at a time."""

    def __init__(self, word: str, is_due: Callable[[Cluster], bool]) -> None:
        """Look at the first turn."""
        self._word = word
        self._is_due = is_due
        self._next = 0.0
        self._failures = 0
        self._running: subprocess.Popen[bytes] | None = None

    def turn(self, cluster: Cluster) -> None:
        """Begin where it is due, or see how it goes."""
        if self._running:
            if (status := self._running.poll()) is not None:
                self._running = None
                wait = AGAIN[min(self._failures, len(AGAIN) - 1)] if status else 0.0
                self._failures = self._failures + 1 if status else 0
                self._next = time.monotonic() + wait
            return
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK
        if self._is_due(cluster):
            self._running = subprocess.Popen(
                [sys.executable, "-m", "backup", self._word], env=programs.variables(None),
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def end(self) -> None:
        """End it."""
        if self._running:
            self._running.terminate()
            self._running.wait()


def due(settings: Settings, here: Place, cluster: Cluster) -> bool:
    """Say whether the log leads on from no copy, or from none that is young enough."""
    newest = _newest(here, cluster)
    if not newest:
        return True
    age = (datetime.now(UTC) - newest.finished).total_seconds()
    # A clock that was put back is no reason to wait for it.
    return not 0 <= age + 60 < settings.base_hours * 3600 + 60


def make(settings: Settings, here: Place, *, full: bool = False) -> str:
    """Make a copy, of what changed since the last one where that will do; prove it; tidy up.

    Returns its name; raises as `physical.take` and `recover.prove` do.
    """
    with here.lock("a copy of the whole cluster is made"):
        here.sweep()
        with sql.session(settings.server) as session:
            cluster = stream.cluster(session)
        on = None if full else _parent(settings, here, cluster)
        try:
            name = physical.take(settings, here, on)
        except Failed:
            if on is None:
                raise
            # The server may know no more what changed since then.
            name = physical.take(settings, here)
        _await(here, name)
        recover.prove(settings, here, name)
        tidy(settings, here, cluster)
        return name


def _await(here: Place, name: str) -> None:
    """Wait until the log is kept up to where a copy ends."""
    deadline = time.monotonic() + 60
    base = next(each for each in physical.bases(here) if each.name == name)
    while not any(each.base.name == name and each.whole for each in recover.reaches(here)) or (
        kept_log.logs(here)[base.system].received < base.end
    ):
        if time.monotonic() > deadline:
            raise Failed(
                f"the log isn't kept up to the end of the copy {name}",
                fix="backup-log must run: prod.up backup-log",
            )
        time.sleep(0.2)


def _newest(here: Place, cluster: Cluster) -> Base | None:
    """Return the newest copy that the log leads on from to now."""
    for reach in recover.reaches(here):
        base = reach.base
        if reach.whole and (base.system, base.timeline) == (cluster.system, cluster.timeline):
            return base
    return None


def _parent(settings: Settings, here: Place, cluster: Cluster) -> Base | None:
    """Return what a copy of changes may build on: proven, and its whole one not too old."""
    newest = _newest(here, cluster)
    if cluster.major < 17 or not newest or not newest.proven:
        return None
    whole = {each.name: each for each in physical.bases(here)}[(*newest.parents, newest.name)[0]]
    age = (datetime.now(UTC) - whole.finished).total_seconds()
    return newest if age < settings.log_days * 86400 else None


def tidy(settings: Settings, here: Place, cluster: Cluster) -> None:
    """Remove the copies and the log that no moment to be had needs; only under the lock."""
    found = physical.bases(here)
    names = physical.kept(found, cluster.system, datetime.now(UTC), settings.log_days)
    # Noted before it goes, so that a kill in between leaves nothing at the target for good.
    away.let_go(here, [f"{physical.KIND}/{base.name}" for base in found if base.name not in names])
    for name in here.names(physical.KIND):
        if any(base.name == name for base in found) and name not in names:
            # Half of one is none.
            folder = here.root / physical.KIND / name
            partial = folder.with_name(f"{name}.partial")
            folder.rename(partial)
            shutil.rmtree(partial)
    for log in kept_log.logs(here).values():
        own = [base for base in found if base.system == log.system and base.name in names]
        if own:
            first = min(base.first.number for base in own)
            old = [path.name for which, path in log.files.items() if which.number < first]
            away.let_go(here, [f"{kept_log.KIND}/{log.system}/{name}" for name in old])
            kept_log.drop(log, first)
        elif log.system != cluster.system:
            away.let_go(here, [f"{kept_log.KIND}/{log.system}"])
            with contextlib.suppress(OSError):
                shutil.rmtree(here.root / kept_log.KIND / log.system)
