"""A throw-away server: files in a folder, reached by a socket in another, gone after the block."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from backup import programs
from backup.errors import Failed
from backup.settings import Server

USER = "postgres"
SECONDS = 600
"""How long one may take to start: it may have a log to read."""
NO_ROOM = 1 << 20
"""Bytes."""

FAST = {
    # What is thrown away needn't survive a crash.
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal",
    "max_wal_senders": "0", "max_wal_size": "2GB", "autovacuum": "off",
    "shared_buffers": "64MB", "maintenance_work_mem": "64MB",
}  # fmt: skip


@contextlib.contextmanager
def server(folder: Path, database: str = "postgres") -> Iterator[Server]:
    """Make a new cluster in a folder that is empty, and yield its server while it runs."""
    data = folder / "data"
    programs.run(
        ["initdb", "--pgdata", data, "--username", USER, "--auth=trust", "--encoding=UTF8",
         "--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
    )  # fmt: skip
    with running(data, FAST) as found:
        yield Server(found.host, found.port, found.user, database)


@contextlib.contextmanager
def running(
    data: Path, settings: Mapping[str, str], user: str = USER, database: str = "postgres"
) -> Iterator[Server]:
    """Run a server on the files in `data` with settings, and yield it once it takes connections.

    It listens on a socket alone. Raises Failed with its last words where it doesn't come up.
    """
    # Not below `data`: the path of a socket has a hundred letters at most.
    with (
        tempfile.TemporaryDirectory(prefix="backup-") as socket,
        (data.parent / "log").open("w+") as log,
    ):
        words = {"listen_addresses": "", "unix_socket_directories": socket, **settings}
        options = [word for key, value in words.items() for word in ("-c", f"{key}={value}")]
        try:
            postgres = subprocess.Popen(
                ["postgres", "-D", data, *options], env=programs.variables({}),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise programs.missing("postgres") from error
        found = Server(socket, 5432, user, database)
        try:
            _wait(postgres, found, Path(log.name))
            yield found
        finally:
            _stop(postgres)


def _wait(postgres: subprocess.Popen[bytes], found: Server, log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    ready = ["pg_isready", "--quiet"]
    while subprocess.run(
        ready, env=programs.variables(found.environment()), check=False
    ).returncode:
        if (status := postgres.poll()) is not None:
            said = log.read_text(errors="replace")
            # For want of room it can't even say that.
            full = shutil.disk_usage(log.parent).free < NO_ROOM
            raise programs.failed("postgres", status, said or full * "no space left on device")
        if time.monotonic() > deadline:
            raise Failed(f"a scratch server took no connection within {SECONDS} s")
        time.sleep(0.05)


def _stop(postgres: subprocess.Popen[bytes]) -> None:
    """End a server at once: nothing of it is kept."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(postgres.pid, signal.SIGQUIT)
    try:
        postgres.wait(20)
    except subprocess.TimeoutExpired:
        postgres.kill()
        postgres.wait()
