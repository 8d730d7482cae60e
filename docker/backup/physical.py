"""Copies of a whole cluster, which the log is replayed on: a folder NAME in ROOT/base.

NAME/manifest.json           where in the log it begins and ends, what it builds on, its files
NAME/copy/base.tar.gz, …     as pg_basebackup writes them, with its own manifest
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backup import manifest, place, programs, sql, stream, wal
from backup.errors import Failed, Refused
from backup.manifest import Manifest
from backup.moments import Base
from backup.place import Place
from backup.settings import Settings
from backup.stream import Cluster

KIND = "base"
COPY = "copy"
THEIR_MANIFEST = "backup_manifest"
# A level that keeps up with the disk.
_COMPRESSED = "client-gzip:1"


def take(settings: Settings, here: Place, on: Base | None = None) -> str:
    """Copy the live server's cluster, all of it or what changed since `on`; return the name.

    Raises Refused for a server whose files can't be had, Failed for what went wrong.
    """
    with sql.session(settings.server) as session:
        found = stream.cluster(session)
        _refuse_tablespaces(session)
        name = place.new_name(settings.release, time.time())
        with here.making(KIND, name) as folder:
            _copy(settings, folder / COPY, _parent(here, on))
            known = {**_facts(session, found, folder), "name": name, "project": settings.project,
                     "release": settings.release, "time": time.time(),
                     "parents": [*on.parents, on.name] if on else []}  # fmt: skip
            manifest.write(folder, known)
    return name


def _copy(settings: Settings, target: Path, parent: Path | None) -> None:
    incremental = [f"--incremental={parent}"] if parent else []
    programs.run(
        ["pg_basebackup", "--pgdata", target, "--format=tar", f"--compress={_COMPRESSED}",
         "--wal-method=stream", "--checkpoint=fast", "--no-password", *incremental],
        settings.server.environment(),
    )  # fmt: skip


def _parent(here: Place, on: Base | None) -> Path | None:
    return here.root / KIND / on.name / COPY / THEIR_MANIFEST if on else None


def _facts(session: sql.Session, found: Cluster, folder: Path) -> dict[str, Any]:
    theirs = json.loads((folder / COPY / THEIR_MANIFEST).read_text())
    ranges = theirs["WAL-Ranges"]
    if len(ranges) != 1:
        raise Failed("the server changed its timeline meanwhile", fix="make the copy again")
    after = session.rows(
        "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8 AS finished,"
        " pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text AS xmax,"
        " pg_catalog.version() AS version"
    )[0]
    return {
        "kind": "physical",
        "server": {"system": found.system, "major": found.major, "version": after["version"]},
        "size": found.size,
        "timeline": ranges[0]["Timeline"],
        "start": wal.position(ranges[0]["Start-LSN"]),
        "end": wal.position(ranges[0]["End-LSN"]),
        "finished": after["finished"],
        "xmax": int(after["xmax"]),
        "files": manifest.files(folder),
        "proof": None,
    }


def _refuse_tablespaces(session: sql.Session) -> None:
    found = session.text("SELECT spcname FROM pg_catalog.pg_tablespace WHERE oid >= 16384")
    if found:
        raise Refused(
            f"the server keeps data outside of its folder: tablespace {' '.join(found.split())}",
            fix="move that into pg_default",
        )


def bases(here: Place) -> list[Base]:
    """Return the copies that can be read and whose parents are there, the oldest first."""
    found: dict[str, Base] = {}
    for name in here.names(KIND):
        try:
            known = manifest.read(here.root / KIND / name)
        except Refused:
            continue
        base = as_base(known)
        if all(parent in found for parent in base.parents):
            found[name] = base
    return list(found.values())


def as_base(known: Manifest) -> Base:
    """Return what a manifest says of a copy."""
    return Base(
        name=known["name"],
        system=known["server"]["system"],
        size=known["size"],
        timeline=known["timeline"],
        start=known["start"],
        end=known["end"],
        finished=datetime.fromtimestamp(known["finished"], UTC),
        xmax=known["xmax"],
        parents=tuple(known["parents"]),
        proven=bool((known["proof"] or {}).get("proven")),
    )


def unpack(here: Place, base: Base, folder: Path) -> Path:
    """Put a copy's files into a folder, with what it builds on, and return the data's folder.

    Raises Refused where a file isn't what was written.
    """
    parts: list[Path] = []
    for name in (*base.parents, base.name):
        source = here.root / KIND / name
        manifest.check_files(source, manifest.read(source))
        parts.append(_unpack(source / COPY, folder / f"part-{len(parts)}"))
    if len(parts) == 1:
        return parts[0]
    data = folder / "data"
    programs.run(["pg_combinebackup", "--no-sync", "--output", data, *parts])
    return data


def _unpack(source: Path, target: Path) -> Path:
    target.mkdir(mode=0o700)
    try:
        _extract(source / "base.tar.gz", target)
        _extract(source / "pg_wal.tar.gz", target / "pg_wal")
        (target / THEIR_MANIFEST).write_bytes((source / THEIR_MANIFEST).read_bytes())
        programs.run(["pg_verifybackup", "--quiet", "--no-parse-wal", target])
    except Failed as fault:
        raise Refused(f"the copy {source.parent.name} is damaged: {fault}") from fault
    return target


def _extract(archive: Path, target: Path) -> None:
    programs.run(["tar", "--extract", "--gzip", "--file", archive, "--directory", target])


def proven(here: Place, name: str, proof: Mapping[str, Any]) -> None:
    """Put down how a copy was proven, or why it wasn't."""
    folder = here.root / KIND / name
    manifest.write(folder, {**manifest.read(folder), "proof": dict(proof)})


def kept(found: Sequence[Base], live: str, now: datetime, days: float) -> set[str]:
    """Return which copies are to be kept, for every moment of the last `days` to be had.

    For the cluster that lives: the newest proven one from before then and all that are newer. Of
    one that is no more, all, until the newest is older than that.
    """
    names: set[str] = set()
    for system in {base.system for base in found}:
        own = sorted((each for each in found if each.system == system), key=_finished)
        early = [each for each in own if (now - each.finished).total_seconds() >= days * 86400]
        anchors = [each for each in early if each.proven]
        if system != live and len(early) == len(own):
            continue
        wanted = [each for each in own if not anchors or each.finished >= anchors[-1].finished]
        for each in wanted:
            names |= {each.name, *each.parents}
    return names


def _finished(base: Base) -> datetime:
    return base.finished
