"""The data stores' own side of a rotation: which passwords they take."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.process import Completed
from gangway.operations.redis_keys import TOOL

Ask = Callable[[Sequence[str], str], Completed]
"""Runs a command in a store's container with a text as its input: nothing secret is an argument."""

_OF_ROLE: Final = " FROM pg_authid WHERE rolname = {}"
# What logging in as a user sets, for another: a list such as search_path stays one.
_SETTINGS: Final = """
DO $do$
DECLARE one record;
BEGIN
    FOR one IN
        SELECT split_part(said, '=', 1) AS name, substr(said, strpos(said, '=') + 1) AS value,
            d.datname AS database
        FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) said
            LEFT JOIN pg_database d ON d.oid = s.setdatabase
        WHERE s.setrole = CAST({user} AS regrole)
    LOOP
        PERFORM set_config(one.name, one.value, true);
        EXECUTE format('ALTER ROLE %I %s SET %I FROM CURRENT', {other},
            CASE WHEN one.database IS NULL THEN '' ELSE format('IN DATABASE %I', one.database) END,
            one.name);
    END LOOP;
END $do$;"""


@dataclass(frozen=True)
class Postgres:
    """A stack's PostgreSQL, asked as its owner by its own socket."""

    ask: Ask
    user: str
    database: str

    def verifier(self) -> str:
        """Return what it keeps of the user's password."""
        return self._do("SELECT rolpassword" + _OF_ROLE.format(_text(self.user)))

    def knows(self, role: str) -> bool:
        """Say whether there is such a role."""
        return self._do("SELECT count(*)" + _OF_ROLE.format(_text(role))) == "1"

    def add(self, role: str, verifier: str) -> None:
        """Have a second one who logs in and then is the user: what it makes is the user's."""
        if not self.knows(role):
            name, user = _name(role), _name(self.user)
            self._do(
                f"CREATE ROLE {name} LOGIN PASSWORD {_text(verifier)} IN ROLE {user};"
                + _SETTINGS.format(user=_text(user), other=_text(role))
                + f"ALTER ROLE {name} SET role = {_text(self.user)};"
            )
        else:
            self.change(role, verifier)

    def change(self, role: str, verifier: str) -> None:
        """Give a role another password; whoever is logged in stays so."""
        self._do(f"ALTER ROLE {_name(role)} PASSWORD {_text(verifier)}")

    def drop(self, role: str) -> None:
        """Take the second one away; what it may own all the same goes to the user."""
        name = _name(role)
        self._do(
            f"REASSIGN OWNED BY {name} TO {_name(self.user)}; DROP OWNED BY {name};"
            f"DROP ROLE {name};"
        )

    def _do(self, sql: str) -> str:
        words = [
            "psql", "-XAtqw", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-f", "-",
            "-U", self.user, "-d", self.database,
        ]  # fmt: skip
        done = self.ask(words, sql)
        return _said(done, "PostgreSQL", "postgres")


@dataclass(frozen=True)
class Redis:
    """Redis, or Valkey, in the container of a `service`."""

    ask: Ask
    service: str

    def passwords(self) -> frozenset[str]:
        """Return the digests of the passwords that it takes."""
        return frozenset(self._do("passwords", "").split())

    def add(self, password: str) -> None:
        """Have it take one more password."""
        self._do("accept", digest(password))

    def only(self, password: str) -> None:
        """Have it take one password, and no other; who is logged in stays so."""
        self._do("only", digest(password))

    def _do(self, what: str, text: str) -> str:
        return _said(self.ask([*TOOL, what], text), "Redis", self.service)


def digest(password: str) -> str:
    """Return a password as Redis keeps it."""
    return hashlib.sha256(password.encode()).hexdigest()


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _said(done: Completed, name: str, service: str) -> str:
    if done.status != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise GangwayError(
            f"{name} refuses: {lines[-1]}",
            fix=f"look at {service}'s log; then the same task goes on",
        )
    return done.stdout.strip()
