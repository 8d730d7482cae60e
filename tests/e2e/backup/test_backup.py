"""Production's backups: by the clock and by hand, restored while requests keep coming."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import pytest

from tests.e2e.backup.production import Production, started
from tests.e2e.conftest import MakeCheckout
from tests.e2e.support import docker, eventually, one_message, web

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

READ = "SELECT count(*), max(name) FROM habits"


@dataclass(frozen=True)
class Stack(Production):
    """A production with the service backup."""

    def names(self) -> set[str]:
        """Return the names of all backups."""
        return {each["name"] for each in self.listed()["backups"]}

    def rows(self) -> int:
        """Return how many habits the database has."""
        return int(self.checkout.sql("prod", "select count(*) from habits"))

    def inside(self, script: str) -> None:
        """Run a shell's script in the service's container."""
        (found,) = self.checkout.containers("prod", "backup")
        done = docker("exec", found["Id"], "sh", "-euc", script)
        assert done.status == 0, done.text


@pytest.fixture(scope="module")
def stack(make_checkout: MakeCheckout) -> Stack:
    checkout = make_checkout()
    return Stack(checkout, started(checkout, "backup", settings=f'BACKUP_READ="{READ}"\n'))


def test_the_first_backup_is_made_and_proven_by_itself(stack: Stack) -> None:
    eventually(lambda: stack.listed()["backups"], what="a first backup")
    found = stack.listed()
    assert found["findings"] == []
    (first,) = found["backups"]
    assert first["proven"] and "the app's read the same" in first["proof"]
    assert first["migration"]
    # What the health check says may be half a minute old.
    eventually(
        lambda: "prod.backups" not in stack.checkout.succeed("prod.ps").stderr,
        what="a prod.ps without a finding",
    )
    (container,) = stack.checkout.containers("prod", "backup")
    assert container["State"]["Health"]["Status"] == "healthy"


def test_one_by_hand_is_named_after_the_release(stack: Stack) -> None:
    with web(stack.url) as client:
        for number in range(20):
            client.post("/api/habits", json={"name": f"kept {number}"}).raise_for_status()
    before = stack.names()
    stack.checkout.succeed("prod.backup")
    (made,) = stack.names() - before
    (line,) = [
        line
        for line in stack.checkout.succeed("prod.releases").stdout.splitlines()
        if "now" in line.split()
    ]
    assert made.endswith(line.split()[0])


def test_a_restore_is_not_noticed_and_can_be_taken_back(stack: Stack) -> None:
    stack.checkout.succeed("prod.backup")
    kept = stack.rows()
    stack.checkout.sql("prod", "delete from habits")
    over, answers = threading.Event(), []

    def use() -> None:
        with web(stack.url) as client:
            while not over.is_set():
                answers.append(client.get("/api/habits").status_code)
                time.sleep(0.02)

    users = [threading.Thread(target=use) for _ in range(4)]
    for each in users:
        each.start()
    try:
        stack.checkout.succeed("prod.restore", "--yes")
    finally:
        over.set()
        for each in users:
            each.join()
    assert set(answers) == {200}, answers
    assert stack.rows() == kept
    with web(stack.url) as client:
        client.post("/api/habits", json={"name": "after"}).raise_for_status()
    stack.checkout.succeed("prod.restore", "--back", "--yes")
    assert stack.rows() == 0
    stack.checkout.succeed("prod.restore", "--back", "--yes")
    assert stack.rows() == kept + 1
    assert (
        "deleted: gangway_before_"
        in stack.checkout.succeed("prod.restore", "--forget", "--yes").stderr
    )


def test_nothing_is_restored_unasked_unnamed_or_damaged(stack: Stack) -> None:
    stack.checkout.succeed("prod.backup")
    before = stack.rows()
    assert "--yes" in one_message(stack.checkout.invoke("prod.restore"))
    assert "there is no backup 2001" in one_message(
        stack.checkout.invoke("prod.restore", "2001", "--yes")
    )
    newest = max(stack.names())
    file = f"/var/lib/backup/logical/{newest}/database.dump"
    stack.inside(
        f"cp {file} /var/lib/backup/aside; printf x | dd of={file} bs=1 seek=99 conv=notrunc"
    )
    try:
        said = one_message(stack.checkout.invoke("prod.restore", "--yes"))
        assert "its checksum differs" in said
        done = stack.checkout.invoke("prod.backups", "--prove", "newest")
        assert done.status == 2 and "its checksum differs" in done.stderr
        stack.inside(f"truncate -s 10 {file}")
        assert any(newest in each for each in stack.listed()["findings"])
        eventually(
            lambda: newest in stack.checkout.succeed("prod.ps").stderr, what="a finding of prod.ps"
        )
    finally:
        stack.inside(f"mv /var/lib/backup/aside {file}")
    assert stack.listed()["findings"] == []
    assert stack.rows() == before
    assert stack.checkout.sql("prod", "select count(*) from pg_database") == "4"


def test_a_dry_run_prints_what_would_be_done(stack: Stack) -> None:
    text = stack.checkout.succeed("prod.restore", "--dry-run").stdout
    words = [line.rpartition(" backup ")[2] for line in text.splitlines() if " backup " in line]
    assert words == ["check", "prepare NAME", "swap"], text
