"""What a backup says of itself: one JSON file, sealed by a digest of its own.

No secret is in it. Keys of a logical one: `format`, `kind`, `name`, `project`, `release`, `time`
(seconds since 1970), `server` (version, major, system), `database` (how to make it), `roles`,
`content` (content.py), `files` (path → size, sha256), `proof` (None until it is proven: when and
how, or why not).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backup.errors import Refused
from backup.place import PARTIAL

FILE = "manifest.json"
FORMAT = 1

Manifest = dict[str, Any]


def write(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write a backup's manifest in place of the one that is there; whole, or not at all."""
    known = {**manifest, "format": FORMAT}
    known["digest"] = _digest(known)
    new = folder / f"{FILE}{PARTIAL}"
    with new.open("w") as file:
        json.dump(known, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / FILE)


def read(folder: Path) -> Manifest:
    """Return a backup's manifest; raises Refused for one that isn't there, or isn't what it was."""
    path = folder / FILE
    try:
        found = json.loads(path.read_bytes())
        given = found.pop("digest")
    except FileNotFoundError:
        raise _broken(folder, f"it has no {FILE}") from None
    except (ValueError, KeyError, AttributeError, TypeError):
        raise _broken(folder, f"{FILE} can't be read") from None
    except OSError as error:
        raise _broken(folder, f"{FILE} can't be read: {error.strerror}") from None
    if found.get("format") != FORMAT:
        raise Refused(
            f"backup {folder.name} has the format {found.get('format')}, not {FORMAT}",
            fix="use the release of Gangway that made it",
        )
    if given != _digest(found):
        raise _broken(folder, f"{FILE} was changed after it was written")
    whole: Manifest = found
    return whole


def files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of every file of a backup, by its path in the folder."""
    return {
        str(path.relative_to(folder)): {"size": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != FILE
    }


def check_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise Refused unless every file of a backup is what its manifest says."""
    for name, known in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise _broken(folder, f"{name} is missing")
        if (found := path.stat().st_size) != known["size"]:
            raise _broken(folder, f"{name} has {found} bytes, not {known['size']}")
        try:
            same = sha256(path) == known["sha256"]
        except OSError as error:
            raise _broken(folder, f"{name} can't be read: {error.strerror}") from None
        if not same:
            raise _broken(folder, f"{name} is not what was written: its checksum differs")


def sha256(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _broken(folder: Path, why: str) -> Refused:
    return Refused(f"backup {folder.name} is damaged: {why}", fix="take another: backup list")
