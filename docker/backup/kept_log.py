"""What is kept of the log: a folder for each cluster, and how far it reaches.

ROOT/log/SYSTEM/NAME.gz      a segment of a cluster's log
ROOT/log/SYSTEM/arriving/    what isn't compressed yet; NAME.partial is the one that grows
ROOT/log/SYSTEM/state.json   how far they reach (Reached)
ROOT/log/SYSTEM/ended-….json how far they reached before something was missing
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from backup import wal
from backup.moments import Log
from backup.place import Place
from backup.stream import Cluster

KIND = "log"
STATE = "state.json"
ARRIVING = "arriving"
ENDED = "ended-"
SILENT = 20.0
"""Seconds without a look after which nobody follows the log."""
BEHIND = 5.0
"""Seconds of what is acknowledged that may be lost with the database's volume."""
LEAST = 4
"""For how many segments there should be room."""


@dataclass(frozen=True)
class Reached:
    """Everything that the server had written at `covered` is here, up to the place `received`.

    `looked` is our clock when that was found, in seconds since 1970 as `covered` is by the
    server's; `behind` the seconds that lay between. `problem` is what is in the way now.
    """

    system: str
    size: int
    received: int = 0
    covered: float = 0.0
    looked: float = 0.0
    behind: float = 0.0
    problem: str = ""


def folder(place: Place, system: str) -> Path:
    """Return a cluster's folder; it is made if need be."""
    return place.folder(f"{KIND}/{system}")


def arriving(place: Place, system: str) -> Path:
    """Return the folder that a cluster's log is written to; it is made if need be."""
    return place.folder(f"{KIND}/{system}/{ARRIVING}")


def write(place: Place, reached: Reached) -> None:
    """Put down how far a cluster's log reaches; whole, or not at all."""
    path = folder(place, reached.system) / STATE
    new = path.with_name(f"{STATE}.new")
    new.write_text(json.dumps(asdict(reached)))
    new.replace(path)


def all_reached(place: Place) -> list[Reached]:
    """Return how far the log of each cluster reaches, the one that was looked at last first."""
    read = [_read(path) for path in (place.root / KIND).glob(f"*/{STATE}")]
    found = [each for each in read if each]
    return sorted(found, key=lambda each: each.looked, reverse=True)


def _read(path: Path) -> Reached | None:
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Reached(**json.loads(path.read_text()))
    return None


def reached(place: Place, cluster: Cluster) -> Reached:
    """Return how far a cluster's log reaches; nowhere for one that is new."""
    known = {each.system: each for each in all_reached(place)}
    return known.get(cluster.system, Reached(cluster.system, cluster.size))


def note(place: Place, problem: str) -> None:
    """Put down what is in the way of following the log."""
    for found in all_reached(place)[:1]:
        write(place, replace(found, problem=problem))


def logs(place: Place, sizes: Mapping[str, int] | None = None) -> dict[str, Log]:
    """Return what is kept of each cluster's log.

    `sizes` of clusters' segments are for those of which only the segments are left.
    """
    known = {each.system: each for each in all_reached(place)}
    for system, size in (sizes or {}).items():
        if system not in known and (place.root / KIND / system).is_dir():
            known[system] = Reached(system, size)
    return {system: _log(place, each) for system, each in known.items()}


def _log(place: Place, found: Reached) -> Log:
    own = place.root / KIND / found.system
    files = wal.files([own / ARRIVING, own], found.size)
    ends = [_read(path) for path in own.glob(f"{ENDED}*.json")]
    last = max((path.stat().st_mtime for path in files.values()), default=0.0)
    covered = datetime.fromtimestamp(found.covered or last, UTC)
    return Log(
        found.system, found.size, found.received, covered, files,
        {each.received: datetime.fromtimestamp(each.covered, UTC) for each in ends if each},
    )  # fmt: skip


def compress(place: Place, cluster: Cluster, most: int) -> None:
    """Compress the oldest of the segments that have arrived whole, so many of them at most."""
    source, target = arriving(place, cluster.system), folder(place, cluster.system)
    whole = sorted(path for path in source.iterdir() if wal.whole(path.name))
    for path in whole[:most]:
        wal.compress(path, target)


def put_by(place: Place, cluster: Cluster) -> None:
    """Have what arrived so far out of the way of what follows, which needn't lead on from it."""
    source, target = arriving(place, cluster.system), folder(place, cluster.system)
    before = reached(place, cluster)
    with contextlib.suppress(FileNotFoundError):
        (target / STATE).rename(target / f"{ENDED}{before.received:016X}.json")
    for path in source.iterdir():
        path.replace(target / path.name)


def drop(log: Log, first: int) -> None:
    """Remove the segments of a log whose number is below `first`."""
    # The oldest first: what is left after a kill has no hole.
    for which in sorted(log.files):
        if which.number < first:
            log.files[which].unlink(missing_ok=True)


def begun(place: Place) -> bool:
    """Say whether a log is followed here at all."""
    return any((place.root / KIND).glob(f"*/{STATE}"))


def end(place: Place) -> None:
    """Note that the log isn't followed any more; what is kept of it stays good."""
    for path in (place.root / KIND).glob(f"*/{STATE}"):
        path.unlink()


def problems(place: Place) -> list[str]:
    """Return what is wrong with how the log is kept, for people; nothing: all is well."""
    found = all_reached(place)
    if not found:
        return ["the log isn't kept yet: nothing of it has arrived"]
    newest = found[0]
    if (there := free(place.root)) < LEAST * newest.size:
        return [f"there is room for {there >> 20} MB of log: the volume of the backups is full"]
    if newest.problem:
        return [f"the log isn't followed: {newest.problem}"]
    if abs(silent := time.time() - newest.looked) > SILENT:
        return [f"the log isn't followed: the last look at it was {round(silent)} s ago"]
    if newest.behind > BEHIND:
        return [f"the log is {round(newest.behind)} s behind what the server has acknowledged"]
    return []


def free(path: Path) -> int:
    """Return how many bytes there is room for."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
