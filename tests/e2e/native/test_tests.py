"""The test environment: the apps' tests in it, with development running beside them."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.native.checkout import NativeCheckout
from tests.e2e.native.support import TESTS, quiet
from tests.e2e.support import A_FAILING_MIGRATION, eventually


def forsaken() -> set[str]:
    """Return the pieces of shared memory that no process has; other servers here have theirs."""
    segments = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    files = {path.name for path in Path("/dev/shm").iterdir()}
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            mapped = maps.read_text()
            files = {name for name in files if f"/dev/shm/{name}" not in mapped}
    return files.union(words[1] for words in segments if words[6] == "0")


class TestRun:
    """The apps' tests, with development running beside them."""

    @pytest.fixture(autouse=True)
    def _nothing_in_memory(self) -> Iterator[None]:
        """See that no run leaves a piece of the machine's shared memory behind, of either kind."""
        linux = sys.platform == "linux"
        before = forsaken() if linux else set()
        yield
        if linux:
            eventually(lambda: forsaken() <= before, what="memory that nobody has")

    def test_the_tests_pass_and_nothing_is_left(self, checkout: NativeCheckout) -> None:
        before = checkout.pids()
        done = quiet(checkout.succeed("test.run", "--engine", "native", TESTS))
        assert re.search(r"\d+ passed", done.stdout), done.text
        self.nothing_left(checkout)
        assert checkout.pids() == before

    @pytest.mark.parametrize(("text", "status"), [("assert 6 * 9 == 42", 1), ("(", 2)])
    def test_the_status_is_pytest_s(self, checkout: NativeCheckout, text: str, status: int) -> None:
        path = "apps/api/tests/test_of_this_moment.py"
        file = checkout.write(path, f"def test_fails() -> None:\n    {text}\n")
        try:
            done = checkout.invoke("test.run", "--engine", "native", path)
        finally:
            file.unlink()
        assert done.status == status, done.text
        assert "test_of_this_moment.py" in done.stdout
        self.nothing_left(checkout)

    def test_each_run_has_a_fresh_database(self, checkout: NativeCheckout) -> None:
        checkout.succeed("test.run", "--engine", "native", "--keep", TESTS)
        kept = "select count(*) from habits where name = 'left'"
        checkout.sql("test", "insert into habits (name) values ('left')")
        assert checkout.sql("test", kept) == "1"
        checkout.succeed("test.run", "--engine", "native", "--keep", TESTS)
        try:
            assert checkout.sql("test", kept) == "0"
        finally:
            checkout.succeed("test.down", "--volumes", "--yes")
        self.nothing_left(checkout)

    def test_down_forgets_what_the_model_has_in_memory(self, checkout: NativeCheckout) -> None:
        wanted = "CREATE TABLE kept (); SELECT 1"
        for _ in range(2):
            checkout.succeed("test.up", "postgres", "--ports", "auto")
            checkout.succeed("test.psql", "--", "-v", "ON_ERROR_STOP=1", "-c", wanted)
            checkout.succeed("test.down")

    def test_interrupted_it_leaves_nothing(self, checkout: NativeCheckout) -> None:
        path = "apps/api/tests/test_of_this_moment.py"
        file = checkout.write(
            path,
            "import time\n\n\ndef test_sleeps() -> None:\n"
            "    print('asleep', flush=True)\n    time.sleep(60)\n",
        )
        try:
            with checkout.started("test.run", "--engine", "native", path, "--", "-s") as run:
                run.says("asleep")
                run.interrupt()
                assert run.ended(within=20) == 130, run.text
                assert "Traceback" not in run.text
        finally:
            file.unlink()
        self.nothing_left(checkout)

    def test_a_failing_migration_ends_it_before_any_test(self, checkout: NativeCheckout) -> None:
        with checkout.edited("docker-compose.yml", *A_FAILING_MIGRATION):
            done = checkout.invoke("test.run", "--engine", "native")
        assert done.status == 2, done.text
        assert "error: migrate did not start" in done.stderr
        assert "test session starts" not in done.stdout
        self.nothing_left(checkout)

    @staticmethod
    def nothing_left(checkout: NativeCheckout) -> None:
        assert checkout.pids("test") == {}
        assert checkout.processes(checkout.state("test")) == {}
        assert not (checkout.state("test") / "volumes").is_symlink()
        assert not (checkout.state("test") / "volumes").exists()
        assert not (checkout.state("test") / "services").exists()


class TestDraining:
    """In the test environment the servers are production's; a SIGTERM lets them finish."""

    @pytest.fixture
    def url(self, checkout: NativeCheckout) -> Iterator[str]:
        checkout.succeed("test.up", "--engine", "native", "--ports", "auto")
        yield checkout.urls("test")["api"]
        checkout.succeed("test.down", "--engine", "native")

    @pytest.mark.parametrize("words", ["test.restart api", "test.down"])
    def test_a_request_in_flight_is_answered(
        self, checkout: NativeCheckout, url: str, words: str
    ) -> None:
        with ThreadPoolExecutor(2) as pool:
            asked = pool.submit(httpx.get, f"{url}/slow?seconds=3", trust_env=False, timeout=20)
            eventually(lambda: connections(url) > 0, within=5)
            done = checkout.succeed(*words.split())
            assert not asked.cancelled() and asked.result().json() == {"slept": 3.0}
        quiet(done)


def connections(url: str) -> int:
    """Return how many connections to a port of this machine are open."""
    port = f":{int(url.rpartition(':')[2]):04X}"
    lines = Path("/proc/net/tcp").read_text(encoding="utf-8").splitlines()[1:]
    return sum(line.split()[1].endswith(port) and line.split()[3] == "01" for line in lines)
