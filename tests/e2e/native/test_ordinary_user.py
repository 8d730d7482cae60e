"""The same for who isn't root, with a Python and a checkout of their own."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeNative
from tests.e2e.native.checkout import NativeCheckout, ordinary
from tests.e2e.native.support import TESTS, comes_back, quiet, serves
from tests.e2e.support import eventually


@pytest.fixture(scope="module")
def theirs(make_native: MakeNative) -> NativeCheckout:
    """Return an ordinary user's checkout, up."""
    if os.getuid() != 0:
        pytest.skip("the other tests are an ordinary user's already")
    made = make_native("plain", ordinary())
    made.succeed("dev.up", "--ports", "auto")
    return made


class TestOrdinaryUser:
    def test_everything_is_theirs(self, theirs: NativeCheckout) -> None:
        assert theirs.healthy()
        uids = {Path(f"/proc/{pid}").stat().st_uid for pid in theirs.processes()}
        assert uids == {theirs.user.uid}
        paths = [theirs.root / ".gangway", *(theirs.root / ".gangway").rglob("*")]
        assert {path.lstat().st_uid for path in paths if path.exists()} == {theirs.user.uid}

    def test_requests_are_served(self, theirs: NativeCheckout) -> None:
        urls = theirs.urls("dev")
        assert serves(f"{urls['api']}/ready", '"postgres":"ok"')
        assert serves(urls["app"], "Write to a friend")

    def test_a_killed_database_comes_back_with_its_rows(self, theirs: NativeCheckout) -> None:
        theirs.sql("dev", "insert into habits (name) values ('Theirs')")
        pid, _ = theirs.pids()["postgres"]
        theirs.kill(pid)
        comes_back(theirs, "postgres", pid)
        assert theirs.sql("dev", "select 1 from habits where name = 'Theirs'") == "1"

    def test_a_killed_monitor_takes_its_service_down(self, theirs: NativeCheckout) -> None:
        theirs.kill(theirs.pids()["postgres"][1])
        eventually(lambda: not theirs.held("postgres"), within=10)
        theirs.succeed("dev.up")
        assert theirs.sql("dev", "select 1 from habits where name = 'Theirs'") == "1"

    def test_the_tests_pass(self, theirs: NativeCheckout) -> None:
        done = quiet(theirs.succeed("test.run", "--engine", "native", TESTS))
        assert re.search(r"\d+ passed", done.stdout), done.text

    def test_nothing_is_left_after_down(self, theirs: NativeCheckout) -> None:
        quiet(theirs.succeed("dev.down", "--volumes", "--yes"))
        assert theirs.processes() == {}
        assert not (theirs.state() / "volumes").exists()
