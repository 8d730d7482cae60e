"""Settings, read once from the environment; everything that is wrong with them is said at once."""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENTS = ("development", "test", "production", "staging")
LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("json", "text")
LIVE = ("production", "staging")
PORTS = range(1, 65536)
KNOWN_PASSWORDS = {"gangway", "postgres", "password", "secret", "changeme"}
"""What production refuses."""
PATH = re.compile(r"/([A-Za-z0-9_-]+/)*")


@dataclass(frozen=True)
class Settings:
    """What the dashboard needs to know about the world around it."""

    environment: str
    log_level: str
    log_format: str
    path: str
    """Where the pages are, as the browser sees it: `/`, or a prefix such as `/plots/`."""
    cache_seconds: int
    postgres_host: str
    postgres_port: int
    postgres_db: str
    postgres_user: str
    postgres_password: str
    redis_host: str
    redis_port: int
    redis_password: str | None

    @property
    def live(self) -> bool:
        """Whether this is an environment that serves users, behind a proxy."""
        return self.environment in LIVE


class SettingsError(Exception):
    """All that is wrong with the environment; `findings` has a line for each."""

    def __init__(self, findings: Iterable[str]) -> None:
        self.findings = tuple(findings)
        super().__init__("; ".join(self.findings))


class _Reader:
    """Reads variables and gathers what is wrong with them; an empty variable is an unset one."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.findings: list[str] = []

    def text(self, name: str, default: str) -> str:
        return self.env.get(name) or default

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in choices:
            self.findings.append(f"{name}={value} is none of {', '.join(choices)}")
            return default
        return value

    def number(self, name: str, default: int, allowed: range) -> int:
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdigit() and int(value) in allowed):
            last = allowed.stop - 1
            self.findings.append(f"{name}={value} is not a number from {allowed.start} to {last}")
            return default
        return int(value)

    def secret(self, name: str) -> str:
        """Return what is in `NAME` or in the file that `NAME_FILE` names ("" if unset)."""
        value, path = self.env.get(name, ""), self.env.get(f"{name}_FILE", "")
        if value and path:
            self.findings.append(f"{name} and {name}_FILE are both set: keep one of them")
        if not path:
            return value
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            self.findings.append(f"{name}_FILE={path} cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self.findings.append(f"{name}_FILE={path} is not UTF-8 text")
        return ""


def read(env: Mapping[str, str]) -> Settings:
    """Return the settings in `env`; raises SettingsError with everything that is wrong there."""
    reader = _Reader(env)
    environment = reader.choice("ENVIRONMENT", "development", ENVIRONMENTS)
    live = environment in LIVE
    settings = Settings(
        environment=environment,
        log_level=reader.choice("LOG_LEVEL", "info", LEVELS).upper(),
        log_format=reader.choice("LOG_FORMAT", "json" if live else "text", FORMATS),
        path=reader.text("DASHBOARD_PATH", "/"),
        cache_seconds=reader.number("CACHE_SECONDS", 5, range(3601)),
        postgres_host=reader.text("POSTGRES_HOST", "postgres"),
        postgres_port=reader.number("POSTGRES_PORT", 5432, PORTS),
        postgres_db=reader.text("POSTGRES_DB", "gangway_dev"),
        postgres_user=reader.text("POSTGRES_USER", "gangway"),
        postgres_password=reader.secret("POSTGRES_PASSWORD"),
        redis_host=reader.text("REDIS_HOST", "redis"),
        redis_port=reader.number("REDIS_PORT", 6379, PORTS),
        redis_password=reader.secret("REDIS_PASSWORD") or None,
    )
    findings = reader.findings
    if not PATH.fullmatch(settings.path):
        findings.append(f"DASHBOARD_PATH={settings.path} does not begin and end with a slash")
    told = any("POSTGRES_PASSWORD" in finding for finding in findings)
    if live and not settings.postgres_password and not told:
        findings.append("POSTGRES_PASSWORD is empty: set it, or POSTGRES_PASSWORD_FILE")
    if live and settings.postgres_password in KNOWN_PASSWORDS:
        findings.append(f"POSTGRES_PASSWORD is one that everybody knows, in {environment}")
    if findings:
        raise SettingsError(findings)
    return settings


def load(env: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in `env`; mistakes there end the process with status 2."""
    try:
        return read(env)
    except SettingsError as error:
        count = len(error.findings)
        print(
            f"dashboard: {count} mistake{'s' * (count != 1)} in the environment:",
            *error.findings,
            sep="\n  ",
            file=sys.stderr,
            flush=True,
        )
        raise SystemExit(2) from None
