"""What an app reads, sorted: what the stack has and hands over, secrets of its own, plain variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.locks import Lock
from gangway.operations.adoption.look.reads import Read

KINDS = ("dev", "test", "prod")

# What Compose, Docker, Python or Gangway itself goes by, and an app's own files needn't say.
_NOT_OURS = re.compile(
    r"COMPOSE_\w+|DOCKER_\w+|BUILDKIT_\w+|BUILDX_\w+|(APP_)?[UG]ID|HOST_[UG]ID|USER_ID|GROUP_ID|PATH|HOME|USER|PWD"
    r"|SHELL|TERM|HOSTNAME|PYTHON\w+|PIP_\w+|UV_\w+|POETRY_\w+|NODE_ENV|NODE_VERSION|CI|PORT|WEB_CONCURRENCY"
    r"|WEB_RELOAD|WEB_TIMEOUT|GUNICORN_\w+|UVICORN_\w+|(CELERY_)?FLOWER_\w+|IPYTHONDIR|STACK_NAME|TAG|TRAEFIK_\w+|LETSENCRYPT\w*"
    r"|WATCHFILES_\w+|DOMAIN|PGADMIN_\w+|VIRTUAL_HOST|VIRTUAL_PORT|FLASK_RUN_\w+|FLASK_SKIP_DOTENV|REDIS_VERSION"
    r"|POSTGRES_VERSION|TZ|LANG|LC_ALL|DJANGO_SETTINGS_MODULE|DEBUGPY|NO_COLOR"
)
_OTHER_STORES = re.compile(
    r"MONGO|MYSQL|MARIA|ELASTIC|QDRANT|CHROMA|VECTOR|INFLUX|CLICKHOUSE|RABBIT|NEO4J|SQLITE|MEMCACHE|KAFKA|SNOWFLAKE"
)
_STORE = r"(?:[A-Z0-9]+_)*?(?:POSTGRES(?:QL)?|PSQL|PG|DB|DATABASE|SQL|RDS)"
_PARTS = (
    (
        re.compile(rf"(?:{_STORE}_?(?:HOST|HOSTNAME|SERVER|ADDR|ADDRESS|SERVICE_HOST)|PGHOST)"),
        "{POSTGRES_HOST}",
    ),
    (re.compile(rf"(?:{_STORE}_?PORT|PGPORT)"), "{POSTGRES_PORT}"),
    (re.compile(rf"(?:{_STORE}_?(?:DB|NAME|DBNAME|DATABASE|DB_NAME)|PGDATABASE)"), "{POSTGRES_DB}"),
    (re.compile(rf"(?:{_STORE}_?(?:USER|USERNAME|USER_NAME)|PGUSER)"), "{POSTGRES_USER}"),
    (re.compile(rf"(?:{_STORE}_?(?:PASSWORD|PASS|PASSWD|PWD)|PGPASSWORD)"), "{POSTGRES_PASSWORD}"),
)
_DATABASE_URL = re.compile(
    r"(?:[A-Z0-9]+_)*(?:DATABASE|DB|POSTGRES(?:QL)?|PG|SQLALCHEMY|SQL)_?(?:[A-Z]+_)*?"
    r"(?:URL|URI|DSN|CONNECTION_STRING|CONN_STR|CONNECTION|CONNINFO)"
)
_ENGINE = re.compile(rf"{_STORE}_(?:ENGINE|BACKEND|DRIVER)")
_REDIS_PART = re.compile(
    r"(?P<prefix>(?:[A-Z0-9]+_)*?)(?:REDIS|VALKEY)_(?P<part>HOST|HOSTNAME|SERVER|ADDR|PORT|PASSWORD|PASS|AUTH)"
)
_REDIS_URL = re.compile(
    r"(?:[A-Z0-9]+_)*(?:(?:REDIS|VALKEY|CACHE|BROKER|CELERY)(?:_[A-Z0-9]+)*?_(?:URL|URI|DSN|LOCATION|STORAGE_URI)"
    r"|CELERY_BROKER|(?:CELERY_)?RESULT_BACKEND(?:_URL)?|CELERY_BACKEND(?:_URL)?|CHANNEL_LAYERS?_URL"
    r"|RATELIMIT_STORAGE_UR[IL])"
)
_FOR_QUEUE = re.compile(r"BROKER|CELERY|QUEUE|RESULT_BACKEND|RQ_|ARQ|TASK|DRAMATIQ|HUEY")
_FOR_CACHE = re.compile(r"CACHE|SESSION|RATELIMIT|RATE_LIMIT")
_SECRET_KEY = re.compile(
    r"(?:(?:DJANGO|FLASK|FASTAPI|APP|APPLICATION|BACKEND|API|QUART)_)?SECRET_KEY|SECRET_KEY_BASE|(?:APP|DJANGO|FLASK)_SECRET"
)
_SECRET = re.compile(
    r"(?:.*_)?(?:KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASS|PASSPHRASE|DSN|CREDENTIALS?|SALT|APIKEY|PRIVATE_KEY|PEPPER)"
    r"|.*(?:SECRET|PASSWORD|PRIVATE_KEY).*"
)
_NO_SECRET = re.compile(
    r".*(?:PUBLIC|PUBLISHABLE|SITE)_?KEY|.*(?:_EXPIRES?|_EXPIRATION|_EXPIRY|_LIFETIME|_TTL|_MINUTES|_SECONDS|_DAYS"
    r"|_HOURS|_URL|_LENGTH|_ALGORITHM|_TYPE|_NAME|_HEADER|_FILE|_PATH|_PREFIX|_ID|_HASHERS?|_VALIDATORS?|_MAX_AGE"
    r"|_REQUIRED|_ENABLED|_TIMEOUT|_EXPIRE_\w+|_ISSUER|_AUDIENCE|_IN)|CACHE_KEY|PRIMARY_KEY|.*_KEY_FUNC"
)
_THEIRS = re.compile(r".*(?:API_?KEY|TOKEN|DSN|ACCESS_KEY|CREDENTIALS?|(?:SMTP|EMAIL|MAIL)\w*)")
_DEBUG = re.compile(r"(?:.*_)?DEBUG(?:_MODE)?|FLASK_DEBUG|(?:.*_)?RELOAD")
_ENVIRONMENT = re.compile(
    r"(?:[A-Z]+_)?(?:ENV|ENVIRONMENT|STAGE|MODE|PROFILE|APP_ENV|CONFIG|SETTINGS|CONFIG_NAME|ENV_NAME)"
)
_HOSTS = re.compile(r"(?:.*_)?ALLOWED_HOSTS?")
_LOCAL = re.compile(
    r"\blocalhost\b|\b127\.0\.0\.1\b|\b0\.0\.0\.0\b|host\.docker\.internal|\.localhost\b"
)
_DEVELOPMENT = ("development", "dev", "local", "docker", "debug")
_PRODUCTION = ("production", "prod", "live", "deploy")
_TESTING = ("test", "testing", "tests")
_TRUE = {
    "true": "false",
    "True": "False",
    "TRUE": "FALSE",
    "1": "0",
    "yes": "no",
    "on": "off",
    "Yes": "No",
    "t": "f",
}
# Set by the base Compose files for every app.
_SET_ALREADY = {
    "POSTGRES_HOST",
    "POSTGRES_PORT",
    "POSTGRES_DB",
    "POSTGRES_USER",
    "REDIS_HOST",
    "REDIS_PORT",
}
_SHORT = {
    "DATABASE_URL": "{database_url}",
    "REDIS_URL": "{redis_url}",
    "CELERY_BROKER_URL": "{broker_url}",
}
_PLAIN_SCHEMES = ("postgres", "postgresql", "psql", "pgsql", "postgis")


def is_ours(name: str) -> bool:
    """Say whether a variable is Compose's, Docker's, Python's or Gangway's own, not the app's."""
    return _NOT_OURS.fullmatch(name.upper()) is not None


@dataclass(frozen=True)
class Given:
    """A value that somebody has for a variable."""

    value: str
    where: str
    kind: str = ""
    """`dev`, `test`, `prod`; empty where it is for all."""
    private: bool = False
    """Whether it is in a file that git ignores."""


@dataclass
class Sorted:
    """What the app reads, sorted."""

    words: list[str] = field(default_factory=list)
    """The words of API_READS."""
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, dict[str, str]] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    evidence: list[tuple[str, str]] = field(default_factory=list)
    database: bool = False
    redis: bool = False
    """Whether the app is handed the database's and Redis' address."""
    password: bool = False
    """Whether it is handed Redis' password."""

    def environment(self, kind: str) -> dict[str, str]:
        """Return the variables that an environment of a kind has."""
        return {**self.variables.get("", {}), **self.variables.get(kind, {})}


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
    result = Sorted(variables={"": {}, "dev": {}, "test": {}, "prod": {}})
    for name in dict.fromkeys((*around.reads, *around.given)):
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            _Name(name, around, result).sort()
    _tell(around, result)
    result.words.sort(key=lambda word: (word.partition("=")[0] not in _SHORT, word))
    return result


class _Name:
    """One variable on its way to where it belongs."""

    def __init__(self, name: str, around: Surroundings, result: Sorted) -> None:
        self.name, self.around, self.result = name, around, result
        self.reads = around.reads.get(name, [])
        self.given = around.given.get(name, [])
        self.upper = name.upper()

    @property
    def example(self) -> str:
        """A value that it has somewhere, or by the code's own word."""
        for each in self.given:
            if each.value and "${" not in each.value:
                return each.value
        return self.around.defaults.get(self.name, "")

    @property
    def where(self) -> str:
        return self.reads[0].where if self.reads else self.given[0].where

    @property
    def required(self) -> bool:
        return bool(self.reads) and any(read.is_required for read in self.reads)

    def sort(self) -> None:
        if template := self._template():
            self._hand(template)
        elif _ENGINE.fullmatch(self.upper) and "sqlite" in (self.example or "sqlite"):
            known = "django.db.backends." if "django.db" in self.example else ""
            self.result.variables[""][self.name] = f"{known}postgresql"
        elif _NOT_OURS.fullmatch(self.upper) or _SET_ALREADY & {self.upper}:
            return
        elif _SECRET_KEY.fullmatch(self.upper) or self.name in self.around.signing:
            self._hand("{SECRET_KEY}")
        elif self._is_secret():
            self._secret()
        elif self.upper in ("ENVIRONMENT", "LOG_LEVEL"):
            self._ours()
        elif self.given:
            self._plain()

    # -- handed over --------------------------------------------------------------------------------

    def _hand(self, template: str) -> None:
        result = self.result
        if "database_url" in template or template.startswith("{POSTGRES"):
            result.database = True
        if re.search(r"redis_url|broker_url|REDIS|BROKER", template):
            result.redis = True
            result.password = result.password or "_url" in template or "PASSWORD" in template
        if template == f"{{{self.name}}}" and self.name in _SET_ALREADY:
            return
        if template == f"{{{self.name}}}" or _SHORT.get(self.name) == template:
            result.words.append(self.name)
        else:
            result.words.append(f"{self.name}={template}")

    def _template(self) -> str:
        """Return what the stack has for it, nothing where that is nothing of the stack's."""
        value = self.example
        scheme = value.partition("://")[0].lower() if "://" in value else ""
        if scheme.partition("+")[0] in _PLAIN_SCHEMES or scheme.startswith("db+postgres"):
            return self._database(scheme, value)
        if scheme in ("redis", "rediss", "rediscache", "valkey", "unix"):
            return self._redis(value)
        if _OTHER_STORES.search(self.upper):
            return ""
        if _ENGINE.fullmatch(self.upper):
            return ""
        if _DATABASE_URL.fullmatch(self.upper) and scheme in (
            "",
            "sqlite",
            "sqlite3",
            "sqlite+aiosqlite",
        ):
            return self._database("", value)
        for pattern, template in _PARTS:
            if pattern.fullmatch(self.upper):
                return template
        if match := _REDIS_PART.fullmatch(self.upper):
            return self._redis_part(match)
        if _REDIS_URL.fullmatch(self.upper) and not value:
            return self._redis("")
        if value in self.around.hosts:
            return (
                "{POSTGRES_HOST}" if self.around.hosts[value] == "postgres" else self._store("HOST")
            )
        return ""

    def _database(self, scheme: str, value: str) -> str:
        wanted = self._scheme(scheme)
        return f"{{database_url:{wanted}}}" if wanted else "{database_url}"

    def _scheme(self, scheme: str) -> str:
        if scheme and scheme not in _PLAIN_SCHEMES:
            return scheme
        lock, around = self.around.lock, self.around
        if around.rewrites or not lock.has("sqlalchemy", "sqlmodel", "flask-sqlalchemy", "alembic"):
            return ""
        if ("ASYNC" in self.upper or around.asynchronous) and lock.has("asyncpg"):
            return "postgresql+asyncpg"
        if lock.has("psycopg2", "psycopg2-binary"):
            return ""
        for package in ("psycopg", "asyncpg", "pg8000"):
            if lock.has(package):
                return f"postgresql+{package}"
        return ""

    def _redis(self, value: str) -> str:
        kind = "broker_url" if self._is_for_queue() else "redis_url"
        number = re.fullmatch(r"/(\d+)", urlsplit(value).path) if value else None
        return f"{{{kind}:{number[1]}}}" if number and number[1] != "0" else f"{{{kind}}}"

    def _is_for_queue(self) -> bool:
        if _FOR_QUEUE.search(self.upper):
            return True
        # One address for all: what keeps a queue doesn't forget a cache either.
        return self.around.queue and not _FOR_CACHE.search(self.upper)

    def _redis_part(self, match: re.Match[str]) -> str:
        part = match["part"]
        if part in ("PASSWORD", "PASS", "AUTH"):
            return "{REDIS_PASSWORD}"
        return self._store("PORT" if part == "PORT" else "HOST")

    def _store(self, part: str) -> str:
        return f"{{BROKER_{part}}}" if self._is_for_queue() else f"{{REDIS_{part}}}"

    # -- its own ------------------------------------------------------------------------------------

    def _is_secret(self) -> bool:
        if _NO_SECRET.fullmatch(self.upper):
            return False
        if _SECRET.fullmatch(self.upper):
            return not re.fullmatch(r"true|false|\d{1,4}", self.example, re.IGNORECASE)
        if re.search(r"://[^/@:]*:[^/@]+@", self.example):
            return not self.example.startswith("amqp://guest:guest@")
        return False

    def _secret(self) -> None:
        values = [each for each in self.given if each.kind != "prod" and not each.private]
        value = next((each.value for each in values if each.value and "${" not in each.value), "")
        mine = any(each.value for each in self.given)
        if not value and not self.required and not mine:
            return
        if not value and not self.upper.endswith("DSN"):
            value = f"{self.name.lower().replace('_', '-')}-for-development"
        self.result.secrets[self.name] = value
        self.result.words.append(self.name)

    def _ours(self) -> None:
        """ENVIRONMENT and LOG_LEVEL, which the base sets in Gangway's own words."""
        example = self.example
        if self.upper == "LOG_LEVEL":
            if example and example != example.lower() and self.reads:
                self.result.words.append(f"{self.name}={example}")
            return
        choices = next((read.choices for read in self.reads if read.choices), ())
        if not self.reads or (not choices and example in ("", "development", "production", "test")):
            return
        if choices and set(choices) >= {"development", "production", "test"}:
            return
        names = {"dev": _DEVELOPMENT, "test": (*_TESTING, *_DEVELOPMENT), "prod": _PRODUCTION}
        for kind, likely in names.items():
            known = choices or tuple(filter(None, (example, "production")))
            value = next((each for name in likely for each in known if each.lower() == name), "")
            self.result.variables[kind]["APP_ENVIRONMENT"] = value or (
                known[-1] if kind == "prod" else known[0]
            )
        self.result.words.append(f"{self.name}={{APP_ENVIRONMENT}}")

    def _plain(self) -> None:
        general = self._value("")
        known = {kind: self._value(kind) for kind in KINDS}
        values = {
            "dev": _first(known["dev"], general),
            "test": _first(known["test"], known["dev"], general),
            "prod": _first(known["prod"]),
        }
        if values["prod"] is None:
            values["prod"] = self._for_production(
                _first(general, known["dev"]), general is not None
            )
        present = {
            kind: self._renamed(value) for kind, value in values.items() if value is not None
        }
        if len(present) == 3 and len(set(present.values())) == 1:
            self.result.variables[""][self.name] = present["dev"]
            return
        for kind, value in present.items():
            self.result.variables[kind][self.name] = value

    def _value(self, kind: str) -> str | None:
        for each in self.given:
            if each.kind == kind and "${" not in each.value and each.value != "":
                return each.value
        return None

    def _renamed(self, value: str) -> str:
        """Put the app's new name in where it asks for itself."""
        for name in self.around.own - {"api"}:
            value = re.sub(rf"(?<=//){re.escape(name)}(?=[:/]|$)", "api", value)
        return value

    def _for_production(self, value: str | None, is_general: bool) -> str | None:
        """Return what production gets where only a value for development or for all is known."""
        if value is None:
            return None
        choices = next((read.choices for read in self.reads if read.choices), ())
        if _DEBUG.fullmatch(self.upper) and value in _TRUE:
            return _TRUE[value]
        if _ENGINE.fullmatch(self.upper):
            return value
        if value.lower() in _DEVELOPMENT and (_ENVIRONMENT.fullmatch(self.upper) or choices):
            return self._environment(value, choices)
        if _HOSTS.fullmatch(self.upper):
            return self._hosts(value)
        if _LOCAL.search(value):
            if self.required:
                self._lose(
                    f"{self.name}={value} is development's", "set production's in app.prod.env"
                )
                return value
            self._lose(
                f"{self.name}={value} is development's",
                "where production needs it, set it in app.prod.env; else the code's own default holds",
            )
            return None
        return value if is_general or self.required else None

    def _hosts(self, value: str) -> str:
        """Return the hosts of production: those that aren't this machine's, and localhost."""
        between = " " if " " in value and "," not in value else ","
        parts = [part.strip() for part in value.strip("[]").replace('"', "").split(between)]
        own = [part for part in parts if part != "*" and not _LOCAL.search(part)]
        if not own:
            do = "set your domain in app.prod.env beside localhost"
            self._lose(f"{self.name}={value} is development's", do)
        return between.join([*own, "localhost", "127.0.0.1"])

    def _environment(self, value: str, choices: tuple[str, ...]) -> str | None:
        for name in _PRODUCTION:
            if name in [each.lower() for each in choices]:
                return next(each for each in choices if each.lower() == name)
        if choices:
            return None
        return {"dev": "prod", "Dev": "Prod"}.get(value, "production")

    def _lose(self, what: str, do: str) -> None:
        where = self.given[0].where if self.given else self.where
        self.result.losses.append(Loss(what, where, do))


def _first(*values: str | None) -> str | None:
    return next((value for value in values if value is not None), None)


def _tell(around: Surroundings, result: Sorted) -> None:
    """Add what must be known of variables that got no value."""
    optional, private = [], []
    known = {word.partition("=")[0] for word in result.words}
    set_names = {name for each in result.variables.values() for name in each}
    for name, reads in around.reads.items():
        upper = name.upper()
        if (
            name in known
            or name in set_names
            or _NOT_OURS.fullmatch(upper)
            or upper in _SET_ALREADY
        ):
            continue
        if upper in ("ENVIRONMENT", "LOG_LEVEL"):
            continue
        if any(read.is_required for read in reads):
            read = next(read for read in reads if read.is_required)
            result.losses.append(
                Loss(
                    f"{name} is read and has no value anywhere",
                    read.where,
                    "set it in the stack's app.env, or for one environment in app.dev.env, app.prod.env",
                )
            )
        elif _SECRET.fullmatch(upper) and not _NO_SECRET.fullmatch(upper):
            if not around.defaults.get(name):
                optional.append((name, reads[0].where))
    for name, every in around.given.items():
        if name in result.secrets and any(each.private and each.value for each in every):
            private.append((name, next(each.where for each in every if each.private)))
    if optional:
        result.losses.append(
            Loss(
                f"optional secrets that nothing sets: {_names(optional)}",
                optional[0][1],
                "where one is wanted: describe it in the stack's contract.yml with a secret_file, and add it to API_READS",
            )
        )
    if private:
        result.losses.append(
            Loss(
                f"values of secrets in a file that git ignores: {_names(private)}",
                private[0][1],
                "they aren't copied: where development needs the real ones, write them to secrets/dev",
            )
        )
    theirs = [name for name in result.secrets if _THEIRS.fullmatch(name.upper())]
    if theirs:
        result.losses.append(
            Loss(
                f"other services' secrets: {', '.join(theirs)}",
                _where(around, theirs[0]),
                "nobody can make them up: write production's own to secrets/prod after `invoke prod.init`",
            )
        )


def _where(around: Surroundings, name: str) -> str:
    if around.reads.get(name):
        return around.reads[name][0].where
    return around.given[name][0].where


def _names(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(name for name, _ in pairs)


def harmless(read: Read) -> str:
    """Return a value with which code that must have this variable can be imported."""
    upper = read.name.upper()
    if read.kind in ("db", "db_url", "dj_db_url") or _DATABASE_URL.fullmatch(upper):
        return "postgresql://build:build@localhost:5432/build"
    if read.kind in ("cache", "cache_url") or _REDIS_URL.fullmatch(upper):
        return "redis://localhost:6379/0"
    if upper.endswith("DSN"):
        return ""
    if read.kind in ("bool", "int", "float", "decimal") or upper.endswith("_PORT"):
        return "0" if not upper.endswith("_PORT") else "1"
    if read.kind in ("email", "email_url"):
        return "consolemail://"
    if read.kind == "url" or upper.endswith(("_URL", "_URI")):
        return "http://localhost"
    if read.kind == "json" or read.kind == "dict":
        return "{}"
    return "build"
