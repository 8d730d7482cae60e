"""What an app reads, sorted: what the stack hands over, its own secrets, its plain variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look import variable_names as names
from gangway.operations.adoption.look.locks.lock import Lock
from gangway.operations.adoption.look.plain_values import (
    KINDS,
    Given,
    environment_values,
    values,
)
from gangway.operations.adoption.look.reads import Read

_SHORT = {
    "DATABASE_URL": "{database_url}",
    "REDIS_URL": "{redis_url}",
    "CELERY_BROKER_URL": "{broker_url}",
}
_PLAIN_SCHEMES = ("postgres", "postgresql", "psql", "pgsql", "postgis")
_REDIS_SCHEMES = ("redis", "rediss", "rediscache", "valkey")
_SQLALCHEMY = ("sqlalchemy", "sqlmodel", "flask-sqlalchemy", "alembic")
# The words that the base has for an environment, and that an app may have others for.
_ENVIRONMENTS = {"development", "production", "test"}


@dataclass
class Sorted:
    """What the app reads, sorted."""

    words: list[str] = field(default_factory=list)
    """The words of API_READS."""
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, dict[str, str]] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    password: bool = False
    """Whether the app is handed Redis' password."""

    def environment(self, kind: str) -> dict[str, str]:
        """Return the variables that an environment of a kind has."""
        return {**self.variables.get("", {}), **self.variables.get(kind, {})}

    @property
    def handed(self) -> set[str]:
        """The names of what is handed over."""
        return {word.partition("=")[0] for word in self.words}


@dataclass
class Surroundings:
    """What must be known of an app to sort what it reads."""

    reads: Mapping[str, list[Read]]
    defaults: Mapping[str, str]
    """What the code takes where nothing is set, as far as it is a text."""
    given: Mapping[str, list[Given]]
    hosts: Mapping[str, str]
    """Host names of existing Compose files: name → `postgres`, `redis`."""
    own: frozenset[str]
    """The app's own services there, which are called `api` here."""
    lock: Lock
    queue: bool
    """Whether it keeps a queue in Redis."""
    asynchronous: bool
    """Whether its engine is asynchronous: create_async_engine."""
    rewrites: bool
    """Whether the code itself puts a driver into an address."""
    signing: frozenset[str] = frozenset()
    """The variables that the framework's own secret key is read from."""


def sort(around: Surroundings) -> Sorted:
    """Sort everything that the app reads or is given."""
    result = Sorted(variables={"": {}, **{kind: {} for kind in KINDS}})
    for name in dict.fromkeys((*around.reads, *around.given)):
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            _Name(name, around, result).sort()
    result.words.sort(key=lambda word: (word.partition("=")[0] not in _SHORT, word))
    result.losses += [
        *_unset(around, result),
        *_private(around, result),
        *_theirs(around, result),
    ]
    return result


class _Name:
    """One variable on its way to where it belongs."""

    def __init__(self, name: str, around: Surroundings, result: Sorted) -> None:
        self.name, self.around, self.result = name, around, result
        self.reads = around.reads.get(name, [])
        self.given = around.given.get(name, [])
        known = (each.value for each in self.given if each.is_known)
        self.example = next(known, around.defaults.get(name, ""))
        """A value that it has somewhere, or by the code's own word."""
        self.required = any(read.is_required for read in self.reads)
        self.choices = next((read.choices for read in self.reads if read.choices), ())

    def sort(self) -> None:
        name = self.name
        if template := self._by_value() or self._by_name():
            self._hand(template)
        elif names.is_engine(name) and "sqlite" in (self.example or "sqlite"):
            is_django = "django.db" in self.example or self.around.lock.has("django")
            known = "django.db.backends." if is_django else ""
            self.result.variables[""][name] = f"{known}postgresql"
        elif names.is_ours(name):
            return
        elif names.is_secret_key(name) or name in self.around.signing:
            self._hand("{SECRET_KEY}")
        elif self._is_secret():
            self._secret()
        elif name.upper() == "LOG_LEVEL":
            # The base's is in small letters, which logging doesn't know.
            if self.reads and self.example != self.example.lower():
                self.result.words.append(f"{name}={self.example}")
        elif name.upper() == "ENVIRONMENT":
            self._environment()
        elif self.given:
            self._plain()

    # -- handed over ------------------------------------------------------------------------------

    def _hand(self, template: str) -> None:
        if re.search(r"redis_url|broker_url|REDIS_PASSWORD", template):
            self.result.password = True
        if template == f"{{{self.name}}}":
            if self.name not in names.SET_ALREADY:
                self.result.words.append(self.name)
        elif _SHORT.get(self.name) == template:
            self.result.words.append(self.name)
        else:
            self.result.words.append(f"{self.name}={template}")

    def _by_value(self) -> str:
        """Return what the stack has in place of the value that it has today; empty for nothing."""
        match = re.match(r"([\w+]+)://[^\s/]", self.example)
        scheme = match[1].lower() if match else ""
        if scheme.partition("+")[0] in _PLAIN_SCHEMES or scheme.startswith("db+postgres"):
            return self._database(scheme)
        if scheme in _REDIS_SCHEMES:
            return self._redis(self.example)
        host = self.around.hosts.get(self.example)
        if host:
            return "{POSTGRES_HOST}" if host == "postgres" else f"{{{self._store}_HOST}}"
        return ""

    def _by_name(self) -> str:
        """Return what the stack has for such a name; empty for nothing."""
        if names.is_other_store(self.name) or names.is_engine(self.name):
            return ""
        is_sqlite = self.example.startswith("sqlite")
        if names.is_database_url(self.name) and (not self.example or is_sqlite):
            return self._database("")
        if "://" in self.example:
            return ""
        if part := names.database_part(self.name):
            return f"{{POSTGRES_{part}}}"
        if part := names.redis_part(self.name):
            return "{REDIS_PASSWORD}" if part == "PASSWORD" else f"{{{self._store}_{part}}}"
        return self._redis("") if names.is_redis_url(self.name) and not self.example else ""

    def _database(self, scheme: str) -> str:
        wanted = scheme if scheme and scheme not in _PLAIN_SCHEMES else self._driver()
        return f"{{database_url:{wanted}}}" if wanted else "{database_url}"

    def _driver(self) -> str:
        """Return the scheme that SQLAlchemy needs for the driver that the app has."""
        lock, around = self.around.lock, self.around
        if around.rewrites or not lock.has(*_SQLALCHEMY):
            return ""
        is_async = "ASYNC" in self.name.upper() or around.asynchronous
        drivers = ["asyncpg"] if is_async else ["psycopg2", "psycopg2-binary"]
        for package in (*drivers, "psycopg", "asyncpg", "pg8000"):
            if lock.has(package):
                return "" if package.startswith("psycopg2") else f"postgresql+{package}"
        return ""

    def _redis(self, value: str) -> str:
        kind = "broker_url" if self._store == "BROKER" else "redis_url"
        number = re.fullmatch(r"/(\d+)", urlsplit(value).path)
        return f"{{{kind}:{number[1]}}}" if number and number[1] != "0" else f"{{{kind}}}"

    @property
    def _store(self) -> str:
        # One address for all: what keeps a queue doesn't forget a cache either.
        only_one = self.around.queue and not names.is_for_cache(self.name)
        return "BROKER" if names.is_for_queue(self.name) or only_one else "REDIS"

    # -- its own ----------------------------------------------------------------------------------

    def _is_secret(self) -> bool:
        if names.is_secret(self.name):
            return not re.fullmatch(r"true|false|\d{1,4}", self.example, re.IGNORECASE)
        with_password = re.search(r"://[^/@:]*:[^/@]+@", self.example)
        return bool(with_password) and "://guest:guest@" not in self.example

    def _secret(self) -> None:
        public = (
            each.value
            for each in self.given
            if each.is_known and each.kind != "prod" and not each.private
        )
        value = next(public, "")
        if not value and not self.required and not any(each.value for each in self.given):
            return
        if not value and not self.name.upper().endswith("DSN"):
            value = f"{self.name.lower().replace('_', '-')}-for-development"
        self.result.secrets[self.name] = value
        self.result.words.append(self.name)

    def _environment(self) -> None:
        """ENVIRONMENT, which the base sets in Gangway's words, in the app's."""
        if not self.reads or (not self.choices and self.example in {"", *_ENVIRONMENTS}):
            return
        if set(self.choices) >= _ENVIRONMENTS:
            return
        for kind, value in environment_values(self.example, self.choices).items():
            self.result.variables[kind]["APP_ENVIRONMENT"] = value
        self.result.words.append(f"{self.name}={{APP_ENVIRONMENT}}")

    def _plain(self) -> None:
        if hidden := [each for each in self.given if each.is_hidden]:
            what = f"{self.name} has a value like a secret's in a file that git ignores"
            do = "it isn't copied: make it a secret in contract.yml, or set it in app.prod.env"
            self.result.losses.append(Loss(what, hidden[0].where, do))
        given = [each for each in self.given if not each.is_hidden]
        found = values(self.name, given, required=self.required, choices=self.choices)
        for value, do in found.undecided:
            what = f"{self.name}={value} is development's"
            self.result.losses.append(Loss(what, self.given[0].where, do))
        present = {kind: self._renamed(value) for kind, value in found.by_kind.items()}
        if len(present) == len(KINDS) and len(set(present.values())) == 1:
            present = {"": next(iter(present.values()))}
        for kind, value in present.items():
            self.result.variables[kind][self.name] = value

    def _renamed(self, value: str) -> str:
        """Put the app's new name in where it asks for itself."""
        for name in self.around.own - {"api"}:
            value = re.sub(rf"(?<=//){re.escape(name)}(?=[:/]|$)", "api", value)
        return value


# -- what must be known of variables that got no value, or not their own --------------------------


def _unset(around: Surroundings, result: Sorted) -> Iterator[Loss]:
    known = result.handed.union(*result.variables.values(), {"ENVIRONMENT", "LOG_LEVEL"})
    optional: list[tuple[str, str]] = []
    for name, reads in around.reads.items():
        is_told = any(each.is_hidden for each in around.given.get(name, ()))
        if name in known or names.is_ours(name) or is_told:
            continue
        required = next((read for read in reads if read.is_required), None)
        if required:
            yield Loss(
                f"{name} is read and has no value anywhere",
                required.where,
                "set it in the stack's app.env, or for one environment in its app.prod.env",
            )
        elif names.is_secret(name) and not around.defaults.get(name):
            optional.append((name, reads[0].where))
    if optional:
        yield Loss(
            f"optional secrets that nothing sets: {', '.join(name for name, _ in optional)}",
            optional[0][1],
            "where one is wanted: describe it in the stack's contract.yml with a secret_file, and"
            " add it to API_READS",
        )


def _private(around: Surroundings, result: Sorted) -> Iterator[Loss]:
    found = {
        name: each.where
        for name in result.secrets
        for each in around.given.get(name, ())
        if each.private and each.value
    }
    if found:
        yield Loss(
            f"values of secrets in a file that git ignores: {', '.join(found)}",
            next(iter(found.values())),
            "they aren't copied: where development needs the real ones, write them to secrets/dev",
        )


def _theirs(around: Surroundings, result: Sorted) -> Iterator[Loss]:
    found = [name for name in result.secrets if names.is_theirs(name)]
    if found:
        places = [*around.reads.get(found[0], ()), *around.given.get(found[0], ())]
        yield Loss(
            f"other services' secrets: {', '.join(found)}",
            places[0].where,
            "nobody can make them up: after `invoke prod.init`, write yours to secrets/prod",
        )


def harmless(read: Read) -> str:
    """Return a value with which code that must have this variable can be imported."""
    name = read.name.upper()
    if read.kind in ("db", "db_url", "dj_db_url") or names.is_database_url(name):
        return "postgresql://build:build@localhost:5432/build"
    if read.kind in ("cache", "cache_url") or names.is_redis_url(name):
        return "redis://localhost:6379/0"
    ends = {"DSN": "", "_PORT": "1", "_URL": "http://localhost", "_URI": "http://localhost"}
    for end, value in ends.items():
        if name.endswith(end):
            return value
    kinds = {"bool": "0", "int": "0", "float": "0", "decimal": "0", "json": "{}", "dict": "{}"}
    more = {"url": "http://localhost", "email": "consolemail://", "email_url": "consolemail://"}
    return {**kinds, **more}.get(read.kind, "build")
