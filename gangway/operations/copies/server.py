"""The stack's own PostgreSQL, as far as whole databases go: which there are, copy, swap, drop.

It is asked by psql in its container, or where it runs natively, as the databases' owner.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.base.process import Completed
from gangway.operations import calls
from gangway.operations.project import Project

SERVICE: Final = "postgres"
LONGEST: Final = 63
"""The most bytes that a database's name has; PostgreSQL itself would cut off what is more."""
LOCK: Final = int.from_bytes(b"gangway", "big")
"""The lock of a migration under way, as in scripts/db.py."""
# How the session that copies is told from all others.
_SESSION: Final = "gangway copies"
# Seconds between two looks at who is connected, and how often at most.
_GLANCE, _GLANCES = 0.05, 12000
_TRIES: Final = 3
# Looks without the session that copies: it has ended before this one began.
_NOBODY: Final = 200

_MIGRATING: Final = """
SELECT pid FROM pg_locks JOIN pg_database ON oid = database
WHERE datname = {database} AND locktype = 'advisory' AND granted AND objsubid = 1
AND (classid::bigint << 32) | objid::bigint = {lock}"""
# A database's own settings and privileges, which a copy of it hasn't. Of a list, the parts are
# quoted already.
_OWN: Final = """
SELECT format('ALTER DATABASE %%I SET %I TO %s', name,
  CASE WHEN name IN ('search_path', 'temp_tablespaces') THEN value ELSE quote_literal(value) END)
FROM pg_db_role_setting s, LATERAL unnest(setconfig) AS said,
  LATERAL (SELECT split_part(said, '=', 1) AS name, substr(said, strpos(said, '=') + 1) AS value) x
WHERE s.setdatabase = d.oid AND s.setrole = 0
UNION ALL SELECT 'REVOKE ALL ON DATABASE %I FROM PUBLIC' WHERE d.datacl IS NOT NULL
UNION ALL SELECT format('GRANT %s ON DATABASE %%I TO %s', privilege_type,
  CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
FROM aclexplode(d.datacl) WHERE grantee <> d.datdba"""
_LOOK: Final = """
SELECT json_build_object(
  'version', current_setting('server_version_num')::int,
  'clones', EXISTS (SELECT FROM pg_settings
    WHERE name = 'file_copy_method' AND 'clone' = ANY (enumvals)),
  'databases', (SELECT json_agg(json_build_object(
      'name', datname, 'bytes', pg_database_size(oid),
      'note', shobj_description(oid, 'pg_database'), 'own', ARRAY({own})))
    FROM pg_database d WHERE NOT datistemplate),
  'migrating', EXISTS ({migrating}))"""
# Once the session that copies has begun, it lets nobody in any more, but waits for those who are.
_END: Final = """
DO $do$
DECLARE seen boolean := false; there boolean;
BEGIN
  FOR number IN 1..{glances} LOOP
    PERFORM pg_stat_clear_snapshot();
    SELECT count(*) > 0 INTO there FROM pg_stat_activity WHERE application_name = {session};
    seen := seen OR there;
    EXIT WHEN {until} OR seen AND NOT there OR NOT seen AND number > {nobody};
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname IN ({names}) AND pid NOT IN ({migrating})
      AND pid NOT IN (SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'object');
    PERFORM pg_sleep({glance});
  END LOOP;
END $do$"""


@dataclass(frozen=True)
class Database:
    """A database: its size in bytes, what was noted of it, and what a copy of it hasn't.

    `own` are statements with `%I` in the place of its name.
    """

    name: str
    size: int
    note: Mapping[str, Any] = field(default_factory=dict)
    own: tuple[str, ...] = ()


@dataclass(frozen=True)
class Server:
    """The server of a project, as it was when it was looked at."""

    project: Project
    databases: Mapping[str, Database]
    version: int
    """as `server_version_num` has it: 180006"""
    clones: bool
    """whether it can have a copy share blocks with what it is a copy of"""

    @property
    def main(self) -> str:
        """The database that the apps use."""
        return self.project.environment.get("POSTGRES_DB")

    def copy(self, source: str, target: str, note: Mapping[str, Any]) -> None:
        """Make a database that has what another one has; nobody uses that one meanwhile.

        Whoever is connected to `source` is disconnected, and whoever comes waits. Raises
        GangwayError, and there is no `target` then.
        """
        make = f"CREATE DATABASE {quoted(target)} TEMPLATE {quoted(source)}"
        # Up to 14 there was no other way.
        make += " STRATEGY file_copy" if self.version >= 150000 else ""
        own = [each.replace("%I", quoted(target)) for each in self.databases[source].own]
        statements = [_end(source), make, *own, _note(target, note)]
        clone = ["SET file_copy_method = clone"] if self.clones else []
        done = self._do_alone([*clone, *statements], [source], until=_exists(target))
        if "could not clone" in done.stderr:
            # The system can't, on this file system.
            done = self._do_alone(statements, [source], until=_exists(target))
        if done.status != 0:
            raise _refused(done, self.project)

    def replace(self, database: str, new: str, *, kept: str, note: Mapping[str, Any]) -> None:
        """Have `new` take a database's place, which is kept under another name, noted there.

        What was kept under that name before is gone. Raises GangwayError, and all is as it was,
        or only that one gone.
        """
        swap = [
            f"ALTER DATABASE {quoted(database)} RENAME TO {quoted(kept)}",
            f"ALTER DATABASE {quoted(new)} RENAME TO {quoted(database)}",
            _note(kept, note),
            f"COMMENT ON DATABASE {quoted(database)} IS NULL",
        ]
        statements = [
            f"DROP DATABASE IF EXISTS {quoted(kept)}",
            _end(database),
            "BEGIN",
            *swap,
            "COMMIT",
        ]
        done = self._do_alone(statements, [database, new, kept], until=f"NOT {_exists(new)}")
        if done.status != 0:
            raise _refused(done, self.project)

    def drop(self, *names: str) -> None:
        """Delete databases, whoever uses them; those that aren't there are no matter."""
        if not names:
            return
        force = " WITH (FORCE)" if self.version >= 130000 else ""
        done = self._do([f"DROP DATABASE IF EXISTS {quoted(each)}{force}" for each in names])
        if done.status != 0:
            raise _refused(done, self.project)

    def create(self, database: str) -> None:
        """Make an empty database."""
        done = self._do([f"CREATE DATABASE {quoted(database)} TEMPLATE template0"])
        if done.status != 0:
            raise _refused(done, self.project)

    def ask(self, sql: str, database: str = "") -> str:
        """Return what SQL yields, unaligned, in a database (or in none of the project's)."""
        done = _capture(self.project, *psql(self.project, database), "-f", "-", text=sql)
        if done.status != 0:
            raise _refused(done, self.project)
        return done.stdout.strip()

    def _do_alone(
        self, statements: Sequence[str], names: Sequence[str], *, until: str
    ) -> Completed:
        """Do it while nobody else uses these databases; see `_alone`.

        A machine that is busy may be late with disconnecting.
        """
        for _ in range(_TRIES):
            with self._alone(names, until=until):
                done = self._do(statements)
            if "being accessed" not in done.stderr:
                break
        return done

    def _do(self, statements: Sequence[str]) -> Completed:
        words = [word for each in statements for word in ("-c", each)]
        asking = psql(self.project)
        self.project.announce("exec", "--no-TTY", SERVICE, *asking, *words)
        marked = ["-c", f"SET application_name = {literal(_SESSION)}"]
        return _capture(self.project, *asking, *marked, *words)

    @contextmanager
    def _alone(self, names: Sequence[str], *, until: str) -> Iterator[None]:
        """Disconnect who uses databases, until something is so, or what the block does has ended.

        Migrations under way are let be, and so are those who wait for the block's own end.
        """
        ending = _END.format(
            glances=_GLANCES,
            glance=_GLANCE,
            nobody=_NOBODY,
            session=literal(_SESSION),
            until=until,
            names=", ".join(map(literal, names)),
            migrating=_migrating(names),
        )
        words = [*psql(self.project), "-c", ending]
        with ThreadPoolExecutor(max_workers=1) as pool:
            ended = pool.submit(_capture, self.project, *words)
            yield
            ended.result()


def look(project: Project) -> Server:
    """Return the server of a project that runs, as it is now.

    Raises GangwayError where the stack has no database of its own, or none that answers, or while
    migrations run.
    """
    require_own(project)
    project = calls.answering(project)
    database = project.environment.get("POSTGRES_DB")
    sql = _LOOK.format(own=_OWN, migrating=_migrating([database]))
    done = _capture(project, *psql(project), "-f", "-", text=sql)
    if done.status != 0:
        raise _refused(done, project)
    said = json.loads(done.stdout)
    if said["migrating"]:
        raise GangwayError(
            f"migrations run on {database}: a copy would have half of one",
            fix=f"wait until they have ended (invoke {project.name}.ps), then try again",
        )
    databases = {
        each["name"]: Database(
            each["name"], each["bytes"], _read(each["note"]), tuple(each["own"] or ())
        )
        for each in said["databases"]
    }
    return Server(project, databases, said["version"], said["clones"])


def require_own(project: Project) -> None:
    """Refuse a stack without a PostgreSQL of its own."""
    calls.check_services(project, [SERVICE])
    if SERVICE not in project.model.by_default():
        found = next(
            (
                name
                for name in ("DATABASE_URL", "DATABASE_URL_FILE")
                if project.environment.get(name)
            ),
            "COMPOSE_PROFILES",
        )
        raise GangwayError(
            f"{project.name}'s database isn't the stack's own ({found}): its copies are its "
            "server's matter",
            fix="copy it with that server's own tools",
        )


def quoted(database: str) -> str:
    """Return a database's name as SQL has it."""
    return '"' + database.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Return a text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"


def _exists(database: str) -> str:
    return f"EXISTS (SELECT FROM pg_database WHERE datname = {literal(database)})"


def _migrating(names: Sequence[str]) -> str:
    return " UNION ".join(_MIGRATING.format(database=literal(each), lock=LOCK) for each in names)


def _end(database: str) -> str:
    ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = {}"
    return ended.format(literal(database))


def _note(database: str, note: Mapping[str, Any]) -> str:
    return f"COMMENT ON DATABASE {quoted(database)} IS {literal(json.dumps(note))}"


def _read(note: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(note or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def psql(project: Project, database: str = "") -> list[str]:
    """Return the call of psql that asks the server, in a database or in none of the project's."""
    env = project.environment
    # Not in the one that is to be copied or renamed.
    elsewhere = "template1" if env.get("POSTGRES_DB") == "postgres" else "postgres"
    words = ["psql", "-XAtqw", "-v", "ON_ERROR_STOP=1", "-U", env.get("POSTGRES_USER")]
    return [*words, "-d", database or elsewhere]


def _capture(project: Project, *words: str, text: str = "") -> Completed:
    return project.engine.capture("exec", "--no-TTY", SERVICE, *words, text=text)


def _refused(done: Completed, project: Project) -> GangwayError:
    said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
    lines = [line for line in said if "error:" in line.lower()] or said[-1:]
    message = lines[0].rpartition("ERROR:")[2].strip().removeprefix("error: ")
    if "not running" in message or "isn't running" in message:
        return GangwayError(
            f"{project.name}'s database isn't running", fix=f"invoke {project.name}.up {SERVICE}"
        )
    if "being accessed" in message:
        fix = "a migration runs, or somebody comes again and again: try once more"
    elif "No space left" in done.stderr:
        message, fix = "the disk is full: no space left for the copy", "df -h; invoke dev.clean"
    else:
        fix = f"look at its log: invoke {project.name}.logs {SERVICE}"
    return GangwayError(f"PostgreSQL refuses: {message}", fix=fix)
