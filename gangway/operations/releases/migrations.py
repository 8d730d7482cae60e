"""What a release's migrations would do to the database, and what of it breaks the code before."""

from __future__ import annotations

import json
import os
import re
import shutil
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gangway.base.errors import Finding, FindingsError, GangwayError
from gangway.base.process import Completed, Runner
from gangway.operations.releases import statements
from gangway.operations.releases.statements import Statement

Run = Callable[[Sequence[str]], Completed]
"""Runs a command in a new container of a release's `migrate`, by its entrypoint."""

AT: Final = "-- at: "
NEWER: Final = "-- newer: "
HAS: Final = "-- has: "
"""What `migrate --plan` says in lines of its own."""
_NO_SQL: Final = "THIS OPERATION CANNOT BE WRITTEN AS SQL"

_LATER: Final = "stop using it in this release, and take it away in a later one"
_GIVEN: Final = (
    "give it a default in the database (Alembic: server_default, Django: db_default), or have it "
    "empty until a later release"
)
_CHECKED: Final = (
    "have this release write what will hold, and add the rule in a later one, when all rows do"
)
_COPIED: Final = "add a new one beside it, write both, and take the old one away in a later release"

RULES: Final[Mapping[str, tuple[str, str]]] = {
    "ban-drop-column": ("drops a column, which the code before reads and writes", _LATER),
    "ban-drop-table": ("drops a table, which the code before reads and writes", _LATER),
    "ban-drop-view": ("drops a view, which the code before reads", _LATER),
    "ban-drop-function": ("drops a function, which the code before calls", _LATER),
    "ban-drop-type": ("drops a type, which the code before uses", _LATER),
    "ban-drop-domain": ("drops a domain, which the code before uses", _LATER),
    "ban-drop-sequence": ("drops a sequence, which the code before uses", _LATER),
    "ban-drop-extension": ("drops an extension, which the code before uses", _LATER),
    "ban-drop-schema": ("drops a schema and what is in it", _LATER),
    "ban-drop-database": ("drops a database", _LATER),
    "ban-set-schema": ("moves to another schema, where the code before doesn't look", _COPIED),
    "renaming-column": ("renames a column, which the code before knows by its old name", _COPIED),
    "renaming-table": ("renames a table, which the code before knows by its old name", _COPIED),
    "renaming-object": ("renames what the code before knows by its old name", _COPIED),
    "changing-column-type": (
        "changes a column's type, which the code before may not read or write",
        f"{_COPIED}; a type that only gets wider breaks nothing: --allow-destructive",
    ),
    "adding-required-field": (
        "adds a column without a default that may not be empty: the code before inserts none",
        _GIVEN,
    ),
    "ban-drop-default": (
        "takes a column's default away, and the code before inserts none",
        _GIVEN,
    ),
    "ban-drop-not-null": (
        "lets a column be empty, which the code before doesn't expect to read",
        "allow it in this release, and have a later one write such rows",
    ),
    "ban-drop-constraint": (
        "drops a constraint, which the code before may count on",
        "keep to it in this release, and drop it in a later one",
    ),
    "ban-new-write-restriction": ("refuses rows that the code before may write", _CHECKED),
    "ban-revoke": ("takes rights away, which the code before may need", _LATER),
    "ban-alter-row-level-security": ("changes which rows the code before sees", _LATER),
}
"""Squawk's rules that are about the code before, not about locks: what such a statement does, and
what to do about it."""

_EMPTIES: Final = (
    "deletes all rows of a table, and a rollback brings none back",
    "keep them until a later release; back them up",
)
# Those that a column that is itself new gives no reason for.
_OF_OLD_COLUMNS: Final = frozenset(
    {"ban-drop-column", "renaming-column", "changing-column-type", "ban-drop-not-null"}
)
# What is dropped and made again is replaced.
_REPLACED: Final = frozenset({"ban-drop-view", "ban-drop-function"})


@dataclass(frozen=True)
class Destructive:
    """A statement that breaks the code before, or loses data.

    `table` is what it changes, `column` is empty where it is all of that; `does` and `fix` are
    what it does and what to do.
    """

    statement: str
    table: str
    column: str
    does: str
    fix: str

    def finding(self) -> Finding:
        """Return it as a line of an error."""
        place = f"{self.table}.{self.column}" if self.column else self.table
        return Finding(f"{self.does}: {self.statement}", place, self.fix)


@dataclass(frozen=True)
class Pending:
    """What a release's migrations find, and what they would do.

    `at` are the lines of `migrate --current`. `newer` are migrations that the database has had and
    that the release doesn't know. `sql` is what would be run, `destructive` what of that breaks
    the code before. `untold` are what can't be judged: one line each.
    """

    at: tuple[str, ...] = ()
    newer: tuple[str, ...] = ()
    sql: str = field(default="", repr=False)
    destructive: tuple[Destructive, ...] = ()
    untold: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to run."""
        return not any(statements.split(self.sql)) and not self.untold

    @property
    def additive(self) -> bool:
        """Whether the code before can go on beside what these migrations make."""
        return not self.destructive and not self.untold

    def refuse_destructive(self) -> None:
        """Raise FindingsError with all that breaks the code before, where there is such."""
        if self.destructive:
            raise FindingsError(
                (each.finding() for each in self.destructive),
                summary="the migrations break the code that runs until the new one does, and after "
                "a rollback; --allow-destructive does it all the same",
            )


def pending(run: Run) -> Pending:
    """Return what is pending in a release, asked of its own `migrate` (one call of `run`).

    Raises GangwayError where the database can't be asked.
    """
    said = run(["migrate", "--plan"])
    lines = said.stdout.splitlines()
    at, newer = (
        tuple(line.removeprefix(mark) for line in lines if line.startswith(mark))
        for mark in (AT, NEWER)
    )
    # What it says in its own name is for a user; a tool's log isn't.
    told = [
        line.removeprefix("db: ") for line in said.stderr.splitlines() if line.startswith("db: ")
    ]
    unknown = [line for line in told if "isn't known" in line]
    if said.status != 0 and not unknown:
        last = (told or said.stderr.strip().splitlines() or [f"status {said.status}"])[-1]
        raise GangwayError(
            f"the release's migrations can't be looked at: {last}",
            fix="see what `migrate --plan` says in a container of the release",
        )
    destructive, unread = judge(said.stdout)
    return Pending(at, newer, said.stdout, tuple(destructive), (*unknown, *unread))


def judge(sql: str) -> tuple[list[Destructive], list[str]]:
    """Return the statements of a script that break the code before it, and what can't be told.

    Raises GangwayError where squawk isn't there.
    """
    every = list(statements.split(sql))
    if not every:
        return [], _operations(sql)
    found, unread = _lint(sql, every)
    known = _Known.of(every, _types(sql))
    destructive = {
        (statement.start, rule, columns): Destructive(
            statement.line, statement.subject, ", ".join(columns), *RULES[rule]
        )
        for statement, rule, columns in found
        if not known.excuses(statement, rule, columns)
    }
    for statement in every:
        if _empties(statement) and statement.subject not in known.made:
            destructive[statement.start, "", ()] = Destructive(
                statement.line, statement.subject, "", *_EMPTIES
            )
    return [destructive[key] for key in sorted(destructive)], [*_operations(sql), *unread]


@dataclass(frozen=True)
class _Known:
    """What the script itself makes, which the code before knows nothing of."""

    made: frozenset[str]
    made_at: Mapping[str, int]
    added: Mapping[tuple[str, str], str]
    types: Mapping[str, str]

    @classmethod
    def of(cls, every: Sequence[Statement], types: Mapping[str, str]) -> _Known:
        made: dict[str, int] = {}
        added: dict[tuple[str, str], str] = {}
        for statement in every:
            if statement.made:
                made[statement.made] = statement.start
            if (renamed := statement.renamed) and renamed[0] in made:
                made[renamed[1]] = statement.start
            for column, said in statement.added.items():
                added[statement.subject, column] = said
        return cls(frozenset(made), made, added, types)

    def excuses(self, statement: Statement, rule: str, columns: tuple[str, ...]) -> bool:
        table = statement.subject
        if table in self.made:
            # Made before, and so unknown to the code before; or made again.
            return self.made_at[table] < statement.start or rule in _REPLACED
        if rule == "changing-column-type" and len(columns) == 1:
            before = self.types.get(f"{table}.{columns[0]}", "")
            if _is_wider(before, statement.type_of(columns[0])):
                return True
        said = [self.added.get((table, column)) for column in columns]
        if not said or None in said:
            return False
        whole = " ".join(filter(None, said))
        if rule == "ban-drop-default":
            return "NOT NULL" not in whole
        if rule == "ban-new-write-restriction":
            needed = re.search(r"\bSET\s+NOT\s+NULL", statement.text, re.IGNORECASE)
            return not needed or "DEFAULT" in whole
        return rule in _OF_OLD_COLUMNS


def _types(sql: str) -> dict[str, str]:
    """Return the types that columns have by now, by table and column."""
    found = re.findall(rf"^{HAS}({statements.PATH}) (.+)$", sql, re.MULTILINE)
    return {statements.plain(path): said for path, said in found}


def _is_wider(before: str, after: str) -> bool:
    """Say whether all that a column of text has had and is given fits a type as well."""
    text = re.compile(r"(?:varchar|character varying)\s*(?:\((\d+)\))?|text", re.IGNORECASE)
    old, new = text.fullmatch(before), text.fullmatch(after)
    return bool(old and new and (not new[1] or (old[1] and int(old[1]) <= int(new[1]))))


def _empties(statement: Statement) -> bool:
    text = statement.line.upper()
    return text.startswith("TRUNCATE ") or (
        text.startswith("DELETE FROM ") and " WHERE " not in text
    )


def _operations(sql: str) -> list[str]:
    """Return the migrations of Django that are programs, by name and what they say."""
    found, migration, operation = [], "", ""
    for line in sql.splitlines():
        if re.fullmatch(r"-- \w+\.\w+", line):
            migration = line.removeprefix("-- ")
        elif _NO_SQL in line:
            found.append(f"{migration}: {operation}, which is no SQL")
        elif line.startswith("-- "):
            operation = line.removeprefix("-- ")
    return list(dict.fromkeys(found))


# ---- squawk

Found = tuple[Statement, str, tuple[str, ...]]
"""A statement, the rule that it breaks, and the columns that it is about."""


def _lint(sql: str, every: Sequence[Statement]) -> tuple[list[Found], list[str]]:
    """Return what squawk finds, and the statements that it can't read."""
    findings = _squawk(sql)
    unread: list[Statement] = []
    if any(each["rule_name"] == "syntax-error" for each in findings):
        # One of these hides whatever else is wrong.
        places = {_place(sql, each) for each in findings if each["rule_name"] == "syntax-error"}
        unread = [each for each in every if any(each.start <= p <= each.end for p, _ in places)]
        for each in unread:
            blank = re.sub(r"[^\n]", " ", sql[each.start : each.end])
            sql = sql[: each.start] + blank + sql[each.end :]
        findings = [each for each in _squawk(sql) if each["rule_name"] != "syntax-error"]
    return list(_found(sql, every, findings)), [f"can't be read: {each.line}" for each in unread]


def _found(
    sql: str, every: Sequence[Statement], findings: Sequence[Mapping[str, Any]]
) -> Iterator[Found]:
    for each in findings:
        start, end = _place(sql, each)
        for statement in every:
            if statement.start <= start <= statement.end and each["rule_name"] in RULES:
                columns = statement.columns(start - statement.start, end - statement.start)
                yield statement, each["rule_name"], tuple(columns)


def _place(sql: str, finding: Mapping[str, Any]) -> tuple[int, int]:
    """Return where a finding begins and ends: squawk counts lines, and bytes in them."""
    lines = sql.splitlines(keepends=True)

    def place(line: int, column: int) -> int:
        before = "".join(lines[:line])
        here = "".join(lines[line : line + 1]).encode()[:column]
        return len(before) + len(here.decode(errors="replace"))

    return (
        place(finding["line"], finding["column"]),
        place(finding["line_end"], finding["column_end"]),
    )


def _squawk(sql: str) -> list[dict[str, Any]]:
    program = shutil.which("squawk", path=sysconfig.get_path("scripts")) or shutil.which("squawk")
    if not program:
        raise GangwayError(
            "there is no squawk here, which reads migrations",
            fix="install it with Gangway's other needs: pip install squawk-cli",
        )
    with tempfile.TemporaryDirectory() as folder:
        # Not in the checkout: its own .squawk.toml is for other questions.
        file = Path(folder) / "pending.sql"
        file.write_text(sql, encoding="utf-8")
        words = [program, "--reporter", "json", "--include", ",".join(RULES), str(file)]
        done = Runner(Path(folder), os.environ).capture(words, timeout=60)
    try:
        return list(json.loads(done.stdout))
    except ValueError:
        raise GangwayError(
            f"squawk ended with status {done.status}: {done.stderr.strip() or done.stdout.strip()}",
            fix="pip install --upgrade squawk-cli; --allow-destructive goes on without",
        ) from None
