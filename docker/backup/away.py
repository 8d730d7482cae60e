"""The kept log and the copies of the cluster at the target, each file encrypted where keys are set.

TARGET/base/NAME/…           a copy, once it is proven and its log is there; its manifest goes last
TARGET/log/SYSTEM/NAME.gz    a segment
TARGET/log/SYSTEM/state.json how far the segments there reach; goes last

ROOT/away/NAME.json          what is there, as one who put it there wrote it down (Note)
ROOT/away/gone-….json        what the rule removed here, until it is removed there
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backup import kept_log, manifest, physical, seal, target, wal
from backup.errors import Refused
from backup.kept_log import Reached
from backup.moments import Base, Log
from backup.place import Place
from backup.settings import Settings

KIND = "away"
LATE = 300.0
"""Seconds after which what isn't there yet is a finding."""
# How many segments are encrypted and copied at once: what is done by then needn't be done again.
_AT_ONCE = 64
# A head that a page begins with is no record: see wal.reached.
_BEYOND_HEAD = 64


@dataclass(frozen=True)
class Note:
    """What was put at a target, as paths there without what encryption adds.

    `problem` is why the last attempt failed.
    """

    target: str
    there: tuple[str, ...] = ()
    problem: str = ""


def put_log(settings: Settings, here: Place) -> None:
    """Put the log there that isn't yet, and remove what the rule removed here.

    Raises Refused or Failed, and notes that; what is there by then stays noted.
    """
    with here.lock("the log is copied away", "away-log.lock"), _noted(settings, here, "log"):
        for log in _logs(here):
            missing = _missing(log, there(settings, here))
            for first in range(0, len(missing), _AT_ONCE):
                _put_segments(settings, here, log, missing[first : first + _AT_ONCE])
        _remove(settings, here)


def put_bases(settings: Settings, here: Place) -> None:
    """Put the copies there that aren't yet; raises and notes as `put_log` does."""
    with here.lock("a copy is copied away", "away-base.lock"), _noted(settings, here, "base"):
        for base in bases_missing(settings, here):
            folder = here.root / physical.KIND / base.name
            names = [str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()]
            names.remove(manifest.FILE)
            to = f"{physical.KIND}/{base.name}"
            with _ready(settings, here, folder, [*names, manifest.FILE], "base") as source:
                # What was half there is of another key by now, and as long.
                again = ["--ignore-times"] if settings.recipients else []
                target.put(settings, source, to, *again)
            add(settings, here, "base", [to])
            if not folder.exists():
                # The rule removed it meanwhile.
                let_go(here, [to])


def log_missing(settings: Settings, here: Place) -> bool:
    """Say whether there is something for `put_log` to do."""
    known = there(settings, here)
    return any(_missing(log, known) for log in _logs(here)) or bool(_gone(here))


def bases_missing(settings: Settings, here: Place) -> list[Base]:
    """Return the copies that aren't there though all that they need is, the oldest first."""
    known = there(settings, here)
    found = []
    for base in physical.bases(here):
        last = wal.Segment(base.timeline, (base.end - 1) // base.size).name(base.size)
        needed = f"{kept_log.KIND}/{base.system}/{last}"
        led_to = needed in known or f"{needed}.gz" in known
        if base.proven and led_to and f"{physical.KIND}/{base.name}" not in known:
            found.append(base)
    return found


def there(settings: Settings, here: Place) -> set[str]:
    """Return what is at the target, by all that was noted."""
    notes = [_read(path) for path in (here.root / KIND).glob("*.json")]
    own = [note for note in notes if note and note.target == settings.target]
    return {each for note in own for each in note.there}


def add(
    settings: Settings, here: Place, name: str, paths: Sequence[str], problem: str = ""
) -> None:
    """Note under a name that something is there; what is here no more is left out."""
    path = here.folder(KIND) / f"{name}.json"
    before = _read(path)
    known = before.there if before and before.target == settings.target else ()
    kept = [each for each in known if (here.root / each).exists()]
    note = Note(settings.target, tuple(dict.fromkeys([*kept, *paths])), problem)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(asdict(note)))
    new.replace(path)


def let_go(here: Place, paths: Sequence[str]) -> None:
    """Have what the rule removes here removed there as well, with the next of the log."""
    if paths and (here.root / KIND).is_dir():
        path = here.root / KIND / f"gone-{time.time_ns()}.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(list(paths)))
        new.replace(path)


def findings(settings: Settings, here: Place) -> list[str]:
    """Return what is wrong with what is at the target, for people."""
    if not settings.target:
        return []
    notes = [_read(here.root / KIND / f"{name}.json") for name in ("log", "base")]
    problems = [note.problem for note in notes if note and note.target == settings.target]
    wrong = [each for each in problems if each]
    if wrong:
        return [f"the log isn't copied away: {wrong[0]}"]
    known = there(settings, here)
    missing = [path for log in _logs(here) for path in _missing(log, known)]
    late = time.time() - min((path.stat().st_ctime for path in missing), default=time.time())
    if late > LATE:
        return [f"not at {settings.target}: {round(late)} s of the log"]
    proven = [base for base in physical.bases(here) if base.proven]
    if not any(f"{physical.KIND}/{base.name}" in known for base in proven):
        return [f"not at {settings.target}: a copy of the server's files"]
    newest = proven[-1]
    age = time.time() - newest.finished.timestamp()
    if f"{physical.KIND}/{newest.name}" not in known and age > settings.base_hours * 3600:
        return [f"not at {settings.target}: {newest.name}, a copy of the server's files"]
    return []


@contextlib.contextmanager
def _noted(settings: Settings, here: Place, name: str) -> Iterator[None]:
    """Note how the block ends."""
    try:
        yield
    except (Refused, OSError) as error:
        with contextlib.suppress(OSError):
            add(settings, here, name, [], str(error))
        raise
    add(settings, here, name, [])


def _logs(here: Place) -> list[Log]:
    sizes = {each.system: each.size for each in physical.bases(here)}
    return list(kept_log.logs(here, sizes).values())


def _missing(log: Log, known: set[str]) -> list[Path]:
    """Return the segments that are whole and not there, and what is known of holes."""
    files = [log.files[which] for which in sorted(log.files)]
    done = [path for path in files if path.parent.name != kept_log.ARRIVING]
    ends = [path for folder in {path.parent for path in done}
            for path in folder.glob(f"{kept_log.ENDED}*.json")]  # fmt: skip
    return [path for path in [*done, *ends] if _path(log, path.name) not in known]


def _path(log: Log, name: str) -> str:
    return f"{kept_log.KIND}/{log.system}/{name}"


def _put_segments(settings: Settings, here: Place, log: Log, paths: Sequence[Path]) -> None:
    names = [path.name for path in paths]
    _put_files(settings, here, log, paths[0].parent, names)
    add(settings, here, "log", [_path(log, name) for name in names])
    if reached := _reached(log, there(settings, here)):
        folder = here.folder(f"{KIND}/state")
        (folder / kept_log.STATE).write_text(json.dumps(asdict(reached)))
        _put_files(settings, here, log, folder, [kept_log.STATE])


def _put_files(
    settings: Settings, here: Place, log: Log, folder: Path, names: Sequence[str]
) -> None:
    to = target.at(settings, f"{kept_log.KIND}/{log.system}")
    with _ready(settings, here, folder, names, "log") as source:
        sealed = [name + seal.SUFFIX for name in names] if settings.recipients else names
        # Listed by name: a folder there of ten thousand segments isn't read for it.
        how = ["--files-from-raw", "-", "--no-traverse", "--ignore-times"]
        target.rclone(settings, "copy", str(source), to, *how, text="\n".join(sealed))


@contextlib.contextmanager
def _ready(
    settings: Settings, here: Place, folder: Path, names: Sequence[str], who: str
) -> Iterator[Path]:
    """Yield a folder with the files as they are to be there, with their times."""
    if not settings.recipients:
        yield folder
        return
    # Not in `scratch`, which is swept by whoever has the lock.
    sealing = here.root / KIND / f"sealing-{who}"
    shutil.rmtree(sealing, ignore_errors=True)
    try:
        for name in names:
            sealed = sealing / (name + seal.SUFFIX)
            sealed.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            seal.close_to(folder / name, sealed, settings.recipients)
            times = (folder / name).stat()
            os.utime(sealed, ns=(times.st_atime_ns, times.st_mtime_ns))
        yield sealing
    finally:
        shutil.rmtree(sealing, ignore_errors=True)


def _reached(log: Log, known: set[str]) -> Reached | None:
    """Return how far the log reaches there; None where nobody can say."""
    done = [which for which, path in log.files.items()
            if path.suffix != wal.PARTIAL and _path(log, path.name) in known]  # fmt: skip
    if not done:
        return None
    last = max(done, key=lambda which: which.number)
    # Where its last record ends is not known, but that there are some; and what was committed in
    # its last second may stand in the next one.
    place = last.number * log.size + _BEYOND_HEAD
    covered = log.files[last].stat().st_mtime - 1
    if log.received and wal.reached(last.next.number * log.size, log.received):
        place, covered = max(place, log.received), max(covered, log.covered.timestamp())
    return Reached(log.system, log.size, place, covered, looked=time.time())


def _gone(here: Place) -> list[Path]:
    return sorted((here.root / KIND).glob("gone-*.json"))


def _remove(settings: Settings, here: Place) -> None:
    """Remove there what the rule has removed here: copies first, which lead nowhere without log."""
    markers = _gone(here)
    paths = [path for marker in markers for path in json.loads(marker.read_text())]
    gone = [path for path in paths if not (here.root / path).exists()]
    copies = [path for path in gone if path.startswith(f"{physical.KIND}/")]
    log = [path for path in gone if path not in copies]
    for patterns in (
        [f"/{path}/{manifest.FILE}*" for path in copies],
        [f"/{path}/**" for path in copies],
        # A segment however its name ends there, and all of a cluster's.
        [f"/{path.partition('.')[0]}*" if path.count("/") > 1 else f"/{path}/**" for path in log],
    ):
        if patterns:
            how = ["--include-from", "-", "--rmdirs"]
            target.rclone(settings, "delete", settings.target, *how, text="\n".join(patterns))
    for marker in markers:
        marker.unlink()


def _read(path: Path) -> Note | None:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        known: dict[str, Any] = json.loads(path.read_text())
        return Note(known["target"], tuple(known["there"]), known["problem"])
    return None
