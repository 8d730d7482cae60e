"""SQL by way of psql: no driver to lock, and the client is the server's own major."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, cast

from backup import programs
from backup.settings import Server

PSQL = ("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--no-password")
STOP = ("--set", "ON_ERROR_STOP=1")


def execute(server: Server, *statements: str, database: str = "") -> None:
    """Run statements one after the other; raises Failed with what the server said."""
    script = "".join(f"{each};\n" for each in statements)
    programs.run([*PSQL, *STOP, "--file", "-"], server.environment(database), script)


def rows(server: Server, query: str, database: str = "") -> list[dict[str, Any]]:
    """Return what a query yields, a dictionary for each row."""
    with session(server, database) as one:
        return one.rows(query)


@dataclass(frozen=True)
class Session:
    """One connection, so that several queries see the same snapshot."""

    asked: IO[str]
    answers: IO[str]
    complaints: IO[str]

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return what a query yields, a dictionary for each row."""
        text = self.text(f"SELECT coalesce(json_agg(q), '[]') FROM ({query}) AS q")
        found: list[dict[str, Any]] = json.loads(text)
        return found

    def text(self, statement: str) -> str:
        """Run one statement and return its output as text."""
        end = f"end {secrets.token_hex(8)}"
        try:
            self.asked.write(f"{statement};\n\\echo {end}\n")
            self.asked.flush()
        except BrokenPipeError:
            raise self._ended() from None
        lines: list[str] = []
        for line in self.answers:
            if line.rstrip("\n") == end:
                return "".join(lines).rstrip("\n")
            lines.append(line)
        raise self._ended()

    def _ended(self) -> Exception:
        self.complaints.seek(0)
        return programs.failed("psql", 3, self.complaints.read())


@contextlib.contextmanager
def session(server: Server, database: str = "") -> Iterator[Session]:
    """Connect, and disconnect after the block; what wasn't committed is undone."""
    with tempfile.TemporaryFile("w+") as complaints:
        try:
            psql = subprocess.Popen(
                [*PSQL, *STOP], env=programs.variables(server.environment(database)), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise programs.missing("psql") from error
        asked, answers = cast(IO[str], psql.stdin), cast(IO[str], psql.stdout)
        try:
            yield Session(asked, answers, complaints)
        finally:
            psql.kill()
            # What it had no time to read is still in there.
            with contextlib.suppress(BrokenPipeError):
                asked.close()
            answers.close()
            psql.wait()


def literal(text: str) -> str:
    """Return text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def name(text: str) -> str:
    """Return text as a name of SQL."""
    return '"' + text.replace('"', '""') + '"'
