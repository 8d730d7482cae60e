"""Snapshots of development's database: copies on the same server, to go back to."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from gangway.base import output
from gangway.base.errors import GangwayError, unknown
from gangway.base.output import say
from gangway.operations import redis_keys
from gangway.operations.copies import server
from gangway.operations.copies.server import Database, Server
from gangway.operations.project import Project

PREFIX: Final = "snapshot."
"""How the name of a snapshot's database begins."""
UNDONE: Final = "before-restore"
"""The snapshot that a restore makes of what was there before."""
RESTORING: Final = ".restoring"
"""How the name of a database ends that is to take another one's place."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONGEST: Final = server.LONGEST - len(PREFIX)


def take(project: Project, names: Sequence[str]) -> None:
    """Copy the database; the snapshot's name is the one in `names`, or the time.

    Raises GangwayError for a name that is taken or can't be one, and where `server.look` does.
    """
    if len(names) > 1:
        raise GangwayError(
            "one snapshot at a time", fix=f"invoke {project.name}.snapshot {names[0]}"
        )
    snapshot = names[0] if names else datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
    _check(snapshot)
    if dry(project):
        return
    with project.changing("snapshot"):
        found = server.look(project)
        if snapshot in of(found):
            name = project.name
            raise GangwayError(
                f"there is a snapshot named {snapshot} already",
                fix=f"another name, or without it: invoke {name}.clean {snapshot}",
            )
        began = time.monotonic()
        found.copy(found.main, PREFIX + snapshot, noted(found.main))
        took = time.monotonic() - began
    size = human(found.databases[found.main].size)
    say(f"{snapshot} has {found.main} as it is now ({size}, {took:.1f} s)")
    say(f"invoke {project.name}.restore {snapshot} goes back to it")


def show(project: Project) -> None:
    """List the snapshots, the newest first."""
    if dry(project):
        return
    found = of(server.look(project))
    rows = [
        (name, each.note.get("made", ""), human(each.size), each.note.get("of", ""))
        for name, each in found.items()
    ]
    if not rows:
        say(f"there is no snapshot; invoke {project.name}.snapshot makes one")
        return
    rows.sort(key=lambda row: row[1], reverse=True)
    print(output.table(rows, ("SNAPSHOT", "MADE", "SIZE", "OF")))


def restore(project: Project, wanted: str) -> None:
    """Go back to a snapshot, which stays; what was there is the snapshot `before-restore` then.

    Raises GangwayError for a snapshot that there isn't, and where `server.look` does; the
    database is as it was then.
    """
    if dry(project):
        return
    with project.changing("restore"):
        found = server.look(project)
        if wanted not in of(found):
            raise unknown("snapshot", wanted, sorted(of(found)))
        began = time.monotonic()
        new = found.main + RESTORING
        if new in found.databases:
            found.drop(new)
        found.copy(PREFIX + wanted, new, {"gangway": "restoring"})
        put_in_place(found, new)
        took = time.monotonic() - began
    say(f"{found.main} is {wanted} again ({took:.1f} s)")
    say(f"what was there: invoke {project.name}.restore {UNDONE}")


def put_in_place(found: Server, new: str) -> None:
    """Have a database take the place of the one that the apps use, of which a snapshot is left.

    What the apps have cached of that one goes.
    """
    found.replace(found.main, new, kept=PREFIX + UNDONE, note=noted(found.main))
    redis_keys.forget_cache(found.project)


def noted(database: str) -> dict[str, Any]:
    """Return what is noted of a copy of a database that is made now."""
    return {
        "gangway": "snapshot",
        "of": database,
        "made": datetime.now(UTC).isoformat(" ", "seconds"),
    }


def human(size: int) -> str:
    """Return a number of bytes for people."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GB"


def dry(project: Project) -> bool:
    """Say whether nothing is to be done; then print how the server would be asked."""
    server.require_own(project)
    if project.dry_run:
        project.announce("exec", "--no-TTY", server.SERVICE, *server.psql(project))
    return project.dry_run


def of(found: Server) -> dict[str, Database]:
    """Return the snapshots that a server has, by their names."""
    return {
        each.name.removeprefix(PREFIX): each
        for each in found.databases.values()
        if each.name.startswith(PREFIX)
    }


def _check(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise GangwayError(
            f"{name!r} is no name for a snapshot",
            fix=f"letters, digits, `.`, `_` and `-`, at most {_LONGEST} of them",
        )
