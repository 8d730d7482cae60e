"""Changing a database for another by its name, in one transaction: all of it, or nothing.

DATABASE                  what the app uses
DATABASE_restoring        one that is being restored, and proven
DATABASE_before_TIME      what the app used before a restore; nobody can connect to it
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from backup import sql
from backup.errors import Failed, Refused
from backup.settings import Server
from backup.sql import literal, name

LONGEST = 63
"""Bytes that a name of PostgreSQL has at most."""
ATTEMPTS = 5
GRACE = 3.0
"""Seconds that transactions under way have to come to their end."""


def restoring(database: str) -> str:
    """Return the name of a database while it is restored."""
    return _named(database, "_restoring")


def kept(server: Server) -> list[str]:
    """Return the databases that restores have put aside, the oldest first."""
    start = _named(server.database, "_before_", room=15)
    found = sql.rows(
        server,
        "SELECT datname FROM pg_catalog.pg_database"
        f" WHERE pg_catalog.starts_with(datname, {literal(start)})",
        "postgres",
    )
    return sorted((each["datname"] for each in found), key=lambda name: name[-15:])


def swap(server: Server, new: str) -> str:
    """Give `new` the database's name, and the database another one; return that.

    Connections are ended, transactions under way after GRACE; those that come meanwhile wait, and
    get the new one. Raises Failed where somebody doesn't let go; then nothing has changed.
    """
    taken = kept(server)
    # The last one may be of this very second.
    while (old := _aside(server.database)) in taken:
        time.sleep(0.1)
    live = name(server.database)
    _let_end(server)
    for attempt in range(ATTEMPTS):
        try:
            with _ending(server, server.database, new):
                sql.execute(
                    server, "BEGIN",
                    # The name is locked from here on: who connects waits for the end of this.
                    f"ALTER DATABASE {live} RENAME TO {name(old)}",
                    f"ALTER DATABASE {name(new)} RENAME TO {live}",
                    f"ALTER DATABASE {name(old)} ALLOW_CONNECTIONS false",
                    f"ALTER DATABASE {live} ALLOW_CONNECTIONS true",
                    "COMMIT", database="postgres",
                )  # fmt: skip
        except Failed:
            if attempt == ATTEMPTS - 1:
                raise
        else:
            break
    return old


def back(server: Server) -> tuple[str, str]:
    """Put the database back that the last restore put aside.

    Return its name and that of what was there until now. Raises Refused where there is none.
    """
    before = kept(server)
    if not before:
        raise Refused("no restore has put a database aside", fix="nothing is to be put back")
    return before[-1], swap(server, before[-1])


def forget(server: Server) -> list[str]:
    """Delete what restores have put aside, and one that was never finished; return the names."""
    gone = [*kept(server), *unfinished(server)]
    for each in gone:
        sql.execute(server, f"DROP DATABASE {name(each)}", database="postgres")
    return gone


def unfinished(server: Server) -> list[str]:
    """Return the database that a restore has left behind, if there is one."""
    found = sql.rows(
        server,
        "SELECT datname FROM pg_catalog.pg_database"
        f" WHERE datname = {literal(restoring(server.database))}",
        "postgres",
    )
    return [each["datname"] for each in found]


def _let_end(server: Server) -> None:
    """Wait for what is under way in the database: who lets requests wait has let these through."""
    query = (
        "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity"
        f" WHERE datname = {literal(server.database)} AND xact_start IS NOT NULL"
        " AND backend_type = 'client backend'"
    )
    deadline = time.monotonic() + GRACE
    with sql.session(server, "postgres") as session:
        while session.text(query) != "0" and time.monotonic() < deadline:
            time.sleep(0.02)


@contextlib.contextmanager
def _ending(server: Server, *databases: str) -> Iterator[None]:
    """End all connections to databases, again and again until the block has ended."""
    names = ", ".join(literal(each) for each in databases)
    query = (
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
        f" WHERE datname IN ({names}) AND pid <> pg_catalog.pg_backend_pid()"
    )
    over = threading.Event()

    def end() -> None:
        with contextlib.suppress(Failed), sql.session(server, "postgres") as session:
            while not over.wait(0.05):
                session.text(query)

    ender = threading.Thread(target=end)
    ender.start()
    try:
        yield
    finally:
        over.set()
        ender.join()


def _aside(database: str) -> str:
    """Return the name of what is put aside now."""
    return _named(database, time.strftime("_before_%Y%m%d_%H%M%S", time.gmtime()))


def _named(database: str, ending: str, room: int = 0) -> str:
    """Return a database's name with an ending, as long as a name may be."""
    start = database.encode()[: LONGEST - len(ending) - room]
    return start.decode(errors="ignore") + ending
