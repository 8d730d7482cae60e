"""Copies elsewhere, by rclone: a folder, S3 and what else it knows.

A copy is whole once its manifest is there, which goes last. Where a backup was copied to is said by
a file for each in ROOT/copied: what a failure left out, and all for another target, is copied the
next time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backup import manifest, programs
from backup.errors import Failed
from backup.place import Place
from backup.settings import Settings

PATIENCE = ("--contimeout", "15s", "--timeout", "60s", "--retries", "2", "--low-level-retries", "3")


def copied(place: Place, name: str, settings: Settings) -> bool:
    """Say whether a backup was copied to the target, and found to be the same there."""
    try:
        return (place.root / "copied" / name).read_text() == settings.target
    except OSError:
        return False


def copy(place: Place, folder: Path, settings: Settings) -> None:
    """Copy a backup, compare it there, and note that; raises Failed with what rclone said."""
    put(settings, folder, f"logical/{folder.name}")
    _note(place, folder.name, settings)


def put(settings: Settings, folder: Path, path: str, *how: str) -> None:
    """Copy a folder to a path at the target, its manifest last, and compare both.

    `how` is rclone's, for all but the manifest. Raises Failed with what it said.
    """
    there = at(settings, path)
    rclone(settings, "copy", str(folder), there, "--exclude", f"{manifest.FILE}*", *how)
    rclone(settings, "copy", str(folder), there)
    rclone(settings, "check", str(folder), there, "--one-way")


def fetch(place: Place, name: str, settings: Settings) -> Path:
    """Get a backup back that isn't here any more; raises Refused where it isn't what it was."""
    with place.making("logical", name) as folder:
        rclone(settings, "copy", at(settings, f"logical/{name}"), str(folder))
        manifest.check_files(folder, manifest.read(folder))
    _note(place, name, settings)
    return place.root / "logical" / name


def names(settings: Settings) -> list[str]:
    """Return the names of the backups at the target, whole or not."""
    found = rclone(settings, "lsf", "--dirs-only", at(settings, "logical"))
    return sorted(line.rstrip("/") for line in found.splitlines())


def forget(place: Place, gone: Sequence[str], settings: Settings) -> None:
    """Remove backups at the target that the rule has let go here."""
    for name in gone:
        if copied(place, name, settings):
            rclone(settings, "purge", at(settings, f"logical/{name}"))
        (place.root / "copied" / name).unlink(missing_ok=True)


def _note(place: Place, name: str, settings: Settings) -> None:
    (place.folder("copied") / name).write_text(settings.target)


def at(settings: Settings, path: str) -> str:
    """Return rclone's word for a path at the target."""
    return f"{settings.target.rstrip('/')}/{path}"


def rclone(settings: Settings, *words: str, text: str = "") -> str:
    """Run rclone with `text` as its input; raises Failed with what it said of the target."""
    # It would write a token into the file that it was given; a copy in memory will do.
    config = {"RCLONE_CONFIG": str(settings.target_config or "")}
    try:
        return programs.run(["rclone", *words, *PATIENCE], config, text)
    except Failed as error:
        raise Failed(f"the target {settings.target}: {error.message}", fix=error.fix) from None
