"""Which migrations a database has had, and which would come next.

``histories.py current`` prints a line for each history that the database keeps: Alembic's as
``TABLE REVISION...``, Django's as ``django_migrations APP.NAME`` for the last of each app. It asks
by SQL alone, so that it knows a database that is newer than the app.
``histories.py plan`` prints the SQL of what is pending, after ``-- at: `` and those lines; nothing
of it is run. ``-- newer: `` is what the database has had and the app doesn't know, ``-- has: `` the
type of a column that is to get another.
``histories.py newer`` says whether there is such: with status 0 where there is, else with 1.
``histories.py run -- COMMAND... [--then COMMAND...]`` is ``db.py lock``, with a word on that.

MIGRATE_PLAN_COMMAND, or else MIGRATE_COMMAND, says how the app migrates. What is known are Alembic,
Flask-Migrate and Django, each run in this process, stopped where it knows what it would do.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import db
import launch

# CAST and not "::", which one of the drivers takes for a parameter. Alembic's table may have any
# name and be in any schema; it has this one column.
TABLES = """
SELECT string_agg(concat_ws(chr(9), n.nspname, c.relname, CAST(pg_table_is_visible(c.oid) AS int)),
    chr(10) ORDER BY n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
    AND CASE WHEN c.relname = 'django_migrations' THEN true ELSE 'version_num' = ALL (ARRAY(
        SELECT a.attname FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) AND EXISTS (
        SELECT FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attname = 'version_num' AND NOT a.attisdropped) END"""
DJANGO = "django_migrations"
APPLIED = """
SELECT string_agg(said, chr(9) ORDER BY said) FROM (
    SELECT DISTINCT ON (app) app || '.' || name FROM {table} ORDER BY app, id DESC) one (said)"""
HEADS = "SELECT string_agg(version_num, chr(9) ORDER BY version_num) FROM {table}"


@dataclass(frozen=True)
class History:
    """A table of migrations, and those that it stands at: Django's as ``APP.NAME``."""

    schema: str
    table: str
    # Whether it is found without its schema.
    visible: bool
    at: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """What a user sees of it."""
        name = self.table if self.visible else f"{self.schema}.{self.table}"
        if self.table == DJANGO:
            return [f"{name} {each}" for each in self.at]
        return [" ".join([name, *self.at])]


def read(session: db.Session) -> list[History]:
    """Return what the database keeps; no history where it is new."""
    histories = []
    for line in filter(None, (session.value(TABLES) or "").split("\n")):
        schema, table, visible = line.split("\t")
        name = ".".join('"{}"'.format(part.replace('"', '""')) for part in (schema, table))
        at = session.value((APPLIED if table == DJANGO else HEADS).format(table=name)) or ""
        histories.append(
            History(schema, table, visible == "1", tuple(filter(None, at.split("\t"))))
        )
    return histories


def _read() -> list[History]:
    # The tools' forks must inherit no connection.
    session = db.wait(db.Settings.load(), db.limit("DB_WAIT_SECONDS", 30))
    try:
        return read(session)
    finally:
        session.close()


# -- the tools -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    """A command of the user's, and the same as it runs in this process, changing nothing."""

    words: tuple[str, ...]
    tool: Literal["alembic", "django", ""]
    dry: tuple[str, ...] = ()


def recognise(words: Sequence[str]) -> Command:
    """Tell which tool a command is; "" for one that nothing is known of.

    Should it ever run without our hand in it, its own dry run changes nothing either.
    """
    match list(words):
        case ["alembic", *rest] | ["python" | "python3", "-m", "alembic", *rest] if (
            "upgrade" in rest
        ):
            return Command(tuple(words), "alembic", ("python", "-m", "alembic", *rest, "--sql"))
        case ["flask", *rest] | ["python" | "python3", "-m", "flask", *rest] if (
            "db upgrade" in " ".join(rest)
        ):
            return Command(tuple(words), "alembic", ("python", "-m", "flask", *rest, "--sql"))
        case ["django-admin", "migrate", *rest] | [
            "python" | "python3", "-m", "django", "migrate", *rest
        ]:  # fmt: skip
            dry = ("python", "-m", "django", "migrate", *rest, "--plan")
            return Command(tuple(words), "django", dry)
        case ["python" | "python3", script, "migrate", *rest] | [script, "migrate", *rest] if (
            Path(script).name == "manage.py"
        ):
            return Command(tuple(words), "django", ("python", script, "migrate", *rest, "--plan"))
    return Command(tuple(words), "")


def commands() -> Iterator[Command]:
    """Yield the commands that migrate, as the environment says."""
    for name in ("MIGRATE_PLAN_COMMAND", "MIGRATE_COMMAND"):
        if (text := os.environ.get(name, "")).strip():
            break
    try:
        every = shlex.split(text)
    except ValueError:
        raise db.Mistake(f"{name}={text} has a quote that is not closed") from None
    for words in db.split(every, "&&"):
        if words:
            known = recognise(words)
            # One that is made for this prints the SQL by itself.
            own = not known.tool and name == "MIGRATE_PLAN_COMMAND"
            yield Command(known.words, "", known.words) if own else known


# What is done with the migrations that a database has had and the app doesn't know.
Tell = Callable[[Sequence[str]], None]


def _alembic(histories: Sequence[History], tell: Tell) -> None:
    """Have Alembic take these for what the database is at; ``tell`` what is unknown of it."""
    from alembic.runtime.migration import MigrationContext
    from alembic.util import CommandError

    at: dict[tuple[str | None, str], tuple[str, ...]] = {}
    for history in histories:
        at[history.schema, history.table] = history.at
        if history.visible:
            at[None, history.table] = history.at

    def get_current_heads(self: Any) -> tuple[str, ...]:
        heads = at.get((self.version_table_schema, self.version_table), ())
        unknown = []
        for head in heads:
            try:
                self.script.get_revision(head)
            except CommandError:
                unknown.append(head)
        tell(unknown)
        return heads

    MigrationContext.get_current_heads = get_current_heads  # type: ignore[method-assign]


def _django(act: Callable[[Any, Sequence[tuple[Any, bool]]], None]) -> None:
    """Have Django ``act`` on an executor and its plan, before it goes on."""
    from django.db.migrations.executor import MigrationExecutor

    original = MigrationExecutor.migration_plan

    def migration_plan(self: Any, *args: Any, **options: Any) -> Any:
        plan = original(self, *args, **options)
        act(self, plan)
        return plan

    MigrationExecutor.migration_plan = migration_plan


def _django_newer(executor: Any) -> list[str]:
    """Return what was applied after the last migration of an app that the sources have.

    What came before that is left over from a squash; so is all of an app that has gone.
    """
    loader, recorder = executor.loader, executor.recorder
    disk = loader.disk_migrations
    known = {*disk, *(pair for migration in disk.values() for pair in migration.replaces)}
    newer: dict[str, list[str]] = {}
    applied = recorder.migration_qs.order_by("id") if recorder.has_table() else []
    for each in applied:
        if (each.app, each.name) in known:
            newer.pop(each.app, None)
        elif each.app in loader.migrated_apps:
            newer.setdefault(each.app, []).append(f"{each.app}.{each.name}")
    return [each for names in newer.values() for each in names]


def _guard(words: Sequence[str]) -> None:
    """Before a command runs: let Django, which would pass over it, end at a newer database."""
    if recognise(words).tool != "django":
        return

    def act(executor: Any, _plan: Sequence[tuple[Any, bool]]) -> None:
        if _django_newer(executor):
            raise SystemExit(2)

    launch.forget_ourselves()
    with suppress(ImportError):
        _django(act)


# -- what is asked -------------------------------------------------------------------------------


def current() -> int:
    """Print where the database is; nothing for an app that has none."""
    if db.has_database():
        for history in _read():
            print("\n".join(history.lines))
    return 0


def plan() -> int:
    """Print what is pending as SQL; return the status of the first command that fails."""
    histories = _read() if db.has_database() else []
    for line in (line for history in histories for line in history.lines):
        print(f"-- at: {line}")
    every = list(commands())
    for command in every:
        if not command.dry:
            db.say(f"{shlex.join(command.words)}: what it would do isn't known; say it in {HOW}")
    known = [command for command in every if command.dry]
    if every and not known:
        return 2
    runner = db.Runner()
    said = ""
    for command in known:
        print(f"-- {shlex.join(command.words)}", flush=True)
        with tempfile.TemporaryFile("w+", encoding="utf-8") as written:
            outcome = runner.fork()
            if outcome is None:
                os.dup2(written.fileno(), 1)
                _plan(command, histories)
            written.seek(0)
            said += (text := written.read())
            sys.stdout.write(text)
        if outcome:
            db.say(f"{shlex.join(command.words)}: what it would do isn't known: status {outcome}")
            return outcome
    _print_types(said)
    return 0


def _print_types(sql: str) -> None:
    """Print which type those columns have that get another: one may only get wider."""
    if not (found := list(dict.fromkeys(ALTERED.findall(sql)))):
        return
    session = db.wait(db.Settings.load(), db.limit("DB_WAIT_SECONDS", 30))
    for table, column in found:
        name = column[1:-1].replace('""', '"') if column.startswith('"') else column.lower()
        if there := session.value(TYPE.format(*(one.replace("'", "''") for one in (table, name)))):
            print(f"-- has: {table}.{column} {there}")
    session.close()


NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
ALTERED = re.compile(
    rf"\bALTER\s+TABLE\s+(?:ONLY\s+)?({NAME}(?:\.{NAME})?)\s+ALTER\s+(?:COLUMN\s+)?({NAME})\s+TYPE\s",
    re.IGNORECASE,
)
# Without a row where there is no such column: then none of it is a type.
TYPE = """
SELECT max(format_type(atttypid, atttypmod)) FROM pg_attribute
WHERE attrelid = to_regclass('{}') AND attname = '{}' AND NOT attisdropped"""
HOW = (
    "MIGRATE_PLAN_COMMAND: an alembic upgrade, a flask db upgrade or a manage.py migrate, or what "
    "prints the pending SQL"
)


def _plan(command: Command, histories: Sequence[History]) -> NoReturn:
    """Become a command that prints its plan."""

    def tell(unknown: Sequence[str]) -> None:
        for each in unknown:
            print(f"-- newer: {each}", flush=True)

    def no_more(unknown: Sequence[str]) -> None:
        tell(unknown)
        # Alembic has no way from there.
        if unknown:
            raise SystemExit(0)

    def act(executor: Any, plan: Sequence[tuple[Any, bool]]) -> None:
        tell(_django_newer(executor))
        for migration, backwards in plan:
            print(f"-- {migration.app_label}.{migration.name}")
            print("\n".join(executor.loader.collect_sql([(migration, backwards)])))
        raise SystemExit(0)

    launch.forget_ourselves()
    if command.tool == "alembic":
        _alembic(histories, no_more)
    elif command.tool == "django":
        _django(act)
    launch.run(command.dry)


def unknown_to_the_app() -> list[str]:
    """Return the migrations that the database has had and that the app doesn't know."""
    histories = _read()
    found: list[str] = []
    for command in commands():
        if command.tool:
            reading, writing = os.pipe()
            if db.Runner().fork() is None:
                _look(command, histories, writing)
            os.close(writing)
            with open(reading, encoding="utf-8") as told:
                found += told.read().split()
    return found


def _look(command: Command, histories: Sequence[History], writing: int) -> NoReturn:
    """Become a command that says what it doesn't know, and no more."""

    def tell(unknown: Sequence[str]) -> None:
        os.write(writing, "\n".join(unknown).encode())
        raise SystemExit(0)

    # What else it has to say, the command itself says, or has said.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    launch.forget_ourselves()
    if command.tool == "alembic":
        _alembic(histories, tell)
    else:
        _django(lambda executor, _plan: tell(_django_newer(executor)))
    launch.run(command.dry)


def newer() -> int:
    """Return 0 where the app is older than its database, and say so; 1 where it isn't."""
    if not db.has_database() or not (unknown := unknown_to_the_app()):
        return 1
    db.say(
        f"the database is newer than this code, which doesn't know {', '.join(unknown)}; "
        "nothing is migrated (MIGRATE_NEWER=accept)"
    )
    return 0


def run(steps: Sequence[Sequence[str]]) -> int:
    """Run the commands under the lock; say what is wrong where the database is newer."""
    settings = db.Settings.load()
    status = db.lock(settings, steps, _guard)
    # 128 and the number of a signal: it was ended.
    if status == 0 or status - 128 in {int(number) for number in db.SIGNALS}:
        return status
    if not db.answers(settings):
        return status  # and that has been said
    with suppress(db.Mistake):
        if unknown := unknown_to_the_app():
            db.say(
                f"the database is newer than this code, which doesn't know {', '.join(unknown)}; "
                "deploy a release that does; or, if all that these changed was to add, have this "
                "one run beside them: MIGRATE_NEWER=accept"
            )
            return 2
    return status


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; return the exit status."""
    match list(arguments):
        case ["current"]:
            return current()
        case ["plan"]:
            return plan()
        case ["newer"]:
            return newer()
        case ["run", "--"]:
            return db.only_wait()
        case ["run", "--", *words]:
            return run(db.split(words, "--then"))
    raise db.Mistake("usage: migrate [--current | --plan | arguments...]")


if __name__ == "__main__":
    launch.forget_ourselves()
    db.leave(db.guarded(lambda: main(sys.argv[1:])))
