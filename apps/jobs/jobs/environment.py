"""What the environment says, read once and checked.

Only the standard library: every command imports this module, and start-up time counts.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl, quote, unquote, urlsplit

LIBPQ = frozenset(
    {
        *("application_name", "channel_binding", "connect_timeout", "gssencmode", "keepalives"),
        *("sslcert", "sslcrl", "sslkey", "sslmode", "sslrootcert", "target_session_attrs"),
    }
)
"""The options of DATABASE_URL that are passed on."""


@dataclass(frozen=True)
class Database:
    """Where PostgreSQL is, or a pooler before it, and who we are to it."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    options: Mapping[str, str]


@dataclass(frozen=True)
class Environment:
    """What the API and the worker need to know about the world around them."""

    environment: str
    log_level: str
    log_format: str
    secret_key: str = field(repr=False)
    database: Database
    redis_host: str
    redis_port: int
    redis_password: str = field(repr=False)
    rate_limit: int
    """Jobs that one client may ask for in a minute; 0 is any number."""
    step_seconds: float
    """The least that a step takes: 0, or long enough to be watched."""
    concurrency: int
    graceful_seconds: int
    reloading: bool

    @property
    def live(self) -> bool:
        """Whether this is an environment that serves users."""
        return self.environment in {"production", "staging"}

    @property
    def json_logs(self) -> bool:
        """Whether logs are JSON: as LOG_FORMAT says, else in an environment that serves users."""
        return self.log_format == "json" or (self.live and not self.log_format)

    def redis_url(self, number: int) -> str:
        """Return the address of one of Redis's databases, with the password in it."""
        login = f":{quote(self.redis_password, safe='')}@" if self.redis_password else ""
        host = f"[{self.redis_host}]" if ":" in self.redis_host else self.redis_host
        return f"redis://{login}{host}:{self.redis_port}/{number}"


def load(env: Mapping[str, str] = os.environ) -> Environment:
    """Return what ``env`` says; a mistake there ends the process with status 2."""
    return Environment(
        environment=env.get("ENVIRONMENT") or "development",
        log_level=(env.get("LOG_LEVEL") or "info").upper(),
        log_format=_log_format(env),
        secret_key=_secret(env, "SECRET_KEY"),
        database=_database(env),
        redis_host=env.get("REDIS_HOST") or "redis",
        redis_port=_port(env, "REDIS_PORT", 6379),
        redis_password=_secret(env, "REDIS_PASSWORD"),
        rate_limit=int(_number(env, "JOBS_RATE_LIMIT", 60)),
        step_seconds=_number(env, "JOBS_STEP_SECONDS", 0),
        concurrency=max(1, int(_number(env, "WORKER_CONCURRENCY", 2))),
        graceful_seconds=int(_number(env, "GRACEFUL_SECONDS", 8)),
        reloading=env.get("RELOAD", "") in {"1", "true", "yes", "on"},
    )


def _database(env: Mapping[str, str]) -> Database:
    if url := _secret(env, "DATABASE_URL"):
        return _from_url(url)
    return Database(
        host=env.get("POSTGRES_HOST") or "postgres",
        port=_port(env, "POSTGRES_PORT", 5432),
        name=env.get("POSTGRES_DB") or "gangway_dev",
        user=env.get("POSTGRES_USER") or "gangway",
        password=_secret(env, "POSTGRES_PASSWORD"),
        options={},
    )


def _from_url(url: str) -> Database:
    """Take DATABASE_URL apart; what is wrong is said without the password."""
    shape = "it looks like postgresql://USER:PASSWORD@HOST:6543/DATABASE"
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError:
        _fail(f"DATABASE_URL is not an address: {shape}; write / ? # @ : in a password as %2F ...")
    if parts.scheme not in {"postgresql", "postgres"}:
        _fail(f"DATABASE_URL begins with {parts.scheme or 'no scheme'}: {shape}")
    name = unquote(parts.path.lstrip("/"))
    missing = {"host": parts.hostname, "user": parts.username, "database": name}
    if lacking := [what for what, value in missing.items() if not value]:
        _fail(f"DATABASE_URL names no {', no '.join(lacking)}: {shape}")
    options = dict(parse_qsl(parts.query))
    if unknown := sorted(set(options) - LIBPQ):
        _fail(f"DATABASE_URL has options that are not known here: {', '.join(unknown)}")
    return Database(
        host=parts.hostname or "",
        port=port,
        name=name,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        options=options,
    )


def _secret(env: Mapping[str, str], name: str) -> str:
    """Return the secret in ``NAME`` or in the file that ``NAME_FILE`` names ("" if unset)."""
    value, path = env.get(name, ""), env.get(f"{name}_FILE", "")
    if value and path:
        _fail(f"{name} and {name}_FILE are both set: keep one of them")
    if not path:
        return value
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{name}_FILE={path} cannot be read: {error}")


def _log_format(env: Mapping[str, str]) -> str:
    text = env.get("LOG_FORMAT", "")
    if text not in {"", "json", "text"}:
        _fail(f"LOG_FORMAT={text} is not known: json or text, or nothing at all")
    return text


def _port(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        _fail(f"{name}={text} is not a port: give a number from 1 to 65535")
    return int(text)


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number < 1e9:
        _fail(f"{name}={text} is not a number from 0 on")
    return number


def _fail(message: str) -> NoReturn:
    print(f"jobs: {message}", file=sys.stderr)
    raise SystemExit(2)
