"""Production's database while it is written to: killed, and on a volume that runs full."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.backup.production import Production, started
from tests.e2e.backup.writers import Writers
from tests.e2e.conftest import MakeCheckout
from tests.e2e.support import Result, docker, eventually

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="a file system is mounted, a process killed"),
]

SIZE = "300M"
"""The volume of the database: a new one takes 50 MB, and a segment of its log 16."""


@dataclass(frozen=True)
class Stack(Production):
    """A production whose database has a small volume, which is also mounted at `folder`."""

    folder: Path

    def query(self, sql: str) -> Result:
        """Ask the database, which may be down."""
        (server,) = self.checkout.containers("prod", "postgres")
        return docker(
            "exec", server["Id"], "sh", "-c",
            'psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -Atc "$1"', "psql", sql,
        )  # fmt: skip

    def findings(self) -> str:
        """Return what prod.ps says besides the list."""
        return self.checkout.succeed("prod.ps").stderr

    @contextmanager
    def full(self) -> Iterator[None]:
        """Take all room on the volume for the block."""
        filler = self.folder / "filler"
        done = subprocess.run(
            ["dd", "if=/dev/zero", f"of={filler}", "bs=1M"], capture_output=True, check=False
        )
        assert b"No space left" in done.stderr
        try:
            yield
        finally:
            filler.unlink()


@contextmanager
def small_volume(name: str, folder: Path) -> Iterator[Path]:
    """Make a volume of SIZE bytes that is a file system of its own; yield where it is mounted."""
    image, mounted = folder / "image", folder / "mounted"
    mounted.mkdir()
    for argv in (
        ["truncate", "--size", SIZE, str(image)],
        ["mkfs.ext4", "-q", "-m", "0", str(image)],
        ["mount", "-o", "loop", str(image), str(mounted)],
    ):
        subprocess.run(argv, check=True)
    try:
        (mounted / "lost+found").rmdir()
        mounted.chmod(0o1777)
        bound = ["--opt", "type=none", "--opt", "o=bind", "--opt", f"device={mounted}"]
        assert docker("volume", "create", *bound, name).status == 0
        yield mounted
    finally:
        for container in docker("ps", "-aq", "--filter", f"volume={name}").stdout.split():
            docker("rm", "--force", container)
        docker("volume", "rm", "--force", name)
        subprocess.run(["umount", str(mounted)], check=True)


@pytest.fixture(scope="module")
def stack(make_checkout: MakeCheckout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    checkout = make_checkout()
    name = f"{checkout.project('prod')}_postgres-data"
    with small_volume(name, tmp_path_factory.mktemp("small")) as folder:
        yield Stack(checkout, started(checkout), folder)


def test_a_server_that_is_killed_comes_back_with_all_it_acknowledged(stack: Stack) -> None:
    with Writers(stack.url, "killed") as writers:
        (server,) = stack.checkout.containers("prod", "postgres")
        os.kill(server["State"]["Pid"], signal.SIGKILL)
        writers.more()
    assert set(writers.acknowledged) <= stack.habits()


def test_a_volume_that_is_full_takes_no_writes_until_there_is_room(stack: Stack) -> None:
    with Writers(stack.url, "full") as writers:
        with stack.full():
            large = "create table large as select repeat('x', 1000) from generate_series(1, 1e5)"
            eventually(lambda: stack.query(large).status != 0, what="no room for a table")
            eventually(
                lambda: "postgres: its volume is full: 0 MB left" in stack.findings(),
                what="prod.ps says why",
            )
            assert stack.query("select 1").stdout.strip() == "1"
        writers.more()
    assert set(writers.acknowledged) <= stack.habits()
    eventually(lambda: "its volume is full" not in stack.findings(), what="it isn't full any more")


def test_a_server_that_ended_for_want_of_room_starts_when_there_is_some(stack: Stack) -> None:
    with Writers(stack.url, "no log") as writers:
        with stack.full():
            # The next part of the log is a new file.
            again = "select pg_switch_wal(); create table if not exists a(i int); drop table a"
            eventually(lambda: stack.query(again).status != 0, what="the server ends")
            eventually(
                lambda: "postgres: its volume is full" in stack.findings(), what="prod.ps says why"
            )
            assert stack.query("select 1").status != 0
        writers.more()
    assert set(writers.acknowledged) <= stack.habits()
