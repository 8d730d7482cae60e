"""What a variable's name says: whose it is, whether it is a secret, which store it is about."""

from __future__ import annotations

import re

# What Compose, Docker, Python or Gangway itself goes by, and an app's own files needn't say.
_NOT_OF_APP = re.compile(
    r"(COMPOSE|DOCKER|BUILDKIT|BUILDX|PIP|UV|POETRY|GUNICORN|UVICORN|FLOWER|CELERY_FLOWER|TRAEFIK"
    r"|WATCHFILES|PGADMIN|FLASK_RUN|LETSENCRYPT)_\w+|PYTHON\w+|(APP_|HOST_)?[UG]ID|(USER|GROUP)_ID"
    r"|PATH|HOME|USER|PWD|SHELL|TERM|HOSTNAME|NODE_ENV|NODE_VERSION|CI|PORT|WEB_CONCURRENCY"
    r"|WEB_RELOAD|WEB_TIMEOUT|IPYTHONDIR|STACK_NAME|TAG|DOMAIN|VIRTUAL_(HOST|PORT)|DEBUGPY|NO_COLOR"
    r"|FLASK_SKIP_DOTENV|(REDIS|POSTGRES)_VERSION|TZ|LANG|LC_ALL|DJANGO_SETTINGS_MODULE"
)
_OTHER_STORES = re.compile(
    r"MONGO|MYSQL|MARIA|ELASTIC|QDRANT|CHROMA|VECTOR|INFLUX|CLICKHOUSE|RABBIT|NEO4J|SQLITE|MEMCACHE"
    r"|KAFKA|SNOWFLAKE"
)
_STORE = r"(?:[A-Z0-9]+_)*?(?:POSTGRES(?:QL)?|PSQL|PG|DB|DATABASE|SQL|RDS)"
_PARTS = {
    "HOST": re.compile(rf"{_STORE}_{{0,2}}(HOST|HOSTNAME|SERVER|ADDR|ADDRESS|SERVICE_HOST)"),
    "PORT": re.compile(rf"{_STORE}_{{0,2}}PORT"),
    "DB": re.compile(rf"{_STORE}_{{0,2}}(DB|NAME|DBNAME|DATABASE|DB_NAME)"),
    "USER": re.compile(rf"{_STORE}_{{0,2}}(USER|USERNAME|USER_NAME)"),
    "PASSWORD": re.compile(rf"{_STORE}_{{0,2}}(PASSWORD|PASS|PASSWD|PWD)"),
}
_DATABASE_URL = re.compile(
    r"(?:[A-Z0-9]+_)*(?:DATABASE|DB|POSTGRES(?:QL)?|PG|SQLALCHEMY|SQL)_?(?:[A-Z]+_)*?"
    r"(?:URL|URI|DSN|CONNECTION_STRING|CONN_STR|CONNECTION|CONNINFO)"
)
_ENGINE = re.compile(rf"{_STORE}_(?:ENGINE|BACKEND|DRIVER)")
_REDIS_PART = re.compile(
    r"(?:[A-Z0-9]+_)*?(?:REDIS|VALKEY)_(?:[A-Z0-9]+_)*?"
    r"(?:(?P<host>HOST|HOSTNAME|SERVER|ADDR)|(?P<port>PORT)|(?P<password>PASSWORD|PASS|AUTH))"
)
_REDIS_URL = re.compile(
    r"(?:[A-Z0-9]+_)*(?:(?:REDIS|VALKEY|CACHE|BROKER|CELERY)(?:_[A-Z0-9]+)*?"
    r"_(?:URL|URI|DSN|LOCATION|STORAGE_URI)|CELERY_BROKER|(?:CELERY_)?RESULT_BACKEND(?:_URL)?"
    r"|CELERY_BACKEND(?:_URL)?|CHANNEL_LAYERS?_URL|RATELIMIT_STORAGE_UR[IL])"
)
_FOR_QUEUE = re.compile(r"BROKER|CELERY|QUEUE|RESULT_BACKEND|RQ_|ARQ|TASK|DRAMATIQ|HUEY")
_FOR_CACHE = re.compile(r"CACHE|SESSION|RATELIMIT|RATE_LIMIT")
_SECRET_KEY = re.compile(
    r"(?:(?:DJANGO|FLASK|FASTAPI|APP|APPLICATION|BACKEND|API|QUART)_)?SECRET_KEY|SECRET_KEY_BASE"
    r"|(?:APP|DJANGO|FLASK)_SECRET"
)
_SECRET = re.compile(
    r"(?:.*_)?(?:KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASS|PASSPHRASE|DSN|CREDENTIALS?|SALT|APIKEY|PEPPER)"
    r"|.*(?:SECRET|PASSWORD|PRIVATE_KEY).*"
)
_NO_SECRET = re.compile(
    r".*(?:PUBLIC|PUBLISHABLE|SITE)_?KEY|CACHE_KEY|PRIMARY_KEY|.*_KEY_FUNC|.*_EXPIRE_\w+"
    r"|.*_(?:EXPIRES?|EXPIRATION|EXPIRY|LIFETIME|TTL|MINUTES|SECONDS|DAYS|HOURS|URL|LENGTH|ALGORITHM"
    r"|TYPE|NAME|HEADER|FILE|PATH|PREFIX|ID|HASHERS?|VALIDATORS?|MAX_AGE|REQUIRED|ENABLED|TIMEOUT"
    r"|ISSUER|AUDIENCE|IN|ROUNDS|POLICY)"
)
_THEIRS = re.compile(r".*(?:API_?KEY|TOKEN|DSN|ACCESS_KEY|CREDENTIALS?|(?:SMTP|EMAIL|MAIL)\w*)")

SET_ALREADY = frozenset(
    {"POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_DB", "POSTGRES_USER", "REDIS_HOST", "REDIS_PORT"}
)
"""The variables that the base Compose files set for every app."""


def is_ours(name: str) -> bool:
    """Say whether a variable is Compose's, Docker's, Python's or Gangway's own, not the app's."""
    return _NOT_OF_APP.fullmatch(name.upper()) is not None or name.upper() in SET_ALREADY


def is_secret(name: str) -> bool:
    """Say whether a variable holds a secret."""
    upper = name.upper()
    return _SECRET.fullmatch(upper) is not None and _NO_SECRET.fullmatch(upper) is None


def is_secret_key(name: str) -> bool:
    """Say whether a variable holds what the app signs its cookies with."""
    return _SECRET_KEY.fullmatch(name.upper()) is not None


def is_theirs(name: str) -> bool:
    """Say whether a secret is another service's, which nobody here can make up."""
    return _THEIRS.fullmatch(name.upper()) is not None


def is_other_store(name: str) -> bool:
    """Say whether a variable is about a store that is neither PostgreSQL nor Redis."""
    return _OTHER_STORES.search(name.upper()) is not None


def is_engine(name: str) -> bool:
    """Say whether a variable chooses the kind of database."""
    return _ENGINE.fullmatch(name.upper()) is not None


def is_database_url(name: str) -> bool:
    """Say whether a variable is a database's address."""
    return _DATABASE_URL.fullmatch(name.upper()) is not None


def is_redis_url(name: str) -> bool:
    """Say whether a variable is the address of a cache or a broker."""
    return _REDIS_URL.fullmatch(name.upper()) is not None


def database_part(name: str) -> str:
    """Return which part of the database's address it is: `HOST`, `DB`; empty for none."""
    upper = {"PGDATABASE": "PG_DATABASE"}.get(name.upper(), name.upper())
    return next((part for part, pattern in _PARTS.items() if pattern.fullmatch(upper)), "")


def redis_part(name: str) -> str:
    """Return which part of Redis' address it is: `HOST`, `PORT`, `PASSWORD`; empty for none."""
    match = _REDIS_PART.fullmatch(name.upper())
    return (match.lastgroup or "").upper() if match else ""


def is_for_queue(name: str) -> bool:
    """Say whether a variable is about a queue."""
    return _FOR_QUEUE.search(name.upper()) is not None


def is_for_cache(name: str) -> bool:
    """Say whether a variable is about a cache."""
    return _FOR_CACHE.search(name.upper()) is not None
