"""The kept log and the copies of a server's files at a target, and got back from there."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import faults, past
from tests.support.backups import Backups, fails, keys
from tests.support.buckets import serving
from tests.support.postgres import Postgres, postgres

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def live() -> Iterator[Postgres]:
    with postgres() as server:
        server.query("CREATE TABLE item (id int PRIMARY KEY)")
        yield server


@pytest.fixture
def program(live: Postgres, packages: Path) -> Iterator[Backups]:
    """The program with a folder as its target, which goes for what the tests don't wait for."""
    with past.folder() as folder:
        (folder / "there").mkdir(mode=0o777)
        (folder / "there").chmod(0o777)
        variables = {"TMPDIR": str(folder), "BACKUP_TARGET": str(folder / "there")}
        yield Backups(folder, live, live.database, packages, variables)


def said(program: Backups) -> Callable[[], str]:
    return (program.folder / "log.out").read_text


def health(program: Backups) -> str:
    """Return what is wrong, and what it says where nobody follows the log yet."""
    return program.run("log-healthy").out


def away(program: Backups) -> None:
    """Wait until all is well, of which a copy at the target is part."""
    past.until(lambda: not health(program), what=said(program))


def written(program: Backups, number: int) -> None:
    """Have a row in each of so many segments of the log, and wait until they are kept."""
    for _ in range(number):
        program.query("INSERT INTO item SELECT count(*) FROM item")
        last = program.query("SELECT pg_walfile_name(pg_switch_wal())")
    kept = program.folder / "backups/log"
    past.until(lambda: any(kept.glob(f"*/{last}.gz")), what=said(program))


def segments(folder: Path) -> list[Path]:
    """Return the segments at a target, the oldest first."""
    return sorted(path for path in folder.glob("log/*/0*") if path.suffix != ".new")


def names(folder: Path) -> set[str]:
    """Return what there is of copies and of the log, here or at a target."""
    found = [*folder.glob("base/*"), *segments(folder)]
    return {str(path.relative_to(folder)).removesuffix(".age") for path in found}


def same(program: Backups, folder: Path) -> None:
    """Wait until there is at the target what is here."""
    arriving = (program.folder / "backups/log").glob
    past.until(
        lambda: (
            names(folder) == names(program.folder / "backups")
            and not any(arriving(f"*/arriving/{'?' * 24}"))
        ),
        what=lambda: f"{said(program)()}\n{names(folder) ^ names(program.folder / 'backups')}",
    )


def lost(program: Backups) -> None:
    """Have nothing left of what was kept here."""
    shutil.rmtree(program.folder / "backups")


def rows(program: Backups, moment: str) -> int:
    found: int = json.loads(program.does("look", moment))["tables"]["public.item"]["rows"]
    return found


def identity(program: Backups, packages: Path) -> Path:
    """Have what goes away be encrypted; return the file with the secret key."""
    public, secret = keys(packages)
    program.variables["BACKUP_RECIPIENTS"] = public
    path = program.folder / "identity"
    path.write_text(secret)
    return path


def test_what_is_at_a_target_is_had_again_on_another_machine(
    program: Backups, live: Postgres
) -> None:
    there = program.folder / "there"
    with past.running(program, "log"):
        assert "a copy of the server's files" in health(program)
        away(program)
        assert live.query("SHOW archive_timeout") == "1min"
        live.query("ALTER SYSTEM SET archive_timeout = '1s'")
        live.query("SELECT pg_reload_conf()")
        before = len(segments(there))
        live.query("INSERT INTO item VALUES (1)")
        past.until(lambda: len(segments(there)) > before, what=said(program))
    (system,) = [path.name for path in (there / "log").iterdir()]
    whole = names(there)
    lost(program)
    assert fails(program, "look", "latest")
    assert program.does("log-fetch") == system
    assert names(program.folder / "backups") == whole
    assert rows(program, "latest") == rows(program, f"latest {system}") == 1
    # Nothing is copied a second time, and nothing got.
    times = {path: path.stat().st_ctime_ns for path in there.rglob("*")}
    program.does("log-away")
    program.does("base-away")
    assert {path: path.stat().st_ctime_ns for path in there.rglob("*")} == times
    assert "has the log of no server of which there is none here" in fails(program, "log-fetch")


def test_a_target_out_of_reach_is_a_finding_and_a_key_opens_what_is_there(
    program: Backups, live: Postgres, packages: Path
) -> None:
    secret = identity(program, packages)
    with serving(program, packages) as bucket:
        bucket.stop()
        with past.running(program, "log"):
            past.until(
                lambda: "the log isn't copied away: the target" in health(program),
                what=said(program),
            )
            bucket.start()
            away(program)
            written(program, 3)
            same(program, bucket.folder)
        found = [path for path in bucket.folder.rglob("*") if path.is_file()]
        assert found and all(path.suffix == ".age" for path in found)
        (system,) = [path.name for path in (bucket.folder / "log").iterdir()]
        lost(program)
        with postgres() as other:
            # The new machine's server has a log of its own by then, at the same target.
            program.server = other
            other.query("CREATE TABLE item (id int PRIMARY KEY)")
            with past.running(program, "log"):
                away(program)
                assert program.does("log-fetch", BACKUP_IDENTITY_FILE=str(secret)) == system
                assert rows(program, f"latest {system}") == 3
                assert program.does("log-healthy") == ""


@pytest.fixture(scope="module")
def gone(packages: Path) -> Iterator[tuple[Backups, Path]]:
    """What a machine that is lost had put at its target, encrypted, and the key."""
    with postgres() as server, past.folder() as folder:
        server.query("CREATE TABLE item (id int PRIMARY KEY)")
        program = Backups(folder, server, server.database, packages, {"TMPDIR": str(folder)})
        secret = identity(program, packages)
        with past.running(program, "log"):
            away(program)
            program.does("base")
            written(program, 4)
        program.variables["BACKUP_TARGET"] = str(folder / "there")
        program.does("log-away")
        # Killed between the first copy and its manifest: what is half there is made anew.
        with faults.before("rclone", 2, faults.KILLS, program.environment["PATH"]) as path:
            assert program.run("base-away", PATH=path).status == -signal.SIGKILL
        assert not list(folder.glob("there/base/*/manifest.json.age"))
        program.does("base-away")
        assert names(folder / "there") == names(folder / "backups")
        lost(program)
        yield program, secret


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bit of a copy": (
        lambda there: flip(min(there.glob("base/*/copy/base.tar.gz.age"))),
        "copy/base.tar.gz is not opened by the key",
    ),
    "a file of a copy": (
        lambda there: min(there.glob("base/*/copy/base.tar.gz.age")).unlink(),
        "copy/base.tar.gz is missing",
    ),
    "a copy that another builds on": (
        lambda there: shutil.rmtree(min(there.glob("base/*"))),
        "is not there",
    ),
    "half of a segment": (
        lambda there: os.truncate(segments(there)[-2], 1000),
        "is not opened by the key",
    ),
    "a segment": (lambda there: segments(there)[-2].unlink(), "of the log is missing"),
    "the last segment": (lambda there: segments(there)[-1].unlink(), "of the log is missing"),
    "how far it reaches": (
        lambda there: min(there.glob("log/*/state.json.age")).unlink(),
        "nothing says how far the log of server",
    ),
    "all manifests": (
        lambda there: min(there.glob("base/*/manifest.json.age")).write_bytes(b""),
        "manifest.json is not opened",
    ),
}


def test_what_is_damaged_or_half_there_or_not_opened_is_refused(
    gone: tuple[Backups, Path], packages: Path
) -> None:
    program, secret = gone
    there, kept = program.folder / "there", program.folder / "kept"
    there.rename(kept)
    program.variables["BACKUP_IDENTITY_FILE"] = str(secret)
    wrong = program.folder / "wrong"
    wrong.write_text(keys(packages)[1])
    for fault, (breaks, message) in FAULTS.items():
        shutil.copytree(kept, there)
        breaks(there)
        assert message in fails(program, "log-fetch"), fault
        assert names(program.folder / "backups") == set()
        shutil.rmtree(there)
    shutil.copytree(kept, there)
    assert "there is no key" in fails(program, "log-fetch", BACKUP_IDENTITY_FILE="")
    assert "is not opened by the key" in fails(
        program, "log-fetch", BACKUP_IDENTITY_FILE=str(wrong)
    )
    assert "there is no target" in fails(program, "log-fetch", BACKUP_TARGET="")
    assert "log-fetch knows no all" in fails(program, "log-fetch", "all")
    assert names(program.folder / "backups") == set()
    # What is good of it can be had, if somebody says so: here all before a hole.
    flip(segments(there)[-2])
    program.does("log-fetch", "--anyway")
    assert len(segments(program.folder / "backups")) == len(segments(kept)) - 1
    assert "latest is outside of what is kept" in fails(program, "look", "latest")


def test_what_the_rule_removes_goes_at_the_target_and_nothing_else(
    program: Backups, live: Postgres
) -> None:
    program.variables["BACKUP_LOG_DAYS"] = "0.00005"
    there = program.folder / "there"
    with past.running(program, "log"):
        away(program)
        first = names(there)
        written(program, 2)
        for _ in range(2):
            program.does("base", "--full")
        same(program, there)
        assert not first & names(there)
    kept = names(there)
    # An empty volume is no rule.
    lost(program)
    with past.running(program, "log"):
        away(program)
    assert kept < names(there)
