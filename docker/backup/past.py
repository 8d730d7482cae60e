"""Words about the past: the log that is kept, and the moments that can be had again."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from backup import (
    away,
    content,
    fetch,
    follow,
    kept_log,
    logical,
    moments,
    recover,
    sql,
    stream,
    upkeep,
)
from backup.errors import Refused
from backup.place import Place
from backup.settings import Server, Settings


def log(settings: Settings, _words: Sequence[str]) -> int:
    """Follow the server's log until SIGTERM: the service `backup-log`."""
    return follow.serve(settings, Place(settings.root))


def log_healthy(settings: Settings, _words: Sequence[str]) -> int:
    """Print what is wrong, for `prod.ps`: 1 only where nobody tries to follow the log."""
    for each in recover.findings(settings, Place(settings.root)):
        print(f"note: {each}")
    if follow.alive():
        return 0
    print("nobody follows the log")
    return 1


def log_end(settings: Settings, _words: Sequence[str]) -> int:
    """Have the server keep nothing for us any more, where `backup-log` is never to run again."""
    with sql.session(settings.server) as session:
        stream.forget(session)
    kept_log.end(Place(settings.root))
    return 0


def base(settings: Settings, words: Sequence[str]) -> int:
    """Make a copy of the whole cluster, for the log to lead on from, and prove it."""
    name = upkeep.make(settings, Place(settings.root), full="--full" in words)
    print(name)
    return 0


def log_away(settings: Settings, _words: Sequence[str]) -> int:
    """Copy the log to the target, as far as it isn't there."""
    away.put_log(settings, Place(settings.root))
    return 0


def base_away(settings: Settings, _words: Sequence[str]) -> int:
    """Copy the copies of the cluster to the target that aren't there."""
    away.put_bases(settings, Place(settings.root))
    return 0


def log_fetch(settings: Settings, words: Sequence[str]) -> int:
    """Get back from the target what was kept of servers of which nothing is here; print which.

    --anyway: what is good of it, where some is damaged or missing.
    """
    unknown = [word for word in words if word != "--anyway"]
    if unknown:
        raise Refused(f"log-fetch knows no {unknown[0]}", fix="--anyway, or nothing")
    for system in fetch.fetch(settings, Place(settings.root), anyway="--anyway" in words):
        print(system)
    return 0


def shown(settings: Settings, _words: Sequence[str]) -> int:
    """Print as JSON what stretches of time can be had again, and the copies they begin with."""
    found = recover.reaches(Place(settings.root))
    stretches = [
        {"system": system, "since": since.isoformat(), "until": until.isoformat()}
        for system, since, until in moments.spans(found)
    ]
    copies = [
        {"name": each.base.name, "until": each.until.isoformat(), "proven": each.base.proven}
        for each in found
    ]
    json.dump({"moments": stretches, "copies": copies}, sys.stdout, indent=1)
    print()
    return 0


def look(settings: Settings, words: Sequence[str]) -> int:
    """Print as JSON what the database had in it at a moment; nothing is changed."""
    with _then(settings, words, "looked at") as (_, server), content.snapshot(server) as session:
        json.dump(content.read(session, settings.read), sys.stdout, indent=1)
    print()
    return 0


def moment(settings: Settings, words: Sequence[str]) -> int:
    """Refuse a moment that can't be had, and print the copy that leads to it."""
    print(_wanted(settings, words).reach.base.name)
    return 0


def recovered(settings: Settings, words: Sequence[str]) -> int:
    """Make a backup of the database as it was at a moment, proven as any other; print its name."""
    with _then(settings, words, "recovered") as (wanted, server):
        # The volumes are of now, not of then.
        release = f"at-{wanted.at.text.replace(' ', 'T')}"
        then = replace(settings, server=server, volumes=None, release=release)
        folder = logical.make(Place(settings.root), then)
        print(folder.name)
    return 0


def plan(settings: Settings, text: str, zone: str = "") -> moments.Plan:
    """Return how to get to a moment; raises Refused for none, or one outside of what is kept."""
    try:
        known = ZoneInfo(zone) if zone else UTC
    except (ZoneInfoNotFoundError, ValueError):
        raise Refused(f"there is no time zone {zone}", fix="set TZ to one, or to nothing") from None
    at = moments.parse(text, known)
    return moments.choose(at, recover.reaches(Place(settings.root)))


@contextlib.contextmanager
def _then(
    settings: Settings, words: Sequence[str], done: str
) -> Iterator[tuple[moments.Plan, Server]]:
    """Yield how to get to the moment that is asked for, and a server as it was then."""
    here, wanted = Place(settings.root), _wanted(settings, words)
    with (
        here.lock(f"the moment {wanted.at.text} is {done}"),
        recover.recovered(settings, here, wanted) as server,
    ):
        yield wanted, server


def _wanted(settings: Settings, words: Sequence[str]) -> moments.Plan:
    return plan(settings, _moment(words), os.environ.get("TZ", ""))


def _moment(words: Sequence[str]) -> str:
    if not words:
        raise Refused("which moment?", fix="a time, a transaction's number, or latest")
    return " ".join(words)
