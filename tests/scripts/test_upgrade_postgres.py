"""The copy to a newer PostgreSQL: real servers, with one major that says it is the next."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.scripts.conftest import ROOT, Outcome
from tests.support.postgres import BIN, Postgres, free_port, postgres

SCRIPT = ROOT / "scripts" / "upgrade-postgres"
NOTE = "postgres-data-19"
READ_ONLY = "SHOW default_transaction_read_only"
ROWS = """
CREATE ROLE reader LOGIN PASSWORD 'also never to be seen';
CREATE SCHEMA "od d";
CREATE TABLE people (id bigserial PRIMARY KEY, name text NOT NULL, born date, f float8, b bytea);
INSERT INTO people (name, born, f, b)
    SELECT 'person ' || n, date '1990-01-01' + n, n / 3.0, decode(md5(n::text), 'hex')
    FROM generate_series(1, 5000) n;
CREATE TABLE "od d"."T 'x" (t text, "select" jsonb);
INSERT INTO "od d"."T 'x" VALUES ('tab\t', '{"a": 1}'), (NULL, NULL), (NULL, NULL);
CREATE TABLE nothing ();
CREATE TABLE parts (n int) PARTITION BY HASH (n);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT generate_series(1, 100);
SELECT lo_from_bytea(0, 'a large object');
GRANT SELECT ON people TO reader;
"""


@dataclass(frozen=True)
class New:
    """Where the new server is to be."""

    folder: Path
    environment: dict[str, str]
    port: int = field(default_factory=free_port)

    @property
    def data(self) -> Path:
        return self.folder / "19" / "docker"

    def run(self, old: Postgres, *, note: str = NOTE, **variables: str) -> Outcome:
        """Run the copy to its end, as a container of the new image would."""
        secret = self.folder / "secret"
        secret.write_text(old.password)
        environment = {
            **self.environment,
            "PGDATA": str(self.data), "PG_MAJOR": "19", "PGPORT": str(self.port),
            "OLD_PORT": str(old.port), "TMPDIR": str(self.folder), "UPGRADE_GRACE": "1",
            "POSTGRES_USER": old.user, "POSTGRES_DB": old.database,
            "POSTGRES_PASSWORD_FILE": str(secret),
            "POSTGRES_SOCKET_DIR": str(self.folder), "POSTGRES_INIT_DIR": str(self.folder / "init"),
            "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale-provider=builtin --locale=C.UTF-8",
            **variables,
        }  # fmt: skip
        (self.folder / "init").mkdir(exist_ok=True)
        words = ["bash", "-s", "127.0.0.1", note]
        if os.geteuid() == 0:
            words = ["setpriv", "--reuid=nobody", "--clear-groups", *words]
            for path in (self.folder, secret):
                shutil.chown(path, "nobody")
        done = subprocess.run(
            words, env=environment, input=SCRIPT.read_text(), capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert old.password not in done.stdout + done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    def server(self, old: Postgres) -> Postgres:
        """Return the new server, to be started."""
        (self.folder / "data").symlink_to(self.data)
        return Postgres(self.folder, self.port, old.user, old.password, old.database)


@pytest.fixture
def old() -> Iterator[Postgres]:
    with postgres() as server:
        server.query(ROWS)
        server.create_database("second")
        server.query("CREATE TABLE single (n int); INSERT INTO single VALUES (1)", "second")
        yield server


@pytest.fixture
def new() -> Iterator[New]:
    folder = Path(tempfile.mkdtemp(prefix="gangway-upgrade-", dir="/tmp"))
    entrypoint = ROOT / "docker" / "offline" / "postgres"
    path = os.pathsep.join([str(BIN), str(entrypoint), "/usr/bin", "/bin"])
    try:
        yield New(folder, {"PATH": path, "LC_ALL": "C.UTF-8"})
    finally:
        shutil.rmtree(folder)


def note_of(old: Postgres) -> str:
    file = old.directory / "data" / "moved-to"
    return file.read_text().strip() if file.exists() else ""


def test_everything_is_there_again_and_the_old_server_is_left_as_it_was(
    old: Postgres, new: New
) -> None:
    old.create_database("aside")
    old.query("ALTER DATABASE aside ALLOW_CONNECTIONS false", "postgres")
    done = new.run(old)
    assert done.status == 0, done.err
    assert "only the old volume keeps what is put aside: aside" in done.err
    databases, tables, rows, since = done.out.split()
    assert (databases, tables, rows) == ("3", "6", "5104")
    assert float(since) > 1e9
    assert "compared" in done.err and "writes have ended" in done.err
    assert old.query(READ_ONLY) == "on"
    assert note_of(old) == NOTE
    assert old.query("SELECT count(*) FROM people") == "5000"
    assert not new.data.with_name("docker.upgrade").exists()
    server = new.server(old)
    server.start()
    try:
        assert server.query(READ_ONLY) == "off"
        assert server.query("SELECT count(*), max(born) FROM people") == "5000|2003-09-10"
        assert server.query("INSERT INTO people (name) VALUES ('next') RETURNING id") == "5001"
        assert server.query("SELECT n FROM single", "second") == "1"
        assert server.query("SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata")
        grants = "SELECT has_table_privilege('reader', 'people', 'SELECT')"
        assert server.query(grants) == "t"
        secret = "SELECT rolpassword FROM pg_authid WHERE rolname = 'reader'"
        assert server.query(secret) == old.query(secret)
    finally:
        server.stop()


def test_writers_from_before_have_a_moment_and_readers_go_on(old: Postgres, new: New) -> None:
    """A transaction that is open is ended, not waited for; its rows are in neither."""
    argv = [
        str(old.psql()), "-XAtq", "-h", "127.0.0.1", "-p", str(old.port), "-U", old.user,
        "-d", old.database, "-c", "BEGIN", "-c", "INSERT INTO people (name) VALUES ('late')",
        "-c", "SELECT pg_sleep(60)", "-c", "COMMIT",
    ]  # fmt: skip
    with subprocess.Popen(
        argv, env={**os.environ, "PGPASSWORD": old.password}, stderr=subprocess.PIPE, text=True
    ) as writer:
        while (
            old.query("SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sl'") != "1"
        ):
            assert writer.poll() is None
        done = new.run(old)
        assert writer.wait(10) != 0
    assert done.status == 0, done.err
    assert "ended 1 transactions that were open for more than 1 s" in done.err
    assert done.out.split()[2] == "5104"
    with pytest.raises(subprocess.CalledProcessError) as refused:
        old.query("INSERT INTO people (name) VALUES ('too late')")
    assert "read-only transaction" in refused.value.stderr


def test_a_write_that_slips_in_is_found_and_the_old_server_goes_on(old: Postgres, new: New) -> None:
    """One that asks for it may write to a server that is read-only by default."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            old.query("BEGIN READ WRITE; UPDATE single SET n = n + 1; COMMIT", "second")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = new.run(old)
    finally:
        stop.set()
        writer.join()
    assert done.status == 1
    assert "not the same on both sides: second.public.single" in done.err
    assert (old.query(READ_ONLY), note_of(old)) == ("off", "")


def test_what_no_copy_would_have_is_refused_before_writes_end(old: Postgres, new: New) -> None:
    old.stop("fast")
    old.start("max_prepared_transactions=1")
    old.query("BEGIN; INSERT INTO nothing DEFAULT VALUES; PREPARE TRANSACTION 'one'")
    done = new.run(old)
    assert done.status == 1
    assert "there are prepared transactions, which no copy has: one" in done.err
    assert "writes have ended" not in done.err
    assert old.query(READ_ONLY) == "off"


def test_a_disk_without_room_is_refused_before_writes_end(old: Postgres, new: New) -> None:
    df = new.folder / "df"
    df.write_text("#!/bin/sh\necho '/dev/x 9 8 1024 1% /'\n")
    df.chmod(0o755)
    done = new.run(old, PATH=f"{new.folder}:{new.environment['PATH']}")
    assert done.status == 1 and "and 1 MB are free" in done.err
    assert old.query(READ_ONLY) == "off"


def test_a_server_of_the_same_major_is_refused(old: Postgres, new: New) -> None:
    done = new.run(old, PG_MAJOR="18")
    assert (done.status, done.out) == (1, "")
    assert "has version 18, and this is 18" in done.err


def test_a_new_server_that_ends_leaves_the_old_one_as_it_was(old: Postgres, new: New) -> None:
    done = new.run(old, POSTGRES_INITDB_ARGS="--nonsense")
    assert done.status == 1
    assert "the new server didn't start" in done.err and "nonsense" in done.err
    assert (old.query(READ_ONLY), note_of(old)) == ("off", "")
