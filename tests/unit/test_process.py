"""Running programs, and what Ctrl-C does meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gangway.base.process import Ended, Runner, interrupts_later, told_to_end

#: Starts another process, writes down both and sends its parent a signal. Arguments: a file, the
#: signal, whether it ends when it is interrupted.
STAYS = """
import os, pathlib, signal, subprocess, sys, time

if sys.argv[3] == "deaf":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
other = subprocess.Popen(["sleep", "60"])
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {other.pid}")
os.kill(os.getppid(), int(sys.argv[2]))
time.sleep(60)
"""


def test_a_ctrl_c_waits_for_the_end_of_what_must_not_be_broken_off() -> None:
    done = []

    def work() -> None:
        with interrupts_later():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["the rest of the block"]


#: Presses Ctrl-C for whoever runs it, as a terminal does for all of a group, and goes on.
PRESSES = """
import os, signal

os.killpg(os.getpgid(os.getppid()), signal.SIGINT)
"""
#: Runs a program in one of Runner's ways while Ctrl-C is held, and writes its status to a file.
HOLDS = """
import os, pathlib, sys
from gangway.base.process import Runner, interrupts_later

with interrupts_later():
    done = getattr(Runner(pathlib.Path.cwd(), os.environ), sys.argv[1])(sys.argv[3:])
    status = getattr(done, "status", done)
    pathlib.Path(sys.argv[2]).write_text(str(status[0] if isinstance(status, tuple) else status))
"""


@pytest.mark.parametrize("way", ["capture", "pipe", "run"])
def test_nor_does_it_reach_the_programs_that_are_run_meanwhile(tmp_path: Path, way: str) -> None:
    status = tmp_path / "status"
    program = [sys.executable, "-c", PRESSES]
    done = subprocess.run(
        [sys.executable, "-c", HOLDS, way, str(status), *program],
        start_new_session=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGINT, done.stderr
    assert status.read_text() == "0"


def test_ctrl_c_works_as_before_after_it() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts_later():
        pass
    assert signal.getsignal(signal.SIGINT) is before


#: Sends its parent two signals, as `timeout` does, and says how it was ended itself.
IS_ENDED = """
import os, pathlib, signal, sys, time

def end(number, _):
    pathlib.Path(sys.argv[1]).write_text(signal.Signals(number).name)
    raise SystemExit(7)

signal.signal(signal.SIGTERM, end)
for _ in range(2):
    os.kill(os.getppid(), int(sys.argv[2]))
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_us_goes_on_to_the_program(
    number: signal.Signals, tmp_path: Path
) -> None:
    file = tmp_path / "signal"
    words = [sys.executable, "-c", IS_ENDED, str(file), str(int(number))]
    before = signal.getsignal(number)
    with pytest.raises(Ended) as ended, told_to_end():
        Runner(tmp_path, os.environ).run(words)
    assert ended.value.status == 128 + number
    assert file.read_text() == "SIGTERM"
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("hearing", ["hears", "deaf"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_stays_until_it_is_interrupted_ends_with_all_it_started(
    number: signal.Signals, hearing: str, tmp_path: Path
) -> None:
    file = tmp_path / "processes"
    before = [signal.getsignal(each) for each in signal.valid_signals()]
    with pytest.raises(KeyboardInterrupt):
        Runner(tmp_path, os.environ).stay(
            [sys.executable, "-c", STAYS, str(file), str(int(number)), hearing], patience=0.5
        )
    for process in file.read_text().split():
        eventually_gone(int(process))
    assert [signal.getsignal(each) for each in signal.valid_signals()] == before


def eventually_gone(process: int) -> None:
    """Return once there is no such process: an orphan's end is for another to take note of."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {process} is still there")


def test_what_ends_by_itself_has_its_status(tmp_path: Path) -> None:
    runner = Runner(tmp_path, os.environ)
    assert runner.stay([sys.executable, "-c", "raise SystemExit(3)"], patience=1) == 3


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    hangs_up = "import os, signal; os.kill(os.getppid(), signal.SIGHUP); raise SystemExit(3)"
    try:
        assert Runner(tmp_path, os.environ).stay([sys.executable, "-c", hangs_up], patience=1) == 3
    finally:
        signal.signal(signal.SIGHUP, before)
