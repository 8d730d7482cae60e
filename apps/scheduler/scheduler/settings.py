"""Settings, read once from the environment."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import NoReturn


@dataclass(frozen=True)
class Settings:
    """What the scheduler needs to know about the world around it."""

    environment: str
    log_level: str
    log_format: str
    postgres_host: str
    postgres_port: int
    postgres_db: str
    postgres_user: str
    postgres_password: str
    heartbeat_file: Path

    @property
    def live(self) -> bool:
        """Whether this is an environment that serves users."""
        return self.environment in {"production", "staging"}

    @property
    def json_logs(self) -> bool:
        """Whether logs are JSON: as LOG_FORMAT says, else in an environment that serves users."""
        return self.log_format == "json" or (self.live and not self.log_format)


def load(env: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in ``env``; a mistake there ends the process with status 2."""
    port = env.get("POSTGRES_PORT") or "5432"
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        _fail(f"POSTGRES_PORT={port} is not a port: give a number from 1 to 65535")
    return Settings(
        environment=env.get("ENVIRONMENT", "development"),
        log_level=env.get("LOG_LEVEL", "info").upper(),
        log_format=_log_format(env),
        postgres_host=env.get("POSTGRES_HOST", "postgres"),
        postgres_port=int(port),
        postgres_db=env.get("POSTGRES_DB", "gangway_dev"),
        postgres_user=env.get("POSTGRES_USER", "gangway"),
        postgres_password=_secret(env, "POSTGRES_PASSWORD"),
        heartbeat_file=Path(env.get("HEARTBEAT_FILE") or f"{gettempdir()}/heartbeat"),
    )


def _log_format(env: Mapping[str, str]) -> str:
    text = env.get("LOG_FORMAT", "")
    if text not in ("", "json", "text"):
        _fail(f"LOG_FORMAT={text} is not known: json or text, or nothing at all")
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


def _fail(message: str) -> NoReturn:
    print(f"scheduler: {message}", file=sys.stderr)
    raise SystemExit(2)
