"""Settings, read once from the environment."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn


@dataclass(frozen=True)
class Settings:
    """What the pages need to know about the world around them."""

    environment: str
    log_level: str
    log_format: str
    api_url: str
    secret_key: str
    previous_key: str = ""
    """What cookies and forms may be signed with as well, while one key follows another."""

    @property
    def live(self) -> bool:
        """Whether this is an environment that serves users, behind a proxy."""
        return self.environment in {"production", "staging"}

    @property
    def json_logs(self) -> bool:
        """Whether logs are JSON: as LOG_FORMAT says, else in an environment that serves users."""
        return self.log_format == "json" or (self.live and not self.log_format)


def load(env: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in ``env``; a mistake there ends the process with status 2."""
    secret_key = _secret(env, "SECRET_KEY")
    if not secret_key:
        _fail("SECRET_KEY is empty: set it, or SECRET_KEY_FILE, to a long random text")
    api_url = env.get("API_URL") or "http://api:8000"
    if not api_url.startswith(("http://", "https://")):
        _fail(f"API_URL={api_url} is not an address: it starts with http:// or https://")
    return Settings(
        environment=env.get("ENVIRONMENT", "development"),
        log_level=env.get("LOG_LEVEL", "info").upper(),
        log_format=_log_format(env),
        api_url=api_url.rstrip("/"),
        secret_key=secret_key,
        previous_key=_secret(env, "SECRET_KEY_PREVIOUS"),
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
    print(f"app: {message}", file=sys.stderr)
    raise SystemExit(2)
