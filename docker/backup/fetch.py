"""What was kept of servers that are gone with their machine, back from the target (away.py)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from backup import away, kept_log, manifest, moments, physical, place, seal, target, wal
from backup.errors import Refused
from backup.moments import Base, Log
from backup.place import Place
from backup.settings import Settings


class Fault(NamedTuple):
    """What isn't what it was: a file or a folder, or None for what is missing; and why."""

    path: Path | None
    error: Refused


def fetch(settings: Settings, here: Place, *, anyway: bool = False) -> list[str]:
    """Get log and copies back, as if they had never gone; return of which servers.

    Those of which there is nothing here. `anyway`: what is good of it. Raises Refused where nothing
    is to be got, and where something is damaged, missing or not opened by the key: nothing is
    changed then.
    """
    if not settings.target:
        raise Refused("there is no target", fix="set BACKUP_COPIES or BACKUP_TARGET")
    with here.lock("the log is got from the target"), here.scratch() as folder:
        # Laid out as it is here, so that what reads it here reads it there.
        got = Place(folder)
        heads, faults = _heads(settings, got)
        if faults and not (anyway and heads):
            raise faults[0].error
        systems = sorted({each.system for each in heads if not _folder(here, each.system).exists()})
        if not systems:
            raise Refused(
                f"{settings.target} has the log of no server of which there is none here",
                fix="backup moments says what can be had",
            )
        names = [each.name for each in heads if each.system in systems]
        patterns = [f"/{kept_log.KIND}/{system}/**" for system in systems]
        _get(settings, got, [*patterns, *(f"/{physical.KIND}/{name}/**" for name in names)])
        faults = [*_opened(settings, got), *_faults(got, systems, names)]
        if faults and not anyway:
            more = f", and {len(faults) - 1} more" if faults[1:] else ""
            raise Refused(
                f"the log at {settings.target} is not whole: {faults[0].error.message}{more}",
                fix="log-fetch --anyway takes what is good of it",
            )
        for path in {fault.path for fault in faults if fault.path}:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        place.sync(folder)
        _into_place(settings, here, got, systems)
    return systems


def _folder(where: Place, system: str) -> Path:
    return where.root / kept_log.KIND / system


def _get(settings: Settings, got: Place, patterns: Iterable[str]) -> None:
    how = ["--include-from", "-"]
    text = "\n".join(patterns)
    target.rclone(settings, "copy", settings.target, str(got.root), *how, text=text)


def _heads(settings: Settings, got: Place) -> tuple[list[Base], list[Fault]]:
    """Return this project's copies that are whole there, by their manifests."""
    # What lacks one was on its way when the machine was lost, and is no copy.
    _get(settings, got, [f"/{physical.KIND}/*/{manifest.FILE}*"])
    found, faults = [], _opened(settings, got)
    for path in (got.root / physical.KIND).glob(f"*/{manifest.FILE}"):
        try:
            known = manifest.read(path.parent)
        except Refused as error:
            faults.append(Fault(path, error))
            continue
        if known["project"] == settings.project:
            found.append(physical.as_base(known))
    shutil.rmtree(got.root / physical.KIND, ignore_errors=True)
    return found, faults


def _opened(settings: Settings, got: Place) -> list[Fault]:
    """Decrypt what is encrypted; return what isn't opened."""
    faults = []
    for sealed in sorted(got.root.rglob(f"*{seal.SUFFIX}")):
        plain = sealed.with_suffix("")
        try:
            seal.open_to(sealed, settings.identity, plain, str(plain.relative_to(got.root)))
        except Refused as error:
            faults.append(Fault(sealed, error))
            continue
        times = sealed.stat()
        os.utime(plain, ns=(times.st_atime_ns, times.st_mtime_ns))
        sealed.unlink()
    return faults


def _faults(got: Place, systems: Iterable[str], names: Iterable[str]) -> Iterator[Fault]:
    """Yield what isn't as it was written, or isn't there."""
    for name in names:
        folder = got.root / physical.KIND / name
        try:
            manifest.check_files(folder, manifest.read(folder))
        except Refused as error:
            yield Fault(folder, error)
    bases = physical.bases(got)
    for name in sorted({*names} - {base.name for base in bases}):
        yield Fault(None, Refused(f"what the copy {name} builds on is not there"))
    logs = kept_log.logs(got, {base.system: base.size for base in bases})
    for system in systems:
        if not (_folder(got, system) / kept_log.STATE).is_file():
            yield Fault(None, Refused(f"nothing says how far the log of server {system} reaches"))
    for log in logs.values():
        yield from _damaged(log)
    able = {each.base.name: each for each in moments.reaches(bases, logs)}
    for base in bases:
        reach = able.get(base.name)
        if not reach or not (reach.whole or reach.sure):
            row = wal.row(base.first, logs[base.system].files) if base.system in logs else []
            missing = row[-1].next if row else base.first
            yield Fault(None, Refused(f"{missing.name(base.size)} of the log is missing"))


def _damaged(log: Log) -> Iterator[Fault]:
    with tempfile.TemporaryDirectory() as folder:
        for which, path in sorted(log.files.items()):
            # What is wrong inside of one that never became whole, only a replay can say.
            if path.suffix == wal.PARTIAL:
                continue
            try:
                wal.unpack(path, Path(folder) / "segment", which, size=log.size, system=log.system)
            except wal.Damage as fault:
                yield Fault(path, Refused(f"{path.name} of the log is damaged: {fault}"))


def _into_place(settings: Settings, here: Place, got: Place, systems: Iterable[str]) -> None:
    bases, logs = here.folder(physical.KIND), here.folder(kept_log.KIND)
    for system in systems:
        own = [base.name for base in physical.bases(got) if base.system == system]
        files = {path.name for path in _folder(got, system).iterdir()} - {kept_log.STATE}
        # First, and the log last: cut off at any point, this can be done again.
        away.add(settings, here, f"fetched-{system}", [
            *(f"{physical.KIND}/{name}" for name in own),
            *(f"{kept_log.KIND}/{system}/{name}" for name in files),
        ])  # fmt: skip
        for name in own:
            if not (bases / name).exists():
                (got.root / physical.KIND / name).rename(bases / name)
        wal.sync(bases)
        _folder(got, system).rename(logs / system)
        wal.sync(logs)
