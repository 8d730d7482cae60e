"""The throw-away test stack runs the apps' tests and goes, with development running beside it."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.e2e.conftest import MakeCheckout
from tests.e2e.support import A_FAILING_MIGRATION, Checkout, Result

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

CACHE_TESTS = "apps/api/tests/test_cache.py"
ROWS = "select name, created_at from habits order by 1"


@dataclass(frozen=True)
class Beside:
    """Development as it was before the first test run."""

    checkout: Checkout
    containers: dict[str, str]
    rows: str

    def check(self) -> None:
        """Fail where development is not what it was."""
        assert self.checkout.ids("dev") == self.containers
        assert self.checkout.sql("dev", ROWS) == self.rows


@pytest.fixture(scope="module")
def dev(make_checkout: MakeCheckout) -> Beside:
    checkout = make_checkout()
    checkout.succeed("dev.up", "--ports", "auto")
    checkout.sql("dev", "insert into habits (name) values ('Mine, not the tests')")
    return Beside(checkout, checkout.ids("dev"), checkout.sql("dev", ROWS))


@pytest.fixture
def checkout(dev: Beside) -> Checkout:
    return dev.checkout


@contextmanager
def one_more_file(checkout: Checkout, text: str) -> Iterator[str]:
    """Put one more test file into the api's tests; yield its path as a user types it."""
    path = "apps/api/tests/test_of_this_moment.py"
    file = checkout.write(path, text)
    try:
        yield path
    finally:
        file.unlink()


def passed(done: Result) -> int:
    """Return how many tests passed, by pytest's last line."""
    assert done.status == 0, done.text
    found = re.search(r"(\d+) passed", done.stdout.splitlines()[-1])
    assert found, done.text
    return int(found[1])


def test_all_tests_pass_and_nothing_is_left(dev: Beside) -> None:
    checkout = dev.checkout
    done = checkout.invoke("test.run")
    assert passed(done) > 40, done.text
    assert "skipped" not in done.stdout.splitlines()[-1], done.text
    assert checkout.leftovers("test") == []
    dev.check()


def test_a_failing_test_gives_pytest_s_status_and_nothing_is_left(checkout: Checkout) -> None:
    with one_more_file(checkout, "def test_fails() -> None:\n    assert 6 * 9 == 42\n") as path:
        done = checkout.invoke("test.run", path)
    assert done.status == 1, done.text
    assert "assert (6 * 9) == 42" in done.stdout
    assert "Traceback" not in done.stderr and "error:" not in done.stderr
    assert checkout.leftovers("test") == []


def test_what_pytest_writes_is_the_caller_s_and_the_next_run_remembers_what_failed(
    checkout: Checkout,
) -> None:
    mixed = "def test_good() -> None:\n    pass\n\n\ndef test_bad() -> None:\n    assert 0\n"
    reports = ("--junitxml=report.xml", "--cov=api", "--cov-report=xml:coverage.xml")
    with one_more_file(checkout, mixed) as path:
        first = checkout.invoke("test.run", path, "--", *reports)
        assert first.status == 1 and "1 failed, 1 passed" in first.stdout, first.text
        again = checkout.invoke("test.run", path, "--", "--lf")
    assert again.status == 1 and "1 failed" in again.stdout.splitlines()[-1], again.text
    assert "passed" not in again.stdout.splitlines()[-1]
    for name in ("report.xml", "coverage.xml"):
        (report,) = checkout.root.glob(f"apps/**/{name}")
        assert report.stat().st_uid == checkout.user.uid
        report.unlink()


def test_one_file_and_names_in_it_can_be_chosen(checkout: Checkout) -> None:
    whole = checkout.invoke("test.run", CACHE_TESTS, "--", "--verbose")
    tests = set(re.findall(r"test_cache\.py::(.+?) +PASSED", whole.stdout))
    assert passed(whole) == len(tests) > 1
    assert set(re.findall(r"(test_\w+)\.py::", whole.stdout)) == {"test_cache"}
    one = min(name for name in tests if name.isidentifier())
    part = checkout.invoke("test.run", CACHE_TESTS, "-k", f"{one} and not elephants", "--", "-v")
    assert passed(part) == sum(one in name for name in tests)
    assert f"::{one} PASSED" in part.stdout


def test_nothing_to_run_is_no_success(checkout: Checkout) -> None:
    done = checkout.invoke("test.run", CACHE_TESTS, "-k", "elephants")
    assert done.status == 5, done.text


def test_coverage_is_a_table(checkout: Checkout) -> None:
    done = checkout.invoke("test.run", CACHE_TESTS, "--cov")
    assert passed(done) > 0
    assert re.search(r"(?m)^api/api/\w+\.py +\d+ +\d+ +\d+%", done.stdout), done.text
    assert re.search(r"(?m)^TOTAL +\d+ +\d+ +\d+%$", done.stdout), done.text


def test_a_kept_stack_is_durable_nowhere_and_the_next_run_starts_afresh(
    dev: Beside, checkout: Checkout
) -> None:
    with one_more_file(checkout, MARKS) as path:
        done = checkout.invoke("test.run", path, "--keep")
        assert passed(done) == 1
        (postgres,) = checkout.containers("test", "postgres")
        assert postgres["State"]["Running"]
        assert not [each for each in postgres["Mounts"] if each["Type"] == "volume"]
        assert "/var/lib/postgresql" in postgres["HostConfig"]["Tmpfs"]
        assert checkout.sql("test", "show fsync") == "off"
        assert checkout.sql("test", "select to_regclass('mark')") == "mark"
        assert checkout.sql("dev", "show fsync") == "on"
        dev.check()
        again = checkout.invoke("test.run", path)
    assert passed(again) == 1, "the second run found the first one's table"
    assert "removing what an earlier run left" in again.stderr
    assert checkout.leftovers("test") == []


#: Passes on a database that no other run has touched.
MARKS = """
import asyncpg
from api.settings import load


def test_marks() -> None:
    import asyncio

    async def mark() -> None:
        settings = load()
        connection = await asyncpg.connect(
            host=settings.postgres_host, port=settings.postgres_port,
            database=settings.postgres_db, user=settings.postgres_user,
            password=settings.postgres_password,
        )
        await connection.execute("create table mark (id int)")
        await connection.close()

    asyncio.run(mark())
"""


HANGS = """
import time


def test_hangs() -> None:
    print("about to hang", flush=True)
    time.sleep(100)
"""


def test_a_sigterm_takes_everything_down_too(checkout: Checkout) -> None:
    with (
        one_more_file(checkout, HANGS) as path,
        checkout.started("test.run", path, "--", "-s") as running,
    ):
        running.says("about to hang")
        running.process.terminate()
        assert running.ended() == 128 + signal.SIGTERM, running.text
    assert "Traceback" not in running.text, running.text
    assert checkout.leftovers("test") == []


@pytest.mark.parametrize("moment", ["$ docker compose", "postgres", "about to hang"])
def test_ctrl_c_takes_everything_down(checkout: Checkout, moment: str) -> None:
    with (
        one_more_file(checkout, HANGS) as path,
        checkout.started("test.run", path, "--", "-s") as running,
    ):
        running.says(moment)
        running.interrupt()
        assert running.ended() == 130, running.text
    assert "Traceback" not in running.text, running.text
    assert checkout.leftovers("test") == []


def test_a_failing_migration_ends_it_before_any_test(checkout: Checkout) -> None:
    with checkout.edited("docker-compose.yml", *A_FAILING_MIGRATION):
        done = checkout.invoke("test.run")
    assert done.status == 2, done.text
    assert "error: migrate did not start" in done.stderr
    assert "test session starts" not in done.stdout
    assert checkout.leftovers("test") == []


def test_development_is_as_it_was(dev: Beside) -> None:
    dev.check()
