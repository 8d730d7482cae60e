"""Restoring: into a new database beside the app's, proven there; the swap is another step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backup import content, database, prove, swap
from backup.errors import Failed, Refused
from backup.place import Place
from backup.settings import Settings
from backup.sql import execute, name, session


def prepare(place: Place, folder: Path, settings: Settings) -> list[str]:
    """Restore a backup beside the live database and prove it there; return what to say of it.

    Raises Refused where the backup is not to be restored here, Failed where it can't be; the live
    database is as it was in both cases, and no other one stays.
    """
    server = settings.server
    new = swap.restoring(server.database)
    with prove.plain(place, folder, settings) as (dump, known):
        with session(server, "postgres") as one:
            here = database.server(one)
        database.check_client(here["major"])
        if known["server"]["major"] > here["major"]:
            raise Refused(
                f"backup {folder.name} is of PostgreSQL {known['server']['major']},"
                f" and the server is {here['version']}",
                fix="restore into that version: set POSTGRES_IMAGE",
            )
        said = [
            f"made the role {role}, which can't log in yet"
            for role in database.add_roles(server, known["roles"], "NOLOGIN")
        ]
        drop(settings)
        try:
            database.make(server, new, known["database"])
            prove.restore(server, new, dump)
            _check_same(prove.compare(server, new, known["content"], settings.read))
        except BaseException:
            drop(settings)
            raise
    return [*said, *_migrations(settings, known["content"]["migration"])]


def _check_same(differing: Sequence[str]) -> None:
    if differing:
        raise Failed(f"restored, it is not what it was: {'; '.join(differing)}")


def drop(settings: Settings) -> None:
    """Remove a database that was being restored."""
    made = name(swap.restoring(settings.server.database))
    execute(settings.server, f"DROP DATABASE IF EXISTS {made} WITH (FORCE)", database="postgres")


def _migrations(settings: Settings, wanted: str) -> list[str]:
    """Say where the app's migrations have gone on since."""
    with content.snapshot(settings.server) as one:
        here = content.migration(one)
    if here == wanted:
        return []
    return [
        f"its migrations stand at {wanted or 'nothing'}, those of what runs at {here or 'nothing'}"
    ]
