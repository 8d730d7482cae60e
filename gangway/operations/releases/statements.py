"""SQL as a list of statements, and which tables and columns one is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

NAME: Final = r'(?:"(?:[^"]|"")+"|[\w$]+)'
"""A name as SQL has it, quoted or not."""
PATH: Final = rf"{NAME}(?:\.{NAME})*"
"""The same with its schema."""

# What may have a semicolon in it that ends nothing; and what does.
_TOKEN: Final = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
    | \$(?P<tag>[A-Za-z_]\w*|)\$.*?\$(?P=tag)\$ | ;""",
    re.DOTALL | re.VERBOSE,
)
_IF: Final = r"(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"
_KINDS: Final = (
    r"(?:MATERIALIZED\s+VIEW|TABLE|VIEW|FUNCTION|PROCEDURE|TYPE|DOMAIN|SEQUENCE|SCHEMA|EXTENSION|"
    r"DATABASE)"
)
_SUBJECT: Final = re.compile(
    rf"(?:ALTER|DROP)\s+{_KINDS}\s+{_IF}(?:ONLY\s+)?(?P<one>{PATH})"
    rf"|CREATE\s+UNIQUE\s+INDEX\s+.*?\bON\s+(?:ONLY\s+)?(?P<index>{PATH})"
    rf"|TRUNCATE\s+(?:TABLE\s+)?(?:ONLY\s+)?(?P<emptied>{PATH})"
    rf"|DELETE\s+FROM\s+(?:ONLY\s+)?(?P<deleted>{PATH})",
    re.IGNORECASE | re.DOTALL,
)
_MADE: Final = re.compile(
    rf"CREATE\s+(?:OR\s+REPLACE\s+)?(?:UNLOGGED\s+)?{_KINDS}\s+{_IF}({PATH})", re.IGNORECASE
)
_RENAMED: Final = re.compile(
    rf"ALTER\s+TABLE\s+{_IF}({PATH})\s+RENAME\s+TO\s+({NAME})", re.IGNORECASE
)
_ADDED: Final = re.compile(
    rf"\bADD\s+(?:COLUMN\s+)?{_IF}(?!CONSTRAINT\b|UNIQUE\b|PRIMARY\b|FOREIGN\b|CHECK\b|EXCLUDE\b)"
    rf"({NAME})\s((?:\([^()]*\)|[^,(])*)",
    re.IGNORECASE,
)
_COLUMN: Final = re.compile(
    rf"\b(?:ADD|DROP|ALTER|RENAME)\s+(?:COLUMN\s+)?{_IF}"
    rf"(?!TABLE\b|CONSTRAINT\b|TO\b|UNIQUE\b|PRIMARY\b|FOREIGN\b|CHECK\b|EXCLUDE\b|NOT\b|DEFAULT\b)"
    rf"({NAME})",
    re.IGNORECASE,
)
_TYPE: Final = re.compile(
    rf"\bALTER\s+(?:COLUMN\s+)?({NAME})\s+(?:SET\s+DATA\s+)?TYPE\s+"
    r"([a-z ]+(?:\(\d+\))?)(?=\s*(?:,|$|USING\b))",
    re.IGNORECASE,
)
_COLUMNS: Final = re.compile(
    rf"(?:UNIQUE|PRIMARY\s+KEY|FOREIGN\s+KEY|\bON\s+{PATH}(?:\s+USING\s+\w+)?)[^(]*"
    rf"\(\s*({NAME}(?:\s*,\s*{NAME})*)\s*\)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Statement:
    """One statement without comments around it; `start` and `end` are places in the whole text."""

    text: str
    start: int
    end: int

    @property
    def line(self) -> str:
        """The statement in one line."""
        return " ".join(self.text.split())

    @property
    def subject(self) -> str:
        """The table, or what else it changes; empty where it is something else."""
        found = _SUBJECT.match(self.text)
        return plain(next(filter(None, found.groups()))) if found else ""

    @property
    def made(self) -> str:
        """What it creates; empty for nothing."""
        found = _MADE.match(self.text)
        return plain(found[1]) if found else ""

    @property
    def renamed(self) -> tuple[str, str] | None:
        """The table's old and new name, where it is given one."""
        found = _RENAMED.match(self.text)
        return (plain(found[1]), plain(found[2])) if found else None

    @property
    def added(self) -> dict[str, str]:
        """The columns that it adds to a table, each with what is said of it, in upper case."""
        if not re.match(r"ALTER\s+TABLE\s", self.text, re.IGNORECASE):
            return {}
        return {plain(name): said.upper() for name, said in _ADDED.findall(self.text)}

    def type_of(self, column: str) -> str:
        """Return the type that it gives to a column; empty for none."""
        for name, said in _TYPE.findall(self.text):
            if plain(name) == column:
                return str(said).strip()
        return ""

    def columns(self, start: int, end: int) -> list[str]:
        """Return the columns that its action from `start` to `end`, places in it, is about."""
        if found := _COLUMNS.search(self.text[start:end]):
            return [plain(name) for name in re.findall(NAME, found[1])]
        subject = _SUBJECT.match(self.text)
        before = list(_COLUMN.finditer(self.text, subject.end() if subject else 0, end))
        return [plain(before[-1][1])] if before else []


def plain(path: str) -> str:
    """Return a name as Postgres keeps it, without `public`."""
    parts = [
        part[1:-1].replace('""', '"') if part.startswith('"') else part.lower()
        for part in re.findall(NAME, path)
    ]
    return ".".join(parts[parts[0] == "public" and len(parts) > 1 :])


def split(sql: str) -> Iterator[Statement]:
    """Yield the statements of a script; those that only open or end a transaction are left out."""
    begin = 0
    for token in _TOKEN.finditer(sql):
        if token[0] == ";":
            yield from _statement(sql, begin, token.start())
            begin = token.end()
    yield from _statement(sql, begin, len(sql))


def _statement(sql: str, begin: int, end: int) -> Iterator[Statement]:
    # Blanks in place of comments: places stay what they are.
    text = _TOKEN.sub(
        lambda token: " " * len(token[0]) if token[0].startswith(("--", "/*")) else token[0],
        sql[begin:end],
    )
    start = begin + len(text) - len(text.lstrip())
    text = text.strip()
    if text and not re.fullmatch(r"(BEGIN|COMMIT|START\s+TRANSACTION)", text, re.IGNORECASE):
        yield Statement(text, start, start + len(text))
