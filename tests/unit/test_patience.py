"""How long a start is waited for: a limit of one's own, or for as long as something happens."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import cast

import pytest

from gangway.engines.container import Container
from gangway.engines.interface import Engine
from gangway.engines.timeline import Timeline, View
from gangway.operations import diagnosis, patience
from gangway.operations.patience import QUIET, REMINDER, Patience

DB = Container("db-1", "db", "running", "starting", 0, frozenset())
MIGRATE = Container("migrate-1", "migrate", "running", "", 0, frozenset())


@dataclass
class Start:
    """A start of two services on a clock that a test turns; the engine says what it is told to."""

    containers: list[Container]
    said: dict[str, str] = field(default_factory=dict)
    now: float = 1000.0
    out: io.StringIO = field(default_factory=io.StringIO)
    name: str = "dev"

    @property
    def environment(self) -> Start:
        """What an engine has."""
        return self

    def wait(self, limit: float = 0.0) -> Patience:
        """Begin to wait for both."""
        timeline = Timeline(["db", "migrate"], probed=["db"], one_shots=["migrate"], began=self.now)
        timeline.settle(self.containers, self.now)
        view = View(timeline, self.out, None)
        return Patience(cast(Engine, self), timeline, view, limit, lambda: self.containers)

    def logs(self, container: Container, lines: int) -> str:
        """Return what a container has said, as an engine does."""
        return "\n".join(self.said.get(container.id, "").splitlines()[-lines:])


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Return a start in which the database gets ready and the migration runs."""
    made = Start([DB, MIGRATE])

    class Clock:
        time = monotonic = staticmethod(lambda: made.now)

    monkeypatch.setattr(patience, "time", Clock)
    monkeypatch.setattr(diagnosis, "show", lambda *_: None)
    return made


def passes(start: Start, waiting: Patience, seconds: float) -> bool:
    """Let so many seconds pass, a second at a time; return whether the wait was over in them."""
    for _ in range(int(seconds)):
        start.now += 1
        if waiting.is_over():
            return True
    return False


def without_probe(start: Start) -> None:
    """Make the database one that is healthy: only the migration is waited for."""
    start.containers = [DB._replace(health="healthy"), MIGRATE]


def test_a_limit_is_kept_whatever_happens(start: Start) -> None:
    waiting = start.wait(20)
    assert not passes(start, waiting, 19)
    waiting.renew()
    assert passes(start, waiting, 1)
    assert "not ready after 20 s: db, migrate" in str(waiting.error())
    assert "--timeout" in str(waiting.error())


def test_who_could_not_start_yet_is_named_apart(start: Start) -> None:
    start.containers = [DB, MIGRATE._replace(state="created")]
    waiting = start.wait(5)
    assert passes(start, waiting, 5)
    assert "not ready after 5 s: db (so migrate had to wait)" in str(waiting.error())


def test_a_start_period_is_waited_for(start: Start) -> None:
    assert not passes(start, start.wait(), 10 * QUIET)


def test_silence_ends_the_wait_for_what_has_no_start_period(start: Start) -> None:
    without_probe(start)
    waiting = start.wait()
    assert not passes(start, waiting, QUIET - REMINDER)
    assert passes(start, waiting, 2 * REMINDER)
    message = str(waiting.error())
    assert f"nothing has happened for {QUIET:g} s: migrate" in message
    assert "invoke dev.up --timeout SECONDS waits longer" in message


def test_a_line_in_the_log_is_something_that_happens(start: Start) -> None:
    without_probe(start)
    waiting = start.wait()
    for number in range(10):
        start.said["migrate-1"] = f"table {number}"
        assert not passes(start, waiting, QUIET - REMINDER)


def test_so_is_a_service_that_gets_on(start: Start) -> None:
    without_probe(start)
    waiting = start.wait()
    assert not passes(start, waiting, QUIET - 1)
    waiting.renew()
    assert not passes(start, waiting, QUIET - 1)


def test_what_is_built_meanwhile_takes_nothing_of_the_limit(start: Start) -> None:
    waiting = start.wait(20)
    start.now += 60
    waiting.restart()
    assert not passes(start, waiting, 19)


def test_now_and_then_the_view_says_what_is_waited_for_and_its_last_words(start: Start) -> None:
    start.said["db-1"] = "first\nrunning 10-dump.sql"
    waiting = start.wait()
    passes(start, waiting, REMINDER - 1)
    assert start.out.getvalue() == ""
    passes(start, waiting, REMINDER)
    assert start.out.getvalue() == (
        "  db       starting for 10 s: running 10-dump.sql\n  migrate  running for 10 s\n"
    )


def test_a_container_of_before_is_neither_a_failure_nor_spoken_of(start: Start) -> None:
    """After a power cut all have ended; Compose starts those that wait for others later."""
    timeline = Timeline(["db", "migrate"], probed=["db"], one_shots=["migrate"], began=start.now)
    start.containers = [DB, MIGRATE._replace(state="exited", exit_code=137)]
    view = View(timeline, start.out, None)
    waiting = Patience(cast(Engine, start), timeline, view, 0.0, lambda: start.containers)
    assert not passes(start, waiting, 2 * QUIET)
    assert timeline.failed() == []
    assert start.out.getvalue() == ""


def test_what_is_ready_is_not_spoken_of(start: Start) -> None:
    without_probe(start)
    passes(start, start.wait(), REMINDER)
    assert "db" not in start.out.getvalue()


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_reminder_is_a_part_of_the_row_and_fits(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    start.out = Terminal()
    start.said["db-1"] = "a line that is longer than the terminal is wide, by far and more\x1b[2J"
    passes(start, start.wait(), REMINDER)
    rows = start.out.getvalue().split("\x1b[2A")[-1].split("\n")
    assert "starting for 10 s: a line" in rows[0]
    assert all(len(row.removeprefix("\r\x1b[2K")) < 60 for row in rows)
