"""How things stand: what backups there are, and what is wrong with that."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backup import kept_log, manifest, moments, recover, seal, target
from backup.errors import Refused
from backup.place import Place, size
from backup.settings import Settings

NOTE = "last.json"
BEGUN = "it was cut off"
"""What an attempt is said to have come to until it comes to something else."""
AHEAD = 300
"""Seconds that a backup's time may be after now before the clock counts as changed."""


@dataclass(frozen=True)
class Known:
    """One backup: `proven` with the `time` (s) of that and how, or with why it isn't."""

    name: str
    time: float
    size: int
    release: str
    migration: str
    proven: bool
    proof: str
    proof_time: float
    encrypted: bool
    copied: bool


def known(place: Place, settings: Settings) -> list[Known]:
    """Return the backups, the newest first; one that is damaged isn't proven."""
    return [_known(place, name, settings) for name in reversed(place.names("logical"))]


def findings(place: Place, settings: Settings, now: float) -> list[str]:
    """Return what is wrong, for people and for exit statuses; nothing where all is well."""
    found, last = known(place, settings), attempt(place)
    wrong = []
    if last and not last["done"] and not (last["message"] == BEGUN and place.locked()):
        wrong.append(f"the last backup failed {ago(now - last['time'])} ago: {last['message']}")
    proven = [each for each in found if each.proven and each.time <= now + AHEAD]
    if not found:
        wrong.append("there is no backup yet")
    elif not proven:
        wrong.append("no backup is proven")
    elif now - proven[0].time > settings.overdue * 3600:
        wrong.append(
            f"overdue: the last proven backup is {ago(now - proven[0].time)} old,"
            f" more than {settings.overdue:g} h"
        )
    wrong += [
        f"{each.name} is from {ago(each.time - now)} ahead: the clock was changed"
        for each in found
        if each.time > now + AHEAD
    ]
    if found and not found[0].proven:
        wrong.append(f"{found[0].name} is not proven: {found[0].proof}")
    if settings.target and any(not each.copied for each in found):
        wrong.append(f"not at {settings.target}: {next(e.name for e in found if not e.copied)}")
    return [*wrong, *(recover.findings(settings, place) if kept_log.begun(place) else [])]


def note(place: Place, *, done: bool, message: str = "") -> None:
    """Note how the last attempt ended; where the disk is full that is known by its age."""
    path = place.root / NOTE
    new = path.with_suffix(".new")
    try:
        new.write_text(json.dumps({"time": time.time(), "done": done, "message": message}))
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        if done:
            raise


def attempt(place: Place) -> dict[str, Any] | None:
    """Return how the last attempt ended; None where there was none."""
    try:
        found: dict[str, Any] = json.loads((place.root / NOTE).read_text())
    except (OSError, ValueError):
        return None
    return found


def as_json(place: Place, settings: Settings, now: float, wrong: Sequence[str]) -> str:
    """Return all of it for programs; `wrong` is what was found wrong."""
    return json.dumps(
        {
            "backups": [
                {**asdict(each), "age": ago(now - each.time)} for each in known(place, settings)
            ],
            "moments": [
                {"since": since.isoformat(), "until": until.isoformat(), "system": system}
                for system, since, until in moments.spans(recover.reaches(place))
            ],
            "findings": wrong,
            "free": shutil.disk_usage(place.folder(".")).free,
        }
    )


def as_text(place: Place, settings: Settings, now: float, wrong: Sequence[str]) -> str:
    """Return all of it for people; `wrong` is what was found wrong."""
    lines = [
        f"{each.name:<40} {ago(now - each.time):>8} {each.size / 1e6:>10.1f} MB  "
        + (f"proven {ago(now - each.proof_time)} ago: " if each.proven else "NOT PROVEN: ")
        + each.proof
        + (", encrypted" if each.encrypted else "")
        + (", copied" if each.copied else "")
        for each in known(place, settings)
    ]
    return "\n".join([*lines, *(f"! {each}" for each in wrong)])


def ago(seconds: float) -> str:
    """Return a time span as people say it."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _known(place: Place, name: str, settings: Settings) -> Known:
    folder = place.root / "logical" / name
    damaged, found = _read(folder)
    proof = found.get("proof") or {}
    proven = not damaged and proof.get("proven", False)
    why = damaged or "; ".join(proof.get("differences", ["never tried"])[:3])
    return Known(
        name=name,
        time=found.get("time", folder.stat().st_mtime),
        size=size(folder),
        release=found.get("release", ""),
        migration=found.get("content", {}).get("migration", ""),
        proven=proven,
        proof=proof["how"] if proven else why,
        proof_time=proof.get("time", 0.0),
        encrypted=any(file.endswith(seal.SUFFIX) for file in found.get("files", ())),
        copied=bool(settings.target) and target.copied(place, name, settings),
    )


def _read(folder: Path) -> tuple[str, manifest.Manifest]:
    """Return what is wrong with a backup at a glance, its checksums left out, and its manifest."""
    try:
        found = manifest.read(folder)
    except Refused as error:
        return error.message, {}
    for file, said in found["files"].items():
        if not (folder / file).is_file() or (folder / file).stat().st_size != said["size"]:
            return f"{file} is not what it was", found
    return "", found
