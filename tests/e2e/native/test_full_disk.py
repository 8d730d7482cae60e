"""The disk is full: it is said, and no service ends of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.native.checkout import SERVICES, NativeCheckout
from tests.e2e.native.support import quiet, serves
from tests.e2e.support import one_message


class TestFullDisk:
    """The state is on a small file system of its own."""

    @pytest.fixture
    def disk(self, checkout: NativeCheckout) -> Iterator[Path]:
        """Mount a small tmpfs where the test environment keeps its state."""
        if os.getuid() != 0 or sys.platform != "linux":
            pytest.skip("only root can mount a small file system")
        top = checkout.state("test")
        shutil.rmtree(top, ignore_errors=True)
        top.mkdir(mode=0o700, parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", str(top)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        # Data that is on the disk already isn't moved into memory.
        (top / "volumes").mkdir(mode=0o700)
        try:
            yield top
        finally:
            checkout.invoke("test.down", "--engine", "native")
            subprocess.run(["umount", str(top)], check=True)

    UP = ("test.up", "--engine", "native", "--ports", "auto")

    def test_a_database_that_does_not_fit_says_so(
        self, checkout: NativeCheckout, disk: Path
    ) -> None:
        message = one_message(checkout.invoke(*self.UP, timeout=60))
        assert "the disk is full: no space left on device" in message
        assert str(disk) in message and "df -h" in message

    def test_not_even_a_state_that_fits(self, checkout: NativeCheckout, disk: Path) -> None:
        fill(disk)
        message = one_message(checkout.invoke(*self.UP, timeout=60))
        assert "the disk is full: no space left on device" in message
        assert checkout.pids("test") == {}

    def test_it_works_once_there_is_room(self, checkout: NativeCheckout, disk: Path) -> None:
        fill(disk)
        one_message(checkout.invoke(*self.UP, timeout=60))
        (disk / "full").unlink()
        subprocess.run(["mount", "-o", "remount,size=512m", str(disk)], check=True)
        quiet(checkout.succeed(*self.UP))
        assert checkout.healthy(environment="test")

    def test_a_disk_that_fills_up_ends_no_service(
        self, checkout: NativeCheckout, disk: Path
    ) -> None:
        subprocess.run(["mount", "-o", "remount,size=512m", str(disk)], check=True)
        checkout.succeed(*self.UP)
        url = checkout.urls("test")["api"]
        fill(disk)
        for _ in range(50):
            assert serves(f"{url}/health", "ok")
        assert checkout.pids("test").keys() == set(SERVICES)
        quiet(checkout.succeed("test.down"))
        assert checkout.processes(disk) == {}


def fill(folder: Path) -> None:
    """Write until nothing more fits."""
    with (folder / "full").open("wb", buffering=0) as file, suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)
