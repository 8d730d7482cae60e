"""The scheduler's jobs against the real database, and its process."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler.jobs import LOCK, beat, summarise
from scheduler.settings import load

DAY = date(2026, 2, 3)
SETTINGS = load()


@pytest.fixture
def habit(database: Any) -> Any:
    """A habit kept on three days up to the day before."""
    habit = database.value("INSERT INTO habits (name) VALUES ('Read') RETURNING id")
    for days in (1, 2, 3):
        database.execute("INSERT INTO checkins VALUES ($1, $2)", habit, DAY - timedelta(days))
    return habit


def test_a_summary_is_written_once_a_day(database: Any, habit: int, run: Any) -> None:
    assert run(summarise(SETTINGS, DAY)) == 1
    assert run(summarise(SETTINGS, DAY)) == 0
    assert database.rows("SELECT * FROM summaries") == [(DAY, habit, 3, 3)]


def test_a_later_run_on_the_day_brings_it_up_to_date(database: Any, habit: int, run: Any) -> None:
    run(summarise(SETTINGS, DAY))
    database.execute("INSERT INTO checkins VALUES ($1, $2)", habit, DAY)
    assert run(summarise(SETTINGS, DAY)) == 1
    assert database.rows("SELECT * FROM summaries") == [(DAY, habit, 4, 4)]


def test_while_one_scheduler_writes_another_does_not(database: Any, habit: int, run: Any) -> None:
    database.execute(f"SELECT pg_advisory_lock({LOCK})")
    try:
        assert run(summarise(SETTINGS, DAY)) is None
    finally:
        database.execute(f"SELECT pg_advisory_unlock({LOCK})")
    assert database.rows("SELECT * FROM summaries") == []


def test_schedulers_at_the_same_moment_write_each_row_once(
    database: Any, habit: int, run: Any
) -> None:
    async def five() -> list[int | None]:
        return await asyncio.gather(*(summarise(SETTINGS, DAY) for _ in range(5)))

    assert sum(changed or 0 for changed in run(five())) == 1
    assert database.value("SELECT count(*) FROM summaries") == 1


def test_a_beat_is_the_time_in_whole_seconds(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    before = int(time.time())
    beat(file)
    assert before <= int(file.read_text()) <= time.time()
    assert list(tmp_path.iterdir()) == [file]


def start(heartbeat: Path, **env: str) -> "subprocess.Popen[str]":
    """Start a scheduler, and wait for its first beat."""
    process = subprocess.Popen(
        [sys.executable, "-m", "scheduler"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "HEARTBEAT_FILE": str(heartbeat), "LOG_LEVEL": "info", **env},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 10
    while not heartbeat.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert heartbeat.exists(), process.communicate()[1]
    return process


@pytest.mark.parametrize(
    ("env", "says"),
    [({}, "summary of"), ({"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1"}, "next try in")],
)
def test_it_beats_with_or_without_a_database_and_sigterm_ends_it(
    tmp_path: Path, env: dict[str, str], says: str
) -> None:
    process = start(tmp_path / "heartbeat", **env)
    assert process.stderr
    # The line comes after the try: reading up to it is waiting for it.
    for line in process.stderr:
        if says in line:
            break
    sent = time.monotonic()
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=10)[1]
    assert process.returncode == 0, rest
    assert time.monotonic() - sent < 1
    assert "Traceback" not in rest


def test_a_mistake_in_the_settings_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        load({"POSTGRES_PORT": "x"})
    assert stopped.value.code == 2
    assert "POSTGRES_PORT=x" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "form", "as_json"),
    [
        ("production", "", True),
        ("staging", "text", False),
        ("development", "", False),
        ("test", "json", True),
    ],
)
def test_log_format_says_how_it_logs_and_the_environment_where_it_is_silent(
    environment: str, form: str, as_json: bool
) -> None:
    env = {"ENVIRONMENT": environment, "LOG_FORMAT": form, "SECRET_KEY": "x"}
    assert load(env).json_logs is as_json
