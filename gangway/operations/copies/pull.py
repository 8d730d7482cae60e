"""Production's data for development: a backup, anonymised before anybody sees it, swapped in."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gangway.base.errors import FindingsError, GangwayError
from gangway.base.output import say
from gangway.operations.copies import anonymise, backup, server, snapshots
from gangway.operations.copies.anonymise import Column, Rules
from gangway.operations.copies.server import Server
from gangway.operations.project import Project

PULLED: Final = ".pulled"
"""How the name of a database ends that is being anonymised."""
# Who may do what is development's own matter; and nothing here may follow production.
_RESTORE: Final = (
    "pg_restore", "--exit-on-error", "--no-owner", "--no-privileges", "--no-publications",
    "--no-subscriptions",
)  # fmt: skip
# Rows of a table that are looked at.
_SAMPLE: Final = 10000
_LOOKS: Final = {
    "email": r"[[:alnum:]._%+-]+@[[:alnum:]-]+(\.[[:alnum:]-]+)+",
    "phone": r"^\s*(\+|00)[0-9][0-9 ()/.-]{7,}\s*$",
}
_COLUMNS: Final = """
SELECT coalesce(json_agg(json_build_object(
  'schema', n.nspname, 'table', c.relname, 'name', a.attname,
  'type', coalesce(nullif(b.typname, ''), t.typname), 'nullable', NOT a.attnotnull,
  'limit', CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4
    THEN a.atttypmod - 4 ELSE 0 END,
  'unique', EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique
    AND a.attnum = ANY (i.indkey)),
  'refers', (SELECT json_build_array(fn.nspname, fc.relname, fa.attname)
    FROM pg_constraint k JOIN pg_class fc ON fc.oid = k.confrelid
    JOIN pg_namespace fn ON fn.oid = fc.relnamespace
    JOIN pg_attribute fa ON fa.attrelid = fc.oid AND fa.attnum = k.confkey[1]
    WHERE k.contype = 'f' AND k.conrelid = c.oid AND k.conkey = ARRAY[a.attnum]
    ORDER BY k.oid LIMIT 1)) ORDER BY n.nspname, c.relname, a.attnum), '[]')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd'
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
AND a.attgenerated = '' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass
  AND e.objid = c.oid AND e.deptype = 'e')"""


def pull(project: Project, source: str) -> None:
    """Put what a backup has, anonymised, in the place of development's database.

    That is kept as a snapshot. Raises GangwayError, with nothing changed, where the backup is no
    good, where a rule is missing or wrong (FindingsError), and where `server.look` does.
    """
    if project.environment.kind != "dev":
        raise GangwayError(
            f"{project.name} is not a development environment: only those take a copy of "
            "production's data",
            fix="invoke dev.pull",
        )
    found_backup = backup.find(Path(source).expanduser())
    rules = _rules(project)
    if snapshots.dry(project):
        return
    with project.changing("pull"):
        found = server.look(project)
        _check_major(found, found_backup)
        if found_backup.proven is False:
            say(f"note: {found_backup.name} was never proven")
        began = time.monotonic()
        new = found.main + PULLED
        try:
            _pull(found, new, found_backup, rules)
            snapshots.put_in_place(found, new)
        except BaseException:
            found.drop(new)
            raise
        took = time.monotonic() - began
    say(f"{found.main} has what {found_backup.name} has, anonymised ({took:.1f} s)")
    say(f"what was there: invoke {project.name}.restore {snapshots.UNDONE}")
    say(f"are its migrations older than the code's? invoke {project.name}.migrate")


def _pull(found: Server, new: str, source: backup.Backup, rules: Rules) -> None:
    # Without any data first: it tells in a moment what is missing.
    _begin(found, new, source, "--schema-only")
    columns = _columns(found, new)
    _refuse(columns, rules, large_objects=0)
    # Then the data alone: there are no triggers yet, no keys, and no index to be kept up to date.
    _begin(found, new, source, "--section=pre-data")
    _restore(found, new, source, "--section=data")
    columns = _looked_at(found, new, columns, rules)
    large_objects = int(found.ask("SELECT count(*) FROM pg_largeobject_metadata", new))
    _refuse(columns, rules, large_objects=large_objects)
    changes = anonymise.changes(columns, rules, secrets.token_hex(16))
    for table, sql in changes.items():
        say(f"anonymising {table}")
        # What was there stays in the files until they are written anew.
        found.ask(f"{sql};\nVACUUM (FULL) {table};", new)
    if rules.get(anonymise.LARGE_OBJECTS) == "empty":
        found.ask(
            "SELECT count(lo_unlink(oid)) FROM pg_largeobject_metadata;\n"
            "VACUUM (FULL) pg_largeobject;",
            new,
        )
    _restore(found, new, source, "--section=post-data")
    found.ask("ANALYZE", new)


def _begin(found: Server, new: str, source: backup.Backup, what: str) -> None:
    found.drop(new)
    found.create(new)
    _restore(found, new, source, what)


def _restore(found: Server, new: str, source: backup.Backup, what: str) -> None:
    user = found.project.environment.get("POSTGRES_USER")
    words = ("exec", "--no-TTY", server.SERVICE, *_RESTORE, what, "-U", user, "-d", new)
    found.project.announce(*words)
    with source.dump.open("rb") as file:
        done = found.project.engine.capture(*words, file=file)
    if done.status != 0:
        said = [line for line in done.stderr.splitlines() if "error:" in line]
        why = (said or done.stderr.splitlines() or ["it said nothing"])[0]
        raise GangwayError(
            f"{source.name} can't be restored here: {why.rpartition('error: ')[2]}",
            fix="is it whole, and of this PostgreSQL or an older one? Nothing was changed",
        )


def _check_major(found: Server, source: backup.Backup) -> None:
    here = found.version // 10000
    if source.major > here:
        raise GangwayError(
            f"{source.name} is of PostgreSQL {source.major}, and {found.project.name} has {here}",
            fix="POSTGRES_IMAGE: one of that major",
        )


def _rules(project: Project) -> Rules:
    import yaml

    file = project.root / anonymise.FILE
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError) as error:
        said = str(error).splitlines()[0]
        raise GangwayError(f"it can't be read: {said}", where=anonymise.FILE) from None
    rules, findings = anonymise.read(content)
    if findings:
        raise FindingsError(findings)
    return rules


def _refuse(columns: Sequence[Column], rules: Rules, *, large_objects: int) -> None:
    if found := anonymise.findings(columns, rules, large_objects=large_objects):
        raise FindingsError(found, summary="the data can't be taken like this, and nothing changed")


def _columns(found: Server, database: str) -> list[Column]:
    return [
        Column(
            table=_key(each["schema"], each["table"]),
            name=each["name"],
            type=each["type"],
            limit=each["limit"],
            nullable=each["nullable"],
            unique=each["unique"],
            refers=_reference(each["refers"]),
        )
        for each in json.loads(found.ask(_COLUMNS, database))
    ]


def _looked_at(
    found: Server, database: str, columns: Sequence[Column], rules: Rules
) -> list[Column]:
    """Return the columns with what some of their values look like, of those without a rule."""
    asked = [
        column
        for column in columns
        if anonymise.may_hold_text(column) and column.key not in rules and column.table not in rules
    ]
    if not asked:
        return list(columns)
    cases = " ".join(
        f"WHEN bool_or(value ~ {server.literal(look)}) THEN {server.literal(kind)}"
        for kind, look in _LOOKS.items()
    )
    each = (
        "SELECT {} AS key, CASE {} END AS kind FROM (SELECT {}::text AS value FROM {} LIMIT {}) x"
    )
    looks = " UNION ALL ".join(
        each.format(
            server.literal(column.key),
            cases,
            server.quoted(column.name),
            anonymise.table(column.table),
            _SAMPLE,
        )
        for column in asked
    )
    sql = "SELECT coalesce(json_object_agg(key, kind), '{{}}') FROM ({}) y WHERE kind <> ''"
    kinds: dict[str, str] = json.loads(found.ask(sql.format(looks), database))
    return [column._replace(found=kinds.get(column.key, "")) for column in columns]


def _key(schema: str, table: str) -> str:
    return table if schema == "public" else f"{schema}.{table}"


def _reference(found: Any) -> str:
    return f"{_key(found[0], found[1])}.{found[2]}" if found else ""
