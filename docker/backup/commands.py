"""What can be asked for: a function for each word."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backup import keep, logical, prove, restore, schedule, seal, state, swap, target, volumes
from backup.errors import Failed, Refused
from backup.place import Place
from backup.settings import Settings

Words = Sequence[str]
BEAT = 30
"""Seconds after which the schedule's heartbeat is too old."""
PATIENT, PATIENCE = "--patient", 3600.0
"""What the schedule adds: nobody is there to try again, so it waits for its turn, in seconds."""


def make(settings: Settings, words: Words) -> int:
    """Make a backup, prove it, copy it away and let old ones go: 1 unless all of it went well.

    --release NAME: what runs, in place of BACKUP_RELEASE. --patient: wait for one's turn.
    """
    patience = PATIENCE if PATIENT in words else 0.0
    if words[:1] == ["--release"] and words[1:]:
        settings = replace(settings, release=words[1] or settings.release)
    place = Place(settings.root)
    _check(settings)
    with place.lock("a backup is made", patience=patience):
        _say_swept(place)
        state.note(place, done=False, message=state.BEGUN)
        try:
            folder = logical.make(place, settings)
        except (Refused, OSError) as error:
            state.note(place, done=False, message=str(error))
            raise
        found = state.known(place, settings)[0]
        print(f"{folder.name}: {found.proof if found.proven else f'NOT PROVEN: {found.proof}'}")
        _away(place, settings)
        if not found.proven:
            raise _noted(place, Failed(f"{folder.name} is not proven: {found.proof}"))
        state.note(place, done=True)
    return 0


def listing(settings: Settings, words: Words) -> int:
    """Print the backups, and what is wrong: 1 if anything is. --json: for programs."""
    place, now = Place(settings.root), time.time()
    wrong = state.findings(place, settings, now)
    print((state.as_json if "--json" in words else state.as_text)(place, settings, now, wrong))
    return 1 if wrong else 0


def healthy(settings: Settings, _words: Words) -> int:
    """Print what is wrong, for `prod.ps`: 1 only if the schedule isn't kept."""
    place, now = Place(settings.root), time.time()
    for each in state.findings(place, settings, now):
        print(f"note: {each}")
    beat = Path(tempfile.gettempdir()) / "heartbeat"
    if place.locked() or (beat.exists() and now - beat.stat().st_mtime < BEAT):
        return 0
    print("the schedule isn't kept: nothing has been due for too long")
    return 1


def again(settings: Settings, words: Words) -> int:
    """Prove a backup again, the newest or the one that is named: 1 if it isn't what it was."""
    place = Place(settings.root)
    with place.lock("a backup is proven"):
        folder = place.find("logical", _one(words))
        proof = logical.prove_again(place, folder, settings)["proof"]
    if not proof["proven"]:
        raise Failed(f"{folder.name} is not proven: {'; '.join(proof['differences'])}")
    print(f"{folder.name}: {proof['how']}")
    return 0


def check(settings: Settings, words: Words) -> int:
    """Refuse what `prepare` would refuse, and print the name of what it would restore."""
    place = Place(settings.root)
    with place.lock("a backup is looked at"):
        folder = _found(place, settings, _one(words))
        with prove.plain(place, folder, settings):
            print(folder.name)
    return 0


def prepare(settings: Settings, words: Words) -> int:
    """Restore a backup beside the live database, and prove it there; print its name."""
    place = Place(settings.root)
    with place.lock("a backup is restored"):
        folder = _found(place, settings, _one(words))
        for line in restore.prepare(place, folder, settings):
            print(line, file=sys.stderr)
    print(folder.name)
    return 0


def put(settings: Settings, words: Words) -> int:
    """Put files of a volume back as a backup has them: `put VOLUME [NAME]`; print how many."""
    place, known_volumes = Place(settings.root), volumes.names(settings.volumes)
    if not words or words[0] not in known_volumes or settings.volumes is None:
        there = ", ".join(known_volumes) or "none goes along with the backups"
        raise Refused(f"there is no volume {' '.join(words[:1])}", fix=f"there is: {there}")
    volume = settings.volumes / words[0]
    with place.lock("files are put back"):
        folder = _found(place, settings, _one(words[1:]))
        with prove.plain(place, folder, settings) as (dump, known):
            if words[0] not in known.get("volumes", {}):
                raise Refused(f"backup {folder.name} has no volume {words[0]}")
            written, seen = volumes.put(dump.with_name(volumes.archive(words[0])), volume)
    print(f"{written} of {seen} files of {words[0]} are put back as {folder.name} has them")
    return 0


def swapped(settings: Settings, _words: Words) -> int:
    """Put what was restored in the live database's place; print the name of what was there."""
    if not swap.unfinished(settings.server):
        raise Refused("nothing was restored that could be swapped in", fix="backup prepare NAME")
    print(swap.swap(settings.server, swap.restoring(settings.server.database)))
    return 0


def back(settings: Settings, _words: Words) -> int:
    """Put the database back that the last restore put aside; print what was put aside for it."""
    before, now = swap.back(settings.server)
    print(f"{before} is {settings.server.database} again; what was there is {now}")
    return 0


def kept(settings: Settings, words: Words) -> int:
    """Print the databases that restores have put aside. --all: and one that was never finished."""
    more = swap.unfinished(settings.server) if "--all" in words else []
    print("\n".join([*swap.kept(settings.server), *more]))
    return 0


def forget(settings: Settings, _words: Words) -> int:
    """Delete the databases that restores have put aside; print their names."""
    print("\n".join(swap.forget(settings.server)))
    return 0


def serve(settings: Settings, _words: Words) -> int:
    """Make a backup now if one is due, then whenever BACKUP_SCHEDULE says: never returns."""
    schedule.check(settings.schedule)
    _check(settings)
    beat = Path(tempfile.gettempdir()) / "heartbeat"
    beat.touch()
    again = [sys.executable, "-m", "backup", "make", PATIENT]
    if state.findings(Place(settings.root), settings, time.time()):
        # Its end is in the log and in what health checks say; the schedule goes on whatever it was.
        subprocess.run(again, check=False)
    beat.touch()
    schedule.keep(settings.schedule, again)


def _check(settings: Settings) -> None:
    keep.parse(settings.keep)
    if settings.recipients:
        seal.recipients(settings.recipients)


def _say_swept(place: Place) -> None:
    for left in place.sweep():
        print(f"removed {left.name}, which something left behind that was killed", file=sys.stderr)


def _away(place: Place, settings: Settings) -> None:
    """Copy what isn't at the target, then let go what the rule lets go, here and there."""
    found = state.known(place, settings)
    proven = [each.name for each in found if each.proven]
    gone = keep.gone(keep.parse(settings.keep), {each.name: each.time for each in found}, proven)
    for each in reversed(found):
        if settings.target and not each.copied and each.name not in gone:
            try:
                target.copy(place, place.root / "logical" / each.name, settings)
            except Failed as error:
                raise _noted(place, error) from None
    if settings.target:
        target.forget(place, gone, settings)
    for name in gone:
        shutil.rmtree(place.root / "logical" / name)
        print(f"{name} is let go: BACKUP_KEEP={settings.keep}")


def _noted(place: Place, error: Failed) -> Failed:
    state.note(place, done=False, message=error.message)
    return error


def _found(place: Place, settings: Settings, wanted: str) -> Path:
    """Return a backup's folder; one that is only at the target is got from there."""
    try:
        return place.find("logical", wanted)
    except Refused:
        there = target.names(settings) if settings.target else []
        names = [name for name in there if wanted in name]
        if not names or (wanted and len(names) > 1):
            raise
        return target.fetch(place, names[-1], settings)


def _one(words: Words) -> str:
    if len(words) > 1:
        raise Refused(f"one backup at a time, not {' '.join(words)}")
    return words[0] if words else ""
