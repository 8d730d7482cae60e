"""clone-cluster: the files of a server that runs under load, or is down, for another one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripts.conftest import SCRIPTS
from tests.support.postgres import BIN, Postgres, free_port, postgres

MADE = "CREATE TABLE numbers AS SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i"


@pytest.fixture(scope="module")
def source() -> Iterator[Postgres]:
    with postgres() as server:
        server.query(MADE)
        server.create_database("snapshot.one")
        server.query("""COMMENT ON DATABASE "snapshot.one" IS '{"gangway": "snapshot"}'""")
        yield server


@pytest.fixture
def target() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="gangway-clone-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    server = Postgres(folder, free_port())
    try:
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop()
        shutil.rmtree(folder)


def clone(source: Postgres, target: Postgres, **variables: str) -> subprocess.CompletedProcess[str]:
    prefix = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.geteuid() == 0 else []
    words = [SCRIPTS / "clone-cluster", source.directory / "data", target.directory / "data"]
    path = f"{BIN}:{os.environ['PATH']}"
    environment = {"PATH": path, "PGUSER": source.user, "PGPASSWORD": source.password}
    # As in a deep checkout, which has its own: a socket's path has a hundred letters at most.
    with tempfile.TemporaryDirectory(prefix="deep" * 30, dir="/tmp") as deep:
        Path(deep).chmod(0o777)
        return subprocess.run(
            [*prefix, "bash", *words], env=environment | {"TMPDIR": deep} | variables,
            cwd="/", capture_output=True, text=True, check=False,
        )  # fmt: skip


def running(source: Postgres) -> dict[str, str]:
    return {"PGHOST": "127.0.0.1", "PGPORT": str(source.port)}


def test_of_one_that_runs_under_load(source: Postgres, target: Postgres) -> None:
    source.query("DROP TABLE IF EXISTS acknowledged; CREATE TABLE acknowledged (n int)")
    acknowledged: list[int] = []
    enough = threading.Event()

    def write() -> None:
        while not enough.is_set():
            source.query(f"INSERT INTO acknowledged VALUES ({len(acknowledged)})")
            acknowledged.append(len(acknowledged))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not acknowledged:
            pass
        before = len(acknowledged)
        done = clone(source, target, **running(source))
    finally:
        enough.set()
        writer.join()
    assert done.returncode == 0, done.stderr
    target.start()
    assert target.query("SELECT count(*) FROM numbers") == "20000"
    # All that was there when it began, and without a gap what it has of what came then.
    count, last = map(int, target.query("SELECT count(*), max(n) FROM acknowledged").split("|"))
    assert before <= count == last + 1
    assert len(list((target.directory / "data" / "base").iterdir())) == 4
    assert "snapshot.one" not in target.query("SELECT datname FROM pg_database")
    # Nothing of ours stays in the source.
    assert source.query("SELECT count(*) FROM pg_replication_slots") == "0"


def test_of_one_that_was_stopped_in_order(source: Postgres, target: Postgres) -> None:
    source.stop("fast")
    try:
        done = clone(source, target)
        assert done.returncode == 0, done.stderr
    finally:
        source.start()
    target.start()
    assert target.query("SELECT count(*) FROM numbers") == "20000"


def test_one_that_was_killed_is_refused(source: Postgres, target: Postgres) -> None:
    source.stop("immediate")
    try:
        done = clone(source, target)
    finally:
        source.start()
    assert done.returncode == 1 and "was not stopped in order" in done.stderr
    assert not list(target.directory.iterdir())


def test_one_that_does_not_answer_leaves_nothing(source: Postgres, target: Postgres) -> None:
    done = clone(source, target, **running(source) | {"PGPORT": str(free_port())})
    assert done.returncode == 1 and "clone-cluster: " in done.stderr
    assert not list(target.directory.iterdir())


def test_data_is_never_written_over(source: Postgres, target: Postgres) -> None:
    (target.directory / "data").mkdir()
    done = clone(source, target, **running(source))
    assert done.returncode == 1 and "already" in done.stderr
    assert not list((target.directory / "data").iterdir())
