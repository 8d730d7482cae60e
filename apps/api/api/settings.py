"""Settings, read once from the environment.

Only the standard library: this module is imported by every command, and start-up time counts.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn


@dataclass(frozen=True)
class Settings:
    """What the API needs to know about the world around it."""

    environment: str
    log_level: str
    log_format: str
    postgres_host: str
    postgres_port: int
    postgres_db: str
    postgres_user: str
    postgres_password: str
    redis_host: str
    redis_port: int
    redis_password: str | None
    api_docs: str

    @property
    def live(self) -> bool:
        """Whether this is an environment that serves users: no test aids there."""
        return self.environment in {"production", "staging"}

    @property
    def docs(self) -> bool:
        """Whether the docs pages are there: as API_DOCS says, else where no users are served."""
        return self.api_docs == "1" or (not self.live and not self.api_docs)

    @property
    def json_logs(self) -> bool:
        """Whether logs are JSON: as LOG_FORMAT says, else in an environment that serves users."""
        return self.log_format == "json" or (self.live and not self.log_format)


def load(env: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in ``env``; a mistake there ends the process with status 2."""
    return Settings(
        environment=env.get("ENVIRONMENT", "development"),
        log_level=env.get("LOG_LEVEL", "info").upper(),
        log_format=_log_format(env),
        postgres_host=env.get("POSTGRES_HOST", "postgres"),
        postgres_port=_port(env, "POSTGRES_PORT", 5432),
        postgres_db=env.get("POSTGRES_DB", "gangway_dev"),
        postgres_user=env.get("POSTGRES_USER", "gangway"),
        postgres_password=_secret(env, "POSTGRES_PASSWORD"),
        redis_host=env.get("REDIS_HOST", "redis"),
        redis_port=_port(env, "REDIS_PORT", 6379),
        redis_password=_secret(env, "REDIS_PASSWORD") or None,
        api_docs=_switch(env, "API_DOCS"),
    )


def _log_format(env: Mapping[str, str]) -> str:
    text = env.get("LOG_FORMAT", "")
    if text not in ("", "json", "text"):
        _fail(f"LOG_FORMAT={text} is not known: json or text, or nothing at all")
    return text


def _switch(env: Mapping[str, str], name: str) -> str:
    text = env.get(name, "")
    if text not in ("", "0", "1"):
        _fail(f"{name}={text} is not known: 0 or 1, or nothing at all")
    return text


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


def _port(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        _fail(f"{name}={text} is not a port: give a number from 1 to 65535")
    return int(text)


def _fail(message: str) -> NoReturn:
    print(f"api: {message}", file=sys.stderr)
    raise SystemExit(2)
