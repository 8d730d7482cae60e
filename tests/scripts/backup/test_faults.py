"""A backup, and a restore, at whose every step something breaks: said, and nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scripts.backup.conftest import ROWS
from tests.support import faults
from tests.support.backups import Backups, fails, keys, wrong
from tests.support.buckets import Bucket, serving
from tests.support.past import until

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="a file system is mounted")

STEPS = {"pg_dump": 3, "initdb": 1, "postgres": 1, "pg_restore": 1, "rclone": 1}
"""The programs of a backup, in their order, and which of their calls does the work."""


@pytest.fixture
def backup(backup: Backups, packages: Path) -> Backups:
    """The same with a key and a target, one backup made."""
    backup.variables |= {
        "BACKUP_RECIPIENTS": keys(packages)[0],
        "BACKUP_TARGET": str(backup.folder / "there"),
    }
    backup.does("make")
    return backup


def live(backup: Backups) -> str:
    """Return what the database has, as rows and as text."""
    return backup.query("SELECT count(*), md5(string_agg(o::text, ' ' ORDER BY t)) FROM orders o")


def proven(backup: Backups) -> list[str]:
    """Return the names of the backups that count."""
    found = json.loads(backup.run("list", "--json").out)["backups"]
    return [each["name"] for each in found if each["proven"]]


def damaged(backup: Backups) -> str:
    """Have the app lose rows after the backup; return what the database has then."""
    backup.query("DELETE FROM orders WHERE t > 10")
    return live(backup)


@contextmanager
def breaking(backup: Backups, program: str, call: int, does: str) -> Iterator[dict[str, str]]:
    """Yield the variables by which this happens before a program's call."""
    with faults.before(program, call, does, backup.environment["PATH"]) as path:
        yield {"PATH": path}


@pytest.mark.parametrize("step", STEPS)
def test_a_backup_that_is_killed_at_any_step_is_found_out(backup: Backups, step: str) -> None:
    before, whole = live(backup), backup.names()
    with breaking(backup, step, STEPS[step], faults.KILLS) as variables:
        done = backup.run("make", **variables)
    assert done.status == -signal.SIGKILL
    assert live(backup) == before
    # One that was only not copied yet is a backup by then, and all others are none.
    made = [name for name in backup.names() if name not in whole and "partial" not in name]
    assert len(made) == (step == "rclone")
    assert "it was cut off" in wrong(backup)
    backup.does("make")
    assert not [name for name in backup.names() if "partial" in name]
    assert wrong(backup) == ""
    assert sorted(each.name for each in (backup.folder / "there/logical").iterdir()) == (
        backup.names()
    )


def test_a_backup_that_is_told_to_end_leaves_nothing(backup: Backups) -> None:
    whole = backup.names()
    ends = "kill -TERM $PPID; sleep 1"
    with breaking(backup, "pg_dump", STEPS["pg_dump"], ends) as variables:
        assert backup.run("make", **variables).status == 130
    assert backup.names() == whole
    assert "it was cut off" in wrong(backup)


@AS_ROOT
@pytest.mark.parametrize("step", [step for step in STEPS if step != "rclone"])
def test_a_disk_that_is_full_at_any_step_is_said(backup: Backups, step: str) -> None:
    before = live(backup)
    with faults.small(backup.folder / "small", "150m") as disk:
        backup.variables["BACKUP_FOLDER"] = str(disk)
        backup.does("make")
        whole = proven(backup)
        with breaking(backup, step, STEPS[step], faults.fills(disk)) as variables:
            said = fails(backup, "make", status=1, **variables)
        assert "space" in said
        assert live(backup) == before
        assert proven(backup) == whole
        # No note of it could be written: who called it knows, and the last one's age will tell.
        (disk / "filler").unlink()
        backup.does("make")
        assert proven(backup)[0] > whole[0] and wrong(backup) == ""


@AS_ROOT
def test_a_disk_without_room_for_a_proof_is_refused_at_once(backup: Backups) -> None:
    with faults.small(backup.folder / "small", "4m") as disk:
        said = fails(backup, "make", status=1, BACKUP_FOLDER=str(disk))
    assert "MB left, and a backup of" in said


@AS_ROOT
def test_a_target_that_is_full_is_a_finding_until_it_has_room(backup: Backups) -> None:
    with faults.small(backup.folder / "elsewhere", "40m") as disk:
        backup.variables["BACKUP_TARGET"] = str(disk)
        with breaking(backup, "rclone", 1, faults.fills(disk)) as variables:
            assert "space" in fails(backup, "make", status=1, **variables)
        assert "not at" in wrong(backup)
        (disk / "filler").unlink()
        backup.does("make")
        assert wrong(backup) == ""


RESTORING = [("prepare", "psql", call) for call in range(1, 9)] + [("prepare", "pg_restore", 1)]


@pytest.mark.parametrize(("word", "program", "call"), RESTORING)
def test_a_restore_that_is_killed_at_any_step_changes_nothing(
    backup: Backups, packages: Path, word: str, program: str, call: int
) -> None:
    public, secret = keys(packages)
    identity = backup.folder / "identity"
    identity.write_text(secret)
    backup.variables |= {"BACKUP_RECIPIENTS": public, "BACKUP_IDENTITY_FILE": str(identity)}
    backup.does("make")
    before = damaged(backup)
    with breaking(backup, program, call, faults.KILLS) as variables:
        assert backup.run(word, **variables).status == -signal.SIGKILL
    assert live(backup) == before
    backup.does("prepare")
    backup.does("swap")
    assert live(backup).startswith(f"{ROWS}|")


@pytest.fixture
def bucket(backup: Backups, packages: Path) -> Iterator[Bucket]:
    """An S3 server that wants a signature, as the target."""
    with serving(backup, packages) as found:
        found.folder /= "logical"
        yield found


def test_backups_are_copied_to_s3_and_got_back_from_there(
    backup: Backups, bucket: Bucket, packages: Path
) -> None:
    public, secret = keys(packages)
    identity = backup.folder / "identity"
    identity.write_text(secret)
    backup.variables |= {"BACKUP_RECIPIENTS": public, "BACKUP_IDENTITY_FILE": str(identity)}
    backup.does("make")
    newest = backup.names()[-1]
    assert sorted(each.name for each in bucket.folder.iterdir()) == backup.names()
    damaged(backup)
    subprocess.run(["rm", "-r", backup.folder / "backups"], check=True)
    assert backup.does("prepare", newest) == newest
    backup.does("swap")
    assert live(backup).startswith(f"{ROWS}|")


def test_a_network_that_is_cut_while_a_backup_is_copied_is_made_up_for(
    backup: Backups, bucket: Bucket
) -> None:
    before = live(backup)
    flag = backup.folder / "cut"
    # The manifest goes last, by a call of its own.
    with breaking(backup, "rclone", 2, f": >{flag}; sleep 1") as variables:
        with subprocess.Popen(
            [*backup.command, "make"], env=backup.environment | variables, stderr=subprocess.PIPE
        ) as program:
            until(flag.exists, what="it copies")
            bucket.stop()
            assert program.stderr and b"the target offsite:shop/kept" in program.stderr.read()
        assert program.returncode == 1
    assert "not at offsite:shop/kept" in wrong(backup)
    bucket.start()
    backup.does("make")
    assert wrong(backup) == ""
    assert live(backup) == before


def test_a_copy_elsewhere_that_is_half_there_is_refused(backup: Backups, bucket: Bucket) -> None:
    backup.does("make")
    (newest,) = backup.names()[-1:]
    bucket.stop()
    (bucket.folder / newest / "database.dump.age").unlink()
    bucket.start()
    subprocess.run(["rm", "-r", backup.folder / "backups"], check=True)
    before = live(backup)
    assert "database.dump.age is missing" in fails(backup, "prepare", newest)
    assert live(backup) == before and backup.names() == []


@pytest.mark.parametrize("which", ["the key is wrong", "there is no key"])
def test_a_secret_of_the_target_that_is_wrong_is_said(
    backup: Backups, bucket: Bucket, which: str
) -> None:
    config = Path(backup.variables["BACKUP_TARGET_FILE"])
    secret = "" if "no" in which else "another"
    config.write_text(config.read_text().replace("a-long-secret", secret))
    assert "the target offsite:shop/kept" in fails(backup, "make", status=1)
    assert "not at offsite:shop/kept" in wrong(backup)
    assert json.loads(backup.run("list", "--json").out)["backups"][0]["proven"]
