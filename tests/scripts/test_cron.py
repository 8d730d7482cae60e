"""Commands run when their lines say, one at a time, and are told of in the log."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import pytest

from tests.scripts.conftest import SCRIPTS, Environment, Script
from tests.support.processes import Running, eventually, running

THURSDAY = datetime(2026, 11, 26, 8, 30)  # noqa: DTZ001  # a wall clock's


@pytest.fixture(scope="module")
def cron() -> ModuleType:
    """Load the script as a module."""
    loader = SourceFileLoader("cron", str(SCRIPTS / "cron"))
    spec = spec_from_loader("cron", loader)
    assert spec
    module = sys.modules["cron"] = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("fields", "following"),
    [
        ("* * * * *", "2026-11-26 08:31"),
        ("*/15 * * * *", "2026-11-26 08:45"),
        ("30 8 * * *", "2026-11-27 08:30"),
        ("0 9-17/4 * * *", "2026-11-26 09:00"),
        ("5,35 8,20 * * *", "2026-11-26 08:35"),
        ("10/20 * * * *", "2026-11-26 08:50"),
        ("0 0 1 * *", "2026-12-01 00:00"),
        ("0 0 * * 0", "2026-11-29 00:00"),
        ("0 0 * * 7", "2026-11-29 00:00"),
        ("0 0 * * sat,SUN", "2026-11-28 00:00"),
        ("0 0 * * 5-7", "2026-11-27 00:00"),
        ("0 0 * * Mon-Wed", "2026-11-30 00:00"),
        ("0 0 31 * *", "2026-12-31 00:00"),
        ("0 0 1 jan-mar *", "2027-01-01 00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        # Either kind of day, where both are restricted; a step of all is no restriction.
        ("0 0 13 * 1", "2026-11-30 00:00"),
        ("0 0 */2 * 5", "2026-11-27 00:00"),
        ("@hourly", "2026-11-26 09:00"),
        ("@daily", "2026-11-27 00:00"),
        ("@Midnight", "2026-11-27 00:00"),
        ("@weekly", "2026-11-29 00:00"),
        ("@monthly", "2026-12-01 00:00"),
        ("@yearly", "2027-01-01 00:00"),
        ("@annually", "2027-01-01 00:00"),
    ],
)
def test_fields_name_minutes_as_cron_s_do(cron: ModuleType, fields: str, following: str) -> None:
    schedule = cron.Schedule.parse(fields)
    assert f"{schedule.following(THURSDAY):%Y-%m-%d %H:%M}" == following


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("0 3 * * * a b", [["a", "b"]]),
        ("\n # don't; mind\n0 3 * * *\ta 'b; c'\n\n@daily d\n", [["a", "b; c"], ["d"]]),
        (
            "@daily a \"x; 'y\" z\\;;@hourly sh -c 'b; c'",
            [["a", "x; 'y", "z;"], ["sh", "-c", "b; c"]],
        ),
        ("@daily echo $HOME * 100%", [["echo", "$HOME", "*", "100%"]]),
    ],
)
def test_lines_end_at_a_newline_or_a_semicolon(
    cron: ModuleType, text: str, lines: list[list[str]]
) -> None:
    assert [list(line.command) for line in cron.parse(text, THURSDAY)] == lines


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("60 * * * * x", "60 is not a minute: 0 to 59"),
        ("* 24 * * * x", "24 is not an hour: 0 to 23"),
        ("* * 0 * * x", "0 is not a day of the month: 1 to 31"),
        ("* * * foo * x", "foo is not a month: 1 to 12"),
        ("* * * * 8 x", "8 is not a day of the week: 0 to 7"),
        ("1, * * * * x", "1, is not a minute"),
        ("5-1 * * * * x", "5-1 goes backwards"),
        ("*/0 * * * * x", "*/0 has no step"),
        ("*/x * * * * x", "*/x has no step"),
        ("0 0 30 2 * x", "there is no such day"),
        ("* * * * x", "five fields and a command"),
        ("@daily", "five fields and a command"),
        ("@reboot x", "@reboot is none of @hourly, @daily"),
        ("@daily echo 'x", "a quote is not closed"),
        ("", "there is no line"),
        (" # all of it;\n", "there is no line"),
    ],
)
def test_a_line_that_is_wrong_is_told_before_anything_runs(
    script: Script, line: str, said: str
) -> None:
    done = script("python3", SCRIPTS / "cron", line, seconds=10)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_all_lines_that_are_wrong_are_told_at_once(script: Script) -> None:
    lines = "60 * * * * first; @daily fine\n* * * * 9 second"
    done = script("serve", APP_INTERFACE="cron", APP_TARGET=lines)
    assert done.status == 2
    assert done.err.splitlines() == [
        'cron: 60 is not a minute: 0 to 59; look at the line "60 * * * * first"',
        'cron: 9 is not a day of the week: 0 to 7; look at the line "* * * * 9 second"',
    ]


def test_a_time_zone_that_is_not_known_is_told(script: Script) -> None:
    done = script("serve", APP_INTERFACE="cron", APP_TARGET="@daily x", TZ="Europe/Berln")
    assert done.status == 2
    assert done.err.startswith("cron: TZ=Europe/Berln is no time zone")


# -- when the clocks change -----------------------------------------------------------------------


def a_night(cron: ModuleType, fields: str, day: tuple[int, int, int], zone: str) -> list[str]:
    """Return the times on a wall clock at which a line runs in the twelve hours from midnight."""
    schedule, place = cron.Schedule.parse(fields), ZoneInfo(zone)
    begin = datetime(*day, tzinfo=place).timestamp()
    found, mark = [], datetime(*day) - timedelta(minutes=1)  # noqa: DTZ001
    for minute in range(12 * 60):
        now = datetime.fromtimestamp(begin + 60 * minute, place).replace(tzinfo=None)
        if schedule.due(mark, now):
            found.append(f"{now:%H:%M}")
        mark = max(mark, now)
    return found


FORWARD, BACK = (2026, 3, 29), (2026, 10, 25)


@pytest.mark.parametrize(
    ("fields", "day", "times"),
    [
        # 02:00 becomes 03:00, and what is between runs then.
        ("30 2 * * *", FORWARD, ["03:00"]),
        ("0 2,3 * * *", FORWARD, ["03:00"]),
        ("30 1,4 * * *", FORWARD, ["01:30", "04:30"]),
        ("30 * * * *", FORWARD, ["00:30", "01:30", *(f"{hour:02}:30" for hour in range(3, 13))]),
        # 03:00 becomes 02:00, and what is between runs once, but as often in an hour as ever.
        ("30 2 * * *", BACK, ["02:30"]),
        ("0 3 * * *", BACK, ["03:00"]),
        ("0 * * * *", BACK, [f"{hour:02}:00" for hour in (0, 1, 2, *range(2, 11))]),
    ],
)  # fmt: skip
def test_when_the_clocks_change_each_runs_as_often_as_it_says(
    cron: ModuleType, fields: str, day: tuple[int, int, int], times: list[str]
) -> None:
    assert a_night(cron, fields, day, "Europe/Berlin") == times


@pytest.mark.parametrize(
    ("fields", "minutes", "runs"),
    [
        ("30 8 * * *", 3, True), ("*/5 * * * *", 3, True), ("30 8 * * *", 170, True),
        ("*/5 * * * *", 172, False), ("30 8 * * *", 700, False),
    ],
)  # fmt: skip
def test_what_a_machine_that_slept_has_missed_is_done_if_it_was_not_long(
    cron: ModuleType, fields: str, minutes: int, runs: bool
) -> None:
    mark = THURSDAY - timedelta(minutes=1)
    due = cron.Schedule.parse(fields).due(mark, mark + timedelta(minutes=minutes))
    assert due is runs


# -- for real -------------------------------------------------------------------------------------


def program(text: str) -> str:
    """Return a Python command for a line; a semicolon in it is quoted."""
    return f'python -c "{text}"'


@contextmanager
def serving(env: Environment, folder: Path, *lines: str, **variables: str) -> Iterator[Running]:
    """Serve lines."""
    given = {"APP_INTERFACE": "cron", "APP_TARGET": "\n".join(lines), "TMPDIR": str(folder)}
    with running(["entrypoint", "serve"], env={**env, **given, **variables}, cwd=folder) as process:
        yield process


@pytest.fixture
def just_before() -> None:
    """Wait until it is not the last seconds of a minute: a test needs a whole one."""
    if time.time() % 60 > 50:
        time.sleep(61 - time.time() % 60)


@pytest.mark.timeout(240)
def test_lines_run_in_their_minute_and_are_told_of(
    env: Environment, script: Script, tmp_path: Path
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "own.py").write_text("print('read', __import__('os').environ['KEY'])\n")
    (tmp_path / "key").write_text("a key\n")
    # A module of the app's own doesn't stand in the way.
    (tmp_path / "signal.py").write_text("1 / 0\n")
    lines = [
        "* * * * * python -m own",
        f"* * * * * {program('import sys; print(1); print(2, file=sys.stderr); sys.exit(3)')}",
        "* * * * * no-such-program",
        "* * * * * sh -c 'kill -9 $$'",
        "* * * * * sh -c 'echo long; sleep 63; echo over'",
        "* * * * * sh -c 'sleep 70 & echo left'",
        "0 0 29 2 * echo not today",
    ]
    reads = {"APP_READS": "KEY", "KEY_FILE": "key", "APP_PYTHONPATH": "src", "RELOAD": "1"}
    with serving(env, tmp_path, *lines, **reads) as process:
        process.says("cron: python -m own: next at ")
        assert script("healthcheck", "heartbeat", "2", TMPDIR=str(tmp_path)).status == 0
        for text in (
            "python -m own: read a key\n", "cron: python -m own: ended with status 0 after ",
            ": 1\n", ": 2\n", "ended with status 3 after ",
            "cron: no-such-program: cannot run no-such-program: No such file or directory\n",
            "killed by signal 9 after ",
            "cron: sh -c 'sleep 70 & echo left': ended with status 0",
            "cron: sh -c 'echo long; sleep 63; echo over': still runs; not started again",
            "sh -c 'echo long; sleep 63; echo over': over\n",
        ):  # fmt: skip
            process.says(text, 150)
        assert script("healthcheck", "heartbeat", "2", TMPDIR=str(tmp_path)).status == 0
        assert "not today" not in process.log.replace(
            "cron: echo not today: next at 2028-02-29", ""
        )
        assert process.log.index("own: read a key") < process.log.index("own: ended with status 0")
        assert process.log.count("python -m own: read a key") == process.log.count("own: started")
        process.signal(signal.SIGSTOP)
        eventually(
            lambda: script("healthcheck", "heartbeat", "2", TMPDIR=str(tmp_path)).status, "a hang"
        )
        process.signal(signal.SIGCONT)
        process.signal()
        assert process.ends(15) == 0, process.log


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("just_before")
def test_what_runs_may_end_in_its_time_and_no_later(env: Environment, tmp_path: Path) -> None:
    polite = "* * * * * sh -c 'echo a; sleep 2; echo came to its end'"
    stubborn = (
        f"* * * * * {program('import signal,time; signal.signal(15, print); print(0, flush=True)')}"
    ).replace('0, flush=True)"', "'b', flush=True); time.sleep(99)\"")
    with (
        serving(env, tmp_path, polite, GRACEFUL_SECONDS="6") as first,
        serving(env, tmp_path, stubborn, GRACEFUL_SECONDS="1") as second,
    ):
        first.says(": a\n", 70)
        second.says(": b\n", 70)
        for process in (first, second):
            process.signal()
        assert first.ends() == second.ends() == 0
        assert "came to its end\ncron: " in first.log
        assert "has 6 s to end" in first.log
        assert "killed by signal 9 after" in second.log
        left = subprocess.run(
            ["pgrep", "-f", r"time\.sleep\(99\)"], capture_output=True, check=False
        )
        assert left.stdout == b"", os.getpid()


@pytest.mark.usefixtures("just_before")
def test_what_falls_between_an_end_and_a_start_is_made_up_for_once(
    env: Environment, tmp_path: Path
) -> None:
    def starts() -> str:
        with serving(env, tmp_path, "* * * * * echo made up for") as process:
            process.says("next at ")
            time.sleep(1.5)
            process.signal()
            assert process.ends(1) == 0, process.log
            return process.log

    assert "started" not in starts()
    [kept] = tmp_path.glob("cron-*")
    last = datetime.fromisoformat(kept.read_text())
    kept.write_text((last - timedelta(minutes=2)).isoformat())
    assert starts().count(": started") == 1
    assert "started" not in starts()
    kept.write_text((last - timedelta(minutes=20)).isoformat())
    log = starts()
    assert "is left out" in log
    assert ": started" not in log
