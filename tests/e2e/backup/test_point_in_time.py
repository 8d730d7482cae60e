"""Production's past: put back to a second, and kept when the database's volume is destroyed."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import pytest

from tests.e2e.backup.production import Production, started
from tests.e2e.backup.writers import Writers
from tests.e2e.conftest import MakeCheckout
from tests.e2e.support import docker, eventually, one_message, web

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

LOSS = 5.0
"""Seconds of acknowledged writes that may be lost with the database's volume."""


@dataclass(frozen=True)
class Stack(Production):
    """A production whose log is kept."""

    def now(self) -> str:
        """Return the server's time, with nothing else going on within a hundredth of a second."""
        time.sleep(0.01)
        return self.checkout.sql("prod", "select clock_timestamp()")

    def kept_up(self, moment: str) -> None:
        """Wait until the log is kept up to a moment."""

        def there() -> bool:
            since = self.listed()["moments"]
            asked = f"select '{since[-1]['until']}'::timestamptz >= '{moment}'" if since else ""
            return bool(asked) and self.checkout.sql("prod", asked) == "t"

        eventually(there, what="the log is kept")


@pytest.fixture(scope="module")
def stack(make_checkout: MakeCheckout) -> Stack:
    checkout = make_checkout()
    found = Stack(checkout, started(checkout, "backup", "backup-log"))
    eventually(
        lambda: not found.listed()["findings"], within=180, what="a backup and a copy are proven"
    )
    return found


def add(stack: Stack, *names: str) -> None:
    with web(stack.url) as client:
        for name in names:
            client.post("/api/habits", json={"name": name}).raise_for_status()


def test_a_table_emptied_by_mistake_is_put_back_to_the_second_before(stack: Stack) -> None:
    add(stack, "first", "second")
    before, moment = stack.habits(), stack.now()
    stack.checkout.sql("prod", "delete from habits")
    add(stack, "later")
    stack.kept_up(stack.now())
    assert "is outside of what is kept" in one_message(
        stack.checkout.invoke("prod.restore", "--at", "2001-01-01 00:00", "--yes")
    )
    assert "--yes" in one_message(stack.checkout.invoke("prod.restore", "--at", moment))
    assert stack.habits() == {"later"}
    stack.checkout.succeed("prod.restore", "--at", moment, "--yes")
    assert stack.habits() == before
    stack.checkout.succeed("prod.restore", "--back", "--yes")
    assert stack.habits() == {"later"}
    stack.checkout.succeed("prod.restore", "--forget", "--yes")
    assert "the log" not in stack.checkout.succeed("prod.ps").stderr


def test_the_volume_is_destroyed_under_load(stack: Stack) -> None:
    with Writers(stack.url, "load") as writers:
        (server,) = stack.checkout.containers("prod", "postgres")
        (volume,) = [
            mount["Name"]
            for mount in server["Mounts"]
            if mount["Destination"].startswith("/var/lib/postgresql")
        ]
        assert docker("rm", "--force", server["Id"]).status == 0
        destroyed = time.monotonic()
        assert docker("volume", "rm", volume).status == 0
    stack.checkout.succeed("prod.up", timeout=300)
    assert not stack.habits() & set(writers.acknowledged)

    # Its own past makes `latest` two things.
    eventually(
        lambda: len({each["system"] for each in stack.listed()["moments"]}) > 1,
        what="the new server is followed",
    )
    said = one_message(stack.checkout.invoke("prod.restore", "--at", "latest", "--yes"))
    assert "latest of which server?" in said
    last = re.findall(r"--at '(latest \d+)'", said)
    stack.checkout.succeed("prod.restore", "--at", last[0], "--yes")
    there = stack.habits()
    missing = {name: when for name, when in writers.acknowledged.items() if name not in there}
    print(f"{len(writers.acknowledged)} rows acknowledged, {len(missing)} lost")
    assert all(destroyed - when < LOSS for when in missing.values())
    assert "later" in there
