"""The past of a server: its log as it is kept, and every moment that can be had again."""

import contextlib
import fcntl
import gzip
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Self

import pytest

from tests.support import faults
from tests.support import past as support
from tests.support.backups import Backups
from tests.support.postgres import Postgres, postgres

pytestmark = pytest.mark.timeout(300)

Content = dict[str, object]


@pytest.fixture
def live() -> Iterator[Postgres]:
    with postgres() as server:
        server.query("CREATE TABLE item (id int PRIMARY KEY, made timestamptz DEFAULT now())")
        yield server


@pytest.fixture
def program(live: Postgres) -> Iterator[Backups]:
    with support.folder() as folder:
        yield following(folder, live)


def following(folder: Path, server: Postgres) -> Backups:
    """Return the program with a folder for its temporary files, too."""
    return Backups(folder, server, server.database, folder, {"TMPDIR": str(folder)})


def add(server: Postgres, number: int, count: int = 1) -> str:
    """Add rows in a transaction of their own, and return its number."""
    return server.query(
        f"WITH new AS (INSERT INTO item SELECT generate_series({number}, {number + count - 1}))"
        " SELECT pg_current_xact_id()"
    )


def now(server: Postgres) -> str:
    """Return the server's time, with nothing else going on within a hundredth of a second."""
    time.sleep(0.01)
    return server.query("SELECT clock_timestamp()")


def state(program: Backups) -> dict[str, float]:
    found = list((program.folder / "backups/log").glob("*/state.json"))
    return json.loads(found[0].read_text()) if found else {}


def kept_up(program: Backups, server: Postgres) -> None:
    """Wait until all that was committed is kept."""
    moment = float(server.query("SELECT extract(epoch FROM clock_timestamp())"))
    support.until(
        lambda: state(program).get("covered", 0) >= moment,
        what=lambda: f"behind: {state(program)} {(program.folder / 'log.out').read_text()}",
    )


def copied(program: Backups) -> None:
    """Wait until a copy was made and proven."""
    support.until(
        lambda: any(each["proven"] for each in json.loads(program.does("moments"))["copies"]),
        what=(program.folder / "log.out").read_text,
    )


def rows(program: Backups, moment: str) -> int:
    found: int = json.loads(program.does("look", moment))["tables"]["public.item"]["rows"]
    return found


def refused(program: Backups, moment: str) -> str:
    """Return how the program refuses a moment."""
    outcome = program.run("look", moment)
    assert outcome.status == 2, outcome
    return outcome.err


def test_every_moment_can_be_had_again(program: Backups, live: Postgres) -> None:
    add(live, 0, 100)
    with support.running(program, "log"):
        copied(program)
        first = now(live)
        add(live, 100)
        second = now(live)
        xid = add(live, 101)
        third = now(live)
        live.query("DROP TABLE item")
        kept_up(program, live)
        assert program.does("log-healthy") == ""
        assert rows(program, first) == 100
        assert rows(program, second) == 101
        assert rows(program, third) == 102
        assert rows(program, xid) == 102
        assert rows(program, f"before {xid}") == 101
        assert "public.item" not in json.loads(program.does("look", "latest"))["tables"]
        outside = refused(program, "2020-01-01 00:00:00+00")
    assert (
        "2020-01-01 00:00:00+00 is outside of what is kept (there is what happened from" in outside
    )


@dataclass(frozen=True)
class Past:
    """What was kept of a server that is no more: rows 0…N were added at each of the moments."""

    program: Backups
    moments: list[str]
    xids: list[str]

    @property
    def segments(self) -> list[Path]:
        """The segments of its log, the oldest first."""
        found = [
            path
            for path in (self.program.folder / "backups/log").rglob("0*")
            if path.suffix in {".gz", ".partial"}
        ]
        return sorted(found, key=lambda path: path.name)

    @property
    def base(self) -> Path:
        """The newest copy of its files."""
        return max((self.program.folder / "backups/base").iterdir())


@pytest.fixture(scope="module")
def kept() -> Iterator[Past]:
    """A whole copy, one of what changed since, five segments of log, and no server any more."""
    with postgres() as server, support.folder() as folder:
        program = following(folder, server)
        server.query("CREATE TABLE item (id int PRIMARY KEY)")
        past = Past(program, [], [])
        with support.running(program, "log"):
            copied(program)
            program.does("base")
            for number in range(6):
                if number:
                    server.query("SELECT pg_switch_wal()")
                past.xids.append(add(server, number))
                past.moments.append(now(server))
            kept_up(program, server)
            whole = past.program.folder / "backups/log"
            support.until(
                lambda: not [*whole.glob(f"*/arriving/{'?' * 24}")],
                what="it is compressed",
            )
        yield past


@pytest.fixture
def past(kept: Past, request: pytest.FixtureRequest) -> Iterator[Past]:
    """A copy of that, to be broken."""
    with support.folder() as folder:
        copy = ["cp", "--archive", str(kept.program.folder / "backups"), str(folder)]
        subprocess.run([*support.NOBODY, *copy], check=True)
        yield replace(kept, program=replace(kept.program, folder=folder))


def flip(path: Path, place: int | None = None) -> None:
    """Change one bit of a file: in its middle, or where it is said."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def repacked(path: Path, change: Callable[[bytearray], None]) -> None:
    """Change a segment that is compressed, with a checksum that is right."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    change(content)
    path.write_bytes(gzip.compress(bytes(content)))


def foreign(content: bytearray) -> None:
    content[24] ^= 1


def record(content: bytearray) -> None:
    """Change what a record says, not what the file is."""
    content[len(content.rstrip(b"\0")) - 20] ^= 1


def record_of(path: Path) -> None:
    content = bytearray(path.read_bytes())
    record(content)
    path.write_bytes(content)


FAULTS: dict[str, tuple[Callable[[Past], object], str]] = {
    "a bit of the copy": (
        lambda past: flip(past.base / "copy/base.tar.gz"),
        "copy/base.tar.gz is not what was written: its checksum differs",
    ),
    "half of the copy": (lambda past: cut(past.base / "copy/base.tar.gz"), "bytes, not"),
    "no log in the copy": (
        lambda past: (past.base / "copy/pg_wal.tar.gz").unlink(),
        "copy/pg_wal.tar.gz is missing",
    ),
    "a bit of what the copy builds on": (
        lambda past: flip(min(past.base.parent.iterdir()) / "copy/base.tar.gz"),
        "its checksum differs",
    ),
    "a bit of PostgreSQL's manifest": (
        lambda past: flip(past.base / "copy/backup_manifest"),
        "copy/backup_manifest is not what was written",
    ),
    "both manifests": (
        lambda past: [path.write_text("{}") for path in past.base.parent.glob("*/manifest.json")],
        "no moment can be had again",
    ),
    "a bit of a segment": (lambda past: flip(past.segments[-2], 60), "it isn't what was written"),
    "half of a segment": (lambda past: cut(past.segments[-2]), "it isn't what was written"),
    "an empty segment": (lambda past: os.truncate(past.segments[-2], 0), "is damaged"),
    "a segment is gone": (lambda past: past.segments[-3].unlink(), "is outside of what is kept"),
    "a segment in another's place": (
        lambda past: shutil.copyfile(past.segments[-3], past.segments[-2]),
        "it has what belongs at 0/",
    ),
    "a segment of another cluster": (
        lambda past: repacked(past.segments[-2], foreign),
        "it is of cluster",
    ),
    "a record changed before it was compressed": (
        lambda past: repacked(past.segments[-3], record),
        "the kept log is damaged at 0/",
    ),
    "the last segment has nothing in it": (
        lambda past: past.segments[-1].write_bytes(bytes(16 << 20)),
        "it is no segment of a log",
    ),
    "a record changed in the segment that grew": (
        lambda past: record_of(past.segments[-1]),
        "the kept log is damaged at 0/",
    ),
    "the last segment is gone": (
        lambda past: past.segments[-1].unlink(),
        "latest is outside of what is kept",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_damaged_is_refused(past: Past, fault: str) -> None:
    breaks, message = FAULTS[fault]
    breaks(past)
    outcome = past.program.run("look", "latest")
    assert outcome.status == 2
    assert message in outcome.err
    assert outcome.out == ""
    assert not list((past.program.folder / "backups/scratch").iterdir())


def test_what_lies_before_the_damage_can_be_had(past: Past) -> None:
    # Where there is something: a bit of what packs nothing but zeros may say the same.
    flip(past.segments[-2], 60)
    assert rows(past.program, past.moments[1]) == 2
    assert "the kept log is damaged at 0/" in refused(past.program, past.moments[5])


def test_without_a_note_of_how_far_it_reaches_the_log_is_good(past: Past) -> None:
    for path in (past.program.folder / "backups/log").glob("*/state.json"):
        path.write_text("{")
    assert rows(past.program, "latest") == 6


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        ("2020-02-30 00:00", "is no moment"),
        ("yesterday", "is no moment"),
        ("2026-11-27", "has no time of the day"),
        ("1999-01-01 00:00", "is outside of what is kept"),
        ("2999-01-01 00:00", "is outside of what is kept"),
        ("3", "is outside of what is kept"),
        ("999999", "the kept log ends before 999999"),
    ],
)
def test_moments_that_are_none_or_not_kept(kept: Past, moment: str, message: str) -> None:
    assert message in refused(kept.program, moment)


def test_two_at_once(kept: Past) -> None:
    with (kept.program.folder / "backups/lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "not now: " in refused(kept.program, "latest")


class Writer:
    """Adds rows one after the other, and knows when each was acknowledged."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.acknowledged: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        where = ["-h", "127.0.0.1", "-p", str(self.server.port), "-U", self.server.user]
        psql = subprocess.Popen(
            [self.server.psql(), "-XAtq", *where, self.server.database],
            env=os.environ | {"PGPASSWORD": self.server.password}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert psql.stdin and psql.stdout
        with psql, contextlib.suppress(BrokenPipeError):
            for number in count(1000):
                psql.stdin.write(f"INSERT INTO item VALUES ({number}) RETURNING id;\n")
                psql.stdin.flush()
                if self._over.is_set() or not psql.stdout.readline():
                    break
                self.acknowledged.append(time.monotonic())

    def __enter__(self) -> Self:
        self._thread.start()
        support.until(lambda: len(self.acknowledged) > 200, what="rows are written")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def lost(writer: Writer, there: int) -> float:
    """Return the seconds between the last acknowledged row and the first one that isn't there."""
    times = writer.acknowledged
    return times[-1] - times[there] if there < len(times) else 0.0


def test_a_server_that_is_gone_under_load(program: Backups, live: Postgres) -> None:
    with support.running(program, "log"):
        copied(program)
        with Writer(live) as writer:
            live.stop("immediate")
            shutil.rmtree(live.directory / "data")
    there = rows(program, "latest")
    print(f"{len(writer.acknowledged)} rows acknowledged, {there} there")
    assert lost(writer, there) < 5
    assert there > 200


def test_a_server_that_is_killed_and_comes_back(program: Backups, live: Postgres) -> None:
    with support.running(program, "log"):
        copied(program)
        with Writer(live) as writer:
            live.stop("immediate")
        live.start()
        kept_up(program, live)
        assert program.does("log-healthy") == ""
    assert rows(program, "latest") >= len(writer.acknowledged)


def test_a_follower_that_is_killed_misses_nothing(program: Backups, live: Postgres) -> None:
    with support.running(program, "log") as follower:
        copied(program)
        with Writer(live) as writer:
            children = Path(f"/proc/{follower.pid}/task/{follower.pid}/children").read_text()
            for process in (follower.pid, *map(int, children.split())):
                os.kill(process, signal.SIGKILL)
            follower.wait()
            live.query("SELECT pg_switch_wal()")
    between = now(live)
    add(live, 1)
    with support.running(program, "log"):
        kept_up(program, live)
    assert rows(program, between) in {len(writer.acknowledged), len(writer.acknowledged) + 1}
    assert rows(program, "latest") == rows(program, between) + 1


def test_log_that_the_server_has_thrown_away_is_a_hole(program: Backups, live: Postgres) -> None:
    program.variables["BACKUP_LOG_SIZE"] = "16MB"
    with support.running(program, "log"):
        copied(program)
        add(live, 0)
        early = now(live)
        kept_up(program, live)
    added = count(1)

    def thrown_away() -> bool:
        add(live, next(added))
        live.query("SELECT pg_switch_wal()")
        live.query("CHECKPOINT")
        return live.query("SELECT wal_status FROM pg_replication_slots") == "lost"

    support.until(thrown_away, what="the log is thrown away")
    within = now(live)
    first = json.loads(program.does("moments"))["copies"]
    with support.running(program, "log"):
        support.until(
            lambda: [
                each["name"]
                for each in json.loads(program.does("moments"))["copies"]
                if each["proven"] and each["name"] != first[0]["name"]
            ],
            120,
            "a new copy",
        )
        late = now(live)
        kept_up(program, live)
    assert rows(program, early) == 1
    assert "is outside of what is kept" in refused(program, within)
    assert rows(program, late) == next(added)


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system is mounted")
def test_a_full_disk_is_said_and_loses_nothing(live: Postgres) -> None:
    with support.folder() as folder:
        program = following(folder, live)
        with faults.small(folder / "backups", "250m") as place:
            with support.running(program, "log"):
                copied(program)
                filler = place / "filler"
                with contextlib.suppress(OSError), filler.open("wb") as file:
                    while True:
                        file.write(bytes(1 << 20))
                for number in range(3):
                    add(live, number)
                    live.query("SELECT pg_switch_wal()")
                support.until(
                    lambda: "note: there is room for" in program.does("log-healthy"),
                    what="it is said",
                )
                filler.unlink()
                kept_up(program, live)
                assert program.does("log-healthy") == ""
            assert rows(program, "latest") == 3
