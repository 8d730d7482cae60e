"""The proof of a backup: restored into a throw-away server, and compared with what it was then."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backup import content, database, manifest, programs, scratch, seal, sql, volumes
from backup.errors import Refused
from backup.place import Place
from backup.settings import Server, Settings

DUMP = "database.dump"
JOBS = "2"


def proof(place: Place, dump: Path, known: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Restore a dump; return when, how, and in what it differed: `proven` if in nothing."""
    began = time.monotonic()
    with place.scratch() as folder, scratch.server(folder) as server:
        database.add_roles(server, known["roles"], "SUPERUSER")
        database.make(server, "proof", known["database"])
        restore(server, "proof", dump)
        differing = compare(server, "proof", known["content"], settings.read)
    kept = known.get("volumes", {})
    packed = {name: dump.with_name(volumes.archive(name)) for name in kept}
    differing += volumes.differences(packed, kept)
    tables = known["content"]["tables"]
    return {
        "proven": not differing,
        "time": time.time(),
        "seconds": round(time.monotonic() - began, 1),
        "how": f"restored into PostgreSQL {known['server']['version']}: {len(tables)} tables,"
        f" {sum(each['rows'] for each in tables.values())} rows compared"
        + (", the app's read the same" if settings.read and not differing else "")
        + "".join(f", {each['files']} files of {name}" for name, each in kept.items()),
        "differences": differing,
    }


def restore(server: Server, name: str, dump: Path) -> None:
    """Restore a dump into a database that is empty; raises Failed at the first error."""
    programs.run(
        ["pg_restore", "--exit-on-error", "--jobs", JOBS, "--dbname", name, dump],
        server.environment(name),
    )


def compare(server: Server, name: str, wanted: Mapping[str, Any], read: str) -> list[str]:
    """Return in what a database differs from what it should have in it.

    The app's read counts where one was made when the backup was.
    """
    query = read if wanted["read"] is not None else ""
    # An estimate of nothing makes bad plans: of the app's own query as well.
    sql.execute(server, "ANALYZE", database=name)
    with content.snapshot(server, name) as session:
        found = content.read(session, query)
    if not query:
        found["read"] = wanted["read"]
    return content.differences(wanted, found)


@contextlib.contextmanager
def plain(place: Place, folder: Path, settings: Settings) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield a backup's dump as it was before it was encrypted, and the manifest.

    Raises Refused where anything about the backup isn't what it was.
    """
    known = manifest.read(folder)
    if known.get("project") != settings.project:
        raise Refused(
            f"backup {folder.name} is of the project {known.get('project')},"
            f" not {settings.project}",
            fix="restore it there, or set BACKUP_PROJECT to that name if you mean it",
        )
    manifest.check_files(folder, known)
    if (folder / DUMP).is_file():
        yield folder / DUMP, known
        return
    with place.scratch() as opened:
        for name in (DUMP, *map(volumes.archive, known.get("volumes", {}))):
            seal.open_to(folder / (name + seal.SUFFIX), settings.identity, opened / name)
        yield opened / DUMP, known
