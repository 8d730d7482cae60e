"""Which moments of the past can be had again, and from what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path

from backup import wal
from backup.errors import Refused
from backup.wal import Segment

LATEST = "latest"
# A transaction's number as most of PostgreSQL shows it: without its epoch.
_EPOCH = 1 << 32
_FORMATS = "2026-11-27 03:10:55, 2026-11-27T03:10:55+01:00, a transaction's number, or latest"


@dataclass(frozen=True)
class At:
    """A moment: a time, or a transaction; neither is the last there is.

    `before`: without what was committed then; `system`: of that cluster, of several.
    """

    text: str
    time: datetime | None = None
    xid: int | None = None
    before: bool = False
    system: str = ""


@dataclass(frozen=True)
class Base:
    """A copy of a whole cluster, and the places in the log between which it was made.

    `finished` is when, by the server's clock; `xmax` the first transaction that had not begun then;
    `parents` the copies that it builds on, the oldest first.
    """

    name: str
    system: str
    size: int
    timeline: int
    start: int
    end: int
    finished: datetime
    xmax: int
    parents: tuple[str, ...] = ()
    proven: bool = False

    @property
    def first(self) -> Segment:
        """The first segment of the log that it needs."""
        return Segment(self.timeline, self.start // self.size)


@dataclass(frozen=True)
class Log:
    """What is kept of one cluster's log: up to the place `received`, which held at `covered`.

    `ends` are such places and times after which the server had thrown away what came next.
    """

    system: str
    size: int
    received: int
    covered: datetime
    files: Mapping[Segment, Path] = field(default_factory=dict)
    ends: Mapping[int, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Reach:
    """A base and the row of segments from its beginning, in `files`: what lies between two times.

    `whole` where the row leads to all that was received; `end` is where it ends, `sure` where that
    was put down.
    """

    base: Base
    segments: Sequence[Segment]
    until: datetime
    end: int
    files: Mapping[Segment, Path]
    whole: bool
    sure: bool


@dataclass(frozen=True)
class Plan:
    """What gives a moment: a base, segments, and what the server is told to stop at."""

    at: At
    reach: Reach
    target: Mapping[str, str]


def parse(text: str, zone: tzinfo) -> At:
    """Read a moment as people write it; a time without a zone is of `zone`.

    `before` may stand in front. Raises Refused for what is none.
    """
    words = text.strip().split(None, 1)
    if len(words) == 2 and words[0].lower() == LATEST and words[1].isdigit():
        return At(text, system=words[1])
    before = len(words) == 2 and words[0].lower() == "before"
    rest = words[1] if before else text.strip()
    if rest.lower() == LATEST and not before:
        return At(text)
    if re.fullmatch(r"[0-9]{1,19}", rest) and int(rest) > 2:
        return At(text, xid=int(rest), before=before)
    try:
        time = datetime.fromisoformat(rest)
    except ValueError:
        raise Refused(f"{text!r} is no moment", fix=f"write {_FORMATS}") from None
    if len(rest) < len("2026-11-27 03:10"):
        raise Refused(f"{text!r} has no time of the day", fix=f"write {_FORMATS}")
    return At(text, time if time.tzinfo else time.replace(tzinfo=zone), before=before)


def reaches(bases: Iterable[Base], logs: Mapping[str, Log]) -> list[Reach]:
    """Return what each base leads to, the newest first; bases that lead nowhere are left out."""
    found = [_reach(base, logs[base.system]) for base in bases if base.system in logs]
    there = [each for each in found if each]
    return sorted(there, key=lambda each: each.base.finished, reverse=True)


def _reach(base: Base, log: Log) -> Reach | None:
    segments = wal.row(base.first, log.files)
    if not segments:
        return None
    last = segments[-1]
    end = last.next.number * log.size
    if end < base.end:
        return None
    if wal.reached(end, log.received):
        place = max(log.received, base.end)
        return Reach(base, segments, log.covered, place, log.files, whole=True, sure=True)
    for place, covered in log.ends.items():
        if (place - 1) // log.size == last.number and place >= base.end:
            return Reach(base, segments, covered, place, log.files, whole=False, sure=True)
    # What stood in the last segment before the hole was written by then, not later.
    until = datetime.fromtimestamp(log.files[last].stat().st_mtime, base.finished.tzinfo)
    return Reach(base, segments, max(until, base.finished), end, log.files, whole=False, sure=False)


def choose(at: At, found: Sequence[Reach]) -> Plan:
    """Return how to get to a moment; raises Refused, saying what is there, where nothing leads."""
    if not found:
        raise Refused(
            "no moment can be had again: nothing is kept that begins with a copy of the cluster",
            fix="backup-log makes one when it runs; prod.restore NAME takes a backup",
        )
    ends = {system: until for system, _, until in spans(found)}
    if at.time is None and not at.system and len(ends) > 1:
        raise Refused(
            f"{at.text} of which server? The log is of {len(ends)}, one after the other",
            fix=" or ".join(
                f"--at 'latest {system}' until {_stamp(until)}" for system, until in ends.items()
            ),
        )
    able = [each for each in found if at.system in {"", each.base.system} and _has(at, each)]
    if not able:
        raise Refused(f"{at.text} is outside of what is kept", fix=f"there is {_shown(found)}")
    best = able[0]
    return Plan(at, best, target(at))


def _has(at: At, reach: Reach) -> bool:
    if at.time is not None:
        return reach.base.finished <= at.time <= reach.until
    if at.xid is not None:
        first = reach.base.xmax if at.xid >= _EPOCH else reach.base.xmax % _EPOCH
        return at.xid >= first
    # Where the row has a hole, what comes behind it is the last.
    return reach.whole


def target(at: At) -> dict[str, str]:
    """Return the server's settings that have it stop at a moment; none: at the log's end."""
    inclusive = {"recovery_target_inclusive": "off" if at.before else "on"}
    if at.time is not None:
        return {"recovery_target_time": at.time.isoformat(sep=" "), **inclusive}
    if at.xid is not None:
        return {"recovery_target_xid": str(at.xid), **inclusive}
    return {}


def spans(found: Sequence[Reach]) -> list[tuple[str, datetime, datetime]]:
    """Return each stretch of time in which every moment can be had, with its cluster, in order."""
    joined: list[tuple[str, datetime, datetime]] = []
    for each in sorted(found, key=lambda each: (each.base.system, each.base.finished)):
        system, since, until = each.base.system, each.base.finished, each.until
        if joined and joined[-1][0] == system and since <= joined[-1][2]:
            joined[-1] = (system, joined[-1][1], max(until, joined[-1][2]))
        else:
            joined.append((system, since, until))
    return sorted(joined, key=lambda span: span[1])


def _shown(found: Sequence[Reach]) -> str:
    stretches = spans(found)
    several = len({system for system, _, _ in stretches}) > 1
    parts = [
        f"from {_stamp(since)} to {_stamp(until)}" + (f" on server {system}" if several else "")
        for system, since, until in stretches
    ]
    return "what happened " + " and ".join(parts)


def _stamp(time: datetime) -> str:
    return time.isoformat(sep=" ", timespec="milliseconds")
