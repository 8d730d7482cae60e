"""A logical backup as it lies in a folder: what `prod.backup` made, or a file of pg_dump's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from gangway.base.errors import GangwayError

MANIFEST: Final = "manifest.json"
DUMP: Final = "database.dump"
# How every archive of pg_dump's custom format begins.
_MAGIC: Final = b"PGDMP"


class Backup(NamedTuple):
    """A dump that is what it was when it was made; of which major, and whether proven, if known."""

    name: str
    dump: Path
    major: int = 0
    proven: bool | None = None


def find(path: Path) -> Backup:
    """Return the backup at a path: a folder with a manifest, or a dump in the custom format.

    Raises GangwayError for one that isn't there, isn't whole, or is encrypted.
    """
    if not path.exists():
        raise GangwayError(
            f"there is no backup at {path}",
            fix="--from takes the folder of one of prod.backups, copied here, or a file that "
            "pg_dump -Fc wrote",
        )
    if not path.is_dir():
        return Backup(path.name, _checked(path))
    manifest = _manifest(path)
    if not (path / DUMP).is_file():
        if (path / f"{DUMP}.age").is_file():
            raise GangwayError(
                f"{path.name} is encrypted, and its key isn't for development",
                where=str(path),
                fix=f"where the key is: age --decrypt -i KEY {DUMP}.age > {DUMP}; then --from "
                "that file",
            )
        raise _damaged(path, f"{DUMP} is missing")
    _check_sum(path, manifest)
    proof = manifest.get("proof") or {}
    major = int((manifest.get("server") or {}).get("major") or 0)
    return Backup(path.name, _checked(path / DUMP), major, bool(proof.get("proven")))


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        digest = found.pop("digest")
    except FileNotFoundError:
        raise GangwayError(
            f"{folder} is no backup: it has no {MANIFEST}",
            fix="--from takes the folder of one backup, as prod.backup makes it",
        ) from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise _damaged(folder, f"{MANIFEST} can't be read") from None
    if digest != hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest():
        raise _damaged(folder, f"{MANIFEST} was changed after it was written")
    return found


def _check_sum(folder: Path, manifest: dict[str, Any]) -> None:
    known = manifest.get("files", {}).get(DUMP, {})
    with (folder / DUMP).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != known.get("sha256"):
        raise _damaged(folder, f"{DUMP} is not what was written: its checksum differs")


def _checked(dump: Path) -> Path:
    try:
        with dump.open("rb") as file:
            begins = file.read(len(_MAGIC))
    except OSError as error:
        raise GangwayError(f"it can't be read: {error.strerror}", where=str(dump)) from None
    if begins != _MAGIC:
        raise GangwayError(
            f"{dump} is no dump in pg_dump's custom format",
            fix="pg_dump -Fc makes one; a file of SQL could hold any command",
        )
    return dump


def _damaged(folder: Path, why: str) -> GangwayError:
    return GangwayError(f"backup {folder.name} is damaged: {why}", fix="copy it again, or another")
