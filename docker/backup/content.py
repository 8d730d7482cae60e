"""What a database has in it, in a few kilobytes: rows and a hash of each table, and more.

    tables         {schema.table: {rows, hash}}
    sequences      {schema.sequence: where it stands}
    objects        {kind: {count, hash of the names and kinds}}
    large_objects  {rows, hash}
    migration      what the app's migrations say of themselves
    read           a hash of what the app's own query returns, None where there is none

A table's hash is the sum of a hash of each row's text, so it goes by what is in the table and not
by the order that it is in; it is computed where the data is, in no more memory than a row needs.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from backup import queries, sql
from backup.settings import Server
from backup.sql import Session

Content = dict[str, Any]

LOCK_SECONDS = 2
"""How long a backup waits for who changes a table, and so holds up whoever comes after it."""

SAME = {
    # A row's text depends on these; and nobody's limits hold for us.
    "DateStyle": "ISO, MDY", "IntervalStyle": "postgres", "TimeZone": "UTC", "bytea_output": "hex",
    "extra_float_digits": "1", "search_path": "", "row_security": "off", "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0", "transaction_timeout": "0",
    "lock_timeout": f"{LOCK_SECONDS}s",
}  # fmt: skip


@contextlib.contextmanager
def snapshot(server: Server, database: str = "") -> Iterator[Session]:
    """Yield a session that sees the database as it was at one moment, and whose tables stay there.

    Whoever would change or drop a table waits until the block ends, as with pg_dump.
    """
    with sql.session(server, database) as session:
        major = int(session.text("SHOW server_version_num")) // 10000
        session.text("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for key, value in SAME.items():
            if key != "transaction_timeout" or major >= 17:
                session.text(f"SET LOCAL {key} = {sql.literal(value)}")
        if tables := [each["name"] for each in session.rows(queries.TABLES)]:
            session.text(
                f"LOCK TABLE {', '.join(f'ONLY {name}' for name in tables)} IN ACCESS SHARE MODE"
            )
        yield session


def read(session: Session, query: str = "", going: Callable[[], None] = lambda: None) -> Content:
    """Return what the database of a snapshot has in it; `query` is the app's own.

    `going` is called before each table: it may raise what makes the rest needless.
    """
    tables = {}
    for table in session.rows(queries.TABLES):
        going()
        tables[table["name"]] = _hashed(session, f"ONLY {table['name']}")
    return {
        "tables": tables,
        "sequences": sequences(session),
        "objects": {kind: _names(session, text) for kind, text in queries.OBJECTS.items()},
        "large_objects": _large_objects(session),
        "migration": migration(session),
        "read": _result(session, query) if query else None,
    }


def sequences(session: Session) -> dict[str, Any]:
    """Return where each sequence stands: now, whatever the session's snapshot is."""
    return {each.pop("name"): each for each in session.rows(queries.SEQUENCES)}


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return in what a database differs from what it should be, for people; empty for nothing."""
    return [
        *_tables(wanted["tables"], found["tables"]),
        *_sequences(wanted["sequences"], found["sequences"]),
        *(
            f"{kind}: {found['objects'][kind]['count']} in place of {known['count']}, or others"
            for kind, known in wanted["objects"].items()
            if found["objects"][kind] != known
        ),
        *(
            f"{what.replace('_', ' ')}: {_short(found[what])} in place of {_short(wanted[what])}"
            for what in ("large_objects", "migration", "read")
            if found[what] != wanted[what]
        ),
    ]


def _hashed(session: Session, source: str) -> dict[str, Any]:
    return session.rows(queries.hashed(source))[0]


def _large_objects(session: Session) -> dict[str, Any]:
    allowed = session.text(
        "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')"
    )
    return _hashed(session, "pg_catalog.pg_largeobject") if allowed == "t" else {}


def _names(session: Session, query: str) -> dict[str, Any]:
    found = session.rows(f"SELECT x.* FROM ({query}) AS x(name)")
    names = "\n".join(sorted(each["name"] for each in found))
    return {"count": len(found), "hash": hashlib.sha256(names.encode()).hexdigest()[:16]}


def migration(session: Session) -> str:
    """Return how far the app's database was migrated, as its own tables say; empty for none."""
    names = [each["name"] for each in session.rows(queries.TABLES)]
    asked = {name: queries.MIGRATIONS.get(name.partition(".")[2]) for name in names}
    found = [session.rows(query.format(name))[0]["v"] for name, query in asked.items() if query]
    return " ".join(each or "nothing" for each in found)


def _result(session: Session, query: str) -> str:
    """Return a hash of what the app's query yields; its tables are found without their schema."""
    session.text("SET LOCAL search_path = public")
    found = session.text(query)
    session.text("SET LOCAL search_path = ''")
    return hashlib.sha256(found.encode()).hexdigest()[:16]


def _tables(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*wanted, *found}):
        known, here = wanted.get(name), found.get(name)
        if known is None or here is None:
            yield f"{name} is missing" if here is None else f"{name} is there besides"
        elif known["rows"] != here["rows"]:
            yield f"{name} has {here['rows']} rows in place of {known['rows']}"
        elif known["hash"] != here["hash"]:
            yield f"{name} has as many rows, and others"


def _sequences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    # Not of the snapshot: a sequence goes on meanwhile, and never back.
    for name, known in wanted.items():
        here = found.get(name)
        if here is None:
            yield f"{name} is missing"
        elif (
            not known["cycles"]
            and (here["value"] - known["value"]) * (1 if known["up"] else -1) < 0
        ):
            yield f"{name} stands at {here['value']}, before {known['value']}"


def _short(value: Any) -> str:
    return str(value.get("rows") if isinstance(value, dict) else value) or "nothing"
