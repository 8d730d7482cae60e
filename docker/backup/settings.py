"""What the environment says: of the database, of this project, and of where backups are."""

from __future__ import annotations

import atexit
import functools
import tempfile
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backup.errors import Refused

LIBPQ = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "channel_binding": "PGCHANNELBINDING",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
"""What an address of a database may say besides, and the variable of libpq for it."""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server as its programs are told of it: by variables, so never in a process list.

    `host` may be a folder with a socket.
    """

    host: str
    port: int
    user: str
    database: str
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    def environment(self, database: str = "") -> dict[str, str]:
        """Return the variables that libpq reads, for this database or another."""
        return {
            **self.options,
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": database or self.database,
            **({"PGPASSFILE": _passfile(self.password)} if self.password else {}),
            "PGCONNECT_TIMEOUT": "10",
            "PGAPPNAME": "gangway-backup",
        }


@dataclass(frozen=True)
class Settings:
    """All that this program goes by.

    `root` is the folder of all backups; `recipients` are age's public keys, `identity` the file
    with the secret one; `target` is rclone's word for a place, `target_config` the file that
    describes it; `read` is the app's own query; `overdue` is in hours;
    `volumes` is a folder with the volumes that go along. Every moment of the last
    `log_days` can be had again; the server keeps `log_size` of its log while nobody follows it;
    its files are copied every `base_hours`.
    """

    root: Path
    server: Server
    project: str
    release: str = ""
    schedule: str = "0 3 * * *"
    keep: str = "days=7 weeks=4 months=6"
    recipients: tuple[str, ...] = ()
    identity: Path | None = None
    target: str = ""
    target_config: Path | None = None
    read: str = ""
    overdue: float = 26.0
    volumes: Path | None = None
    log_days: float = 7.0
    log_size: str = "4GB"
    base_hours: float = 24.0


def load(variables: Mapping[str, str]) -> Settings:
    """Return the settings; raises Refused for what can't be read."""
    plain = Settings(Path("/"), Server("", 0, "", ""), "")
    return Settings(
        root=Path(variables.get("BACKUP_FOLDER") or "/var/lib/backup"),
        server=server(variables),
        project=variables.get("BACKUP_PROJECT") or "gangway",
        release=variables.get("BACKUP_RELEASE", ""),
        schedule=variables.get("BACKUP_SCHEDULE") or plain.schedule,
        keep=variables.get("BACKUP_KEEP") or plain.keep,
        recipients=tuple(variables.get("BACKUP_RECIPIENTS", "").replace(",", " ").split()),
        identity=_file(variables.get("BACKUP_IDENTITY_FILE", "")),
        target=variables.get("BACKUP_TARGET", ""),
        target_config=_file(variables.get("BACKUP_TARGET_FILE", "")),
        read=variables.get("BACKUP_READ", "").strip().rstrip(";"),
        overdue=_number(variables, "BACKUP_OVERDUE_HOURS", plain.overdue),
        volumes=Path(variables.get("BACKUP_VOLUMES") or "/var/lib/volumes"),
        log_days=_number(variables, "BACKUP_LOG_DAYS", plain.log_days),
        log_size=variables.get("BACKUP_LOG_SIZE") or plain.log_size,
        base_hours=_number(variables, "BACKUP_BASE_HOURS", plain.base_hours),
    )


def server(variables: Mapping[str, str]) -> Server:
    """Return the live server, by DATABASE_URL (or its file) or by the POSTGRES_… variables."""
    url = variables.get("DATABASE_URL") or secret(variables.get("DATABASE_URL_FILE", ""))
    if url:
        return _by_address(url)
    return Server(
        host=variables.get("POSTGRES_HOST") or "postgres",
        port=int(variables.get("POSTGRES_PORT") or 5432),
        user=variables.get("POSTGRES_USER") or "gangway",
        database=variables.get("POSTGRES_DB") or "gangway",
        password=variables.get("POSTGRES_PASSWORD")
        or secret(variables.get("POSTGRES_PASSWORD_FILE", "")),
    )


def secret(path: str) -> str:
    """Return what a secret's file says; empty for no file, or an empty one."""
    found = _file(path)
    return found.read_text().strip() if found else ""


@functools.cache
def _passfile(password: str) -> str:
    """Return libpq's file with a password: others could read it in an environment."""
    descriptor, path = tempfile.mkstemp(prefix="backup-")
    atexit.register(Path(path).unlink, missing_ok=True)
    with open(descriptor, "w") as file:  # noqa: PTH123 - it is open
        file.write("*:*:*:*:" + password.replace("\\", "\\\\").replace(":", "\\:") + "\n")
    return path


def _by_address(url: str) -> Server:
    parts = urllib.parse.urlsplit(url)
    words = dict(urllib.parse.parse_qsl(parts.query))
    if not parts.scheme.startswith("postgres") or not parts.path.strip("/"):
        raise Refused(
            "DATABASE_URL is not the address of a PostgreSQL database",
            fix="postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
        )
    return Server(
        host=parts.hostname or words.get("host", "localhost"),
        port=parts.port or 5432,
        user=urllib.parse.unquote(parts.username or ""),
        database=urllib.parse.unquote(parts.path.strip("/")),
        password=urllib.parse.unquote(parts.password or ""),
        options={LIBPQ[key]: value for key, value in words.items() if key in LIBPQ},
    )


def _file(path: str) -> Path | None:
    """Return the path of a file that has something in it; what isn't set is an empty device."""
    found = Path(path) if path else None
    return found if found and found.is_file() and found.stat().st_size else None


def _number(variables: Mapping[str, str], name: str, default: float) -> float:
    text = variables.get(name) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if number <= 0:
        raise Refused(f"{name}={text} is not a number above 0", fix=f"such as {default:g}")
    return number
