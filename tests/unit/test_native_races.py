"""What is said of a native service while its monitor comes, goes, or gives way to the next one.

Each test lets the other side act between two looks, where a scheduler would do it now and then.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gangway.base.errors import GangwayError
from gangway.engines.native import commands, monitor
from gangway.engines.native.processes import Processes, container
from gangway.engines.native.service import Place, Supervised, private, spec, stop
from gangway.engines.native.starting import NativeStart
from gangway.model.model import Model
from tests.support.processes import eventually

#: Ends when the file is there: at once, and well.
WAITS = 'until test -e "$PWD/go"; do sleep 0.01; done'


def wanted(top: Path, program: str, **service: Any) -> dict[str, Any]:
    """Return the spec of a service that runs a shell's program in a folder."""
    place = Place(top, top, (), {"PATH": os.environ["PATH"]})
    asked = {"entrypoint": ["sh", "-c"], "command": [program], **service}
    return {**spec(place, "one", asked), "cwd": str(top), "ports": []}


def begin(service: Supervised, made: dict[str, Any]) -> None:
    service.begun(service.launch(made))
    eventually(lambda: service.read("state.json").get("pid"), "its start")


class Late(Supervised):
    """A service that ends after its state was read, and before anyone asks whether it runs."""

    def runs(self) -> bool:
        (self.folder.parent / "go").touch()
        eventually(lambda: not super(Late, self).runs(), "its end")
        return super().runs()


class Replaced(Supervised):
    """One that ends, and begins anew, between the look at the lock and the next at the state."""

    def runs(self) -> bool:
        if (self.folder.parent / "go").exists():
            return super().runs()
        (self.folder.parent / "go").touch()
        eventually(lambda: not super(Replaced, self).runs(), "its end")
        begin(self, wanted(self.folder.parent, "exec sleep 60"))
        return False


class TestContainer:
    def test_one_that_ends_between_two_looks_is_not_called_killed(self, tmp_path: Path) -> None:
        service = Late(tmp_path / "one")
        begin(service, wanted(tmp_path, WAITS))
        found = container(service)
        assert (found.state, found.exit_code) == ("exited", 0)

    def test_one_that_begins_anew_between_two_looks_is_not_called_killed(
        self, tmp_path: Path
    ) -> None:
        service = Replaced(tmp_path / "one")
        begin(service, wanted(tmp_path, WAITS))
        try:
            found = container(service)
            assert (found.state, found.exit_code) == ("running", 0)
        finally:
            stop([service], at_once=True)

    def test_one_whose_monitor_has_yet_to_come_is_not_called_killed(self, tmp_path: Path) -> None:
        private(tmp_path / "one")
        (tmp_path / "one" / "spec.json").write_text(json.dumps({"ports": [1]}))
        found = container(Supervised(tmp_path / "one"))
        assert (found.state, found.exit_code) == ("created", 0)

    def test_one_that_was_killed_with_its_monitor_is(self, tmp_path: Path) -> None:
        service = Supervised(tmp_path / "one")
        begin(service, wanted(tmp_path, "exec sleep 60"))
        state = service.read("state.json")
        os.kill(state["monitor"], 9)
        with suppress(ProcessLookupError):
            # Where nothing ties its life to the monitor's.
            os.killpg(state["pid"], 9)
        eventually(lambda: not service.runs(), "its end")
        found = container(service)
        assert (found.state, found.exit_code) == ("exited", 137)

    def test_the_list_shows_one_moment_of_each(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service = Late(tmp_path / "one")
        begin(service, wanted(tmp_path, WAITS))
        processes = Processes(tmp_path, "gangway-test")
        monkeypatch.setattr(Processes, "present", lambda _: [service])
        here = cast(commands.Native, SimpleNamespace(services=processes))
        commands.ps(here, cast(Any, None))
        assert "exited with status 0" in capsys.readouterr().out


class TestLock:
    def test_who_looks_at_the_same_time_is_no_service(self, tmp_path: Path) -> None:
        lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
        try:
            # As `runs` has it for a moment.
            fcntl.flock(lock, fcntl.LOCK_SH)
            assert not Supervised(tmp_path).runs()
        finally:
            os.close(lock)

    def test_a_monitor_waits_for_who_only_looks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks, own = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
        try:
            fcntl.flock(looks, fcntl.LOCK_SH)
            monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(looks, fcntl.LOCK_UN))
            assert monitor.locked(own)
            assert Supervised(tmp_path).runs()
        finally:
            os.close(looks)
            os.close(own)

    def test_a_second_monitor_gives_up(self, tmp_path: Path) -> None:
        service = Supervised(tmp_path / "one")
        begin(service, wanted(tmp_path, "exec sleep 60"))
        try:
            second = subprocess.Popen([sys.executable, monitor.__file__, service.folder])
            assert second.wait(20) == 3
            assert container(service).state == "running"
        finally:
            stop([service], at_once=True)


class Quick(subprocess.Popen[bytes]):
    """A monitor that says all it has to say, and ends, just before somebody asks if it has."""

    def poll(self) -> int | None:
        self.communicate(b"\n")
        return self.returncode


@pytest.mark.parametrize("speaks", [True, False])
def test_a_monitor_that_ends_at_once_has_begun_if_it_left_a_word(
    tmp_path: Path, *, speaks: bool
) -> None:
    word = "echo '{}' > state.json" if speaks else ":"
    quick = Quick(["sh", "-c", f"read line; {word}"], cwd=tmp_path, stdin=subprocess.PIPE)
    if speaks:
        Supervised(tmp_path).begun(quick)
    else:
        with pytest.raises(GangwayError, match="ended with status 0"):
            Supervised(tmp_path).begun(quick)


class TestStop:
    def test_a_monitor_that_hears_nothing_yet_is_told_again(self, tmp_path: Path) -> None:
        """It has the lock first, and opens its control pipe then."""
        asked: list[str] = []

        class Deaf(Supervised):
            def order(self, word: str) -> bool:
                asked.append(word)
                return len(asked) > 1 and super().order(word)

            def kill(self) -> None:
                raise AssertionError("it was never told to stop")

        service = Deaf(tmp_path / "one")
        begin(service, wanted(tmp_path, "exec sleep 60", stop_grace_period="0s"))
        stop([service])
        assert asked == ["stop", "stop"]
        assert service.read("state.json")["state"] == "exited"


class TestProbe:
    def test_an_answer_that_comes_too_late_is_no_word_on_the_next_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        check = {"test": ["CMD", "true"], "interval": "1s"}
        made = wanted(tmp_path, "exec sleep 60", healthcheck=check)
        (tmp_path / "spec.json").write_text(json.dumps(made))
        os.mkfifo(tmp_path / "control")
        monkeypatch.chdir(tmp_path)
        watched = monitor.Monitor(str(tmp_path))
        first = cast("subprocess.Popen[bytes]", SimpleNamespace())
        watched.process = first
        watched.tell(state="running", health="starting")

        class Ending:
            """The lock on the state, which the main thread gets first: the run is over."""

            def __enter__(self) -> None:
                if watched.process is first:
                    watched.process = None
                    watched.state |= {"state": "exited", "health": ""}

            def __exit__(self, *_: object) -> None:
                return

        watched.changed = cast(Any, Ending())
        watched.probe(first)
        assert (watched.state["state"], watched.state["health"]) == ("exited", "")


class TestUp:
    """`up` on what an earlier command left under way."""

    @pytest.fixture
    def service(self, tmp_path: Path) -> Iterator[Supervised]:
        service = Supervised(tmp_path / ".gangway" / "native" / "test" / "services" / "one")
        yield service
        stop([service], at_once=True)

    def start(self, top: Path, *, one_shot: bool, program: str) -> NativeStart:
        model: dict[str, Any] = {
            "one": {
                "entrypoint": ["sh", "-c"],
                "command": [program],
                "working_dir": str(top),
                "stop_grace_period": "1s",
            }
        }
        if one_shot:
            model["two"] = {
                "entrypoint": ["true"],
                "depends_on": {"one": {"condition": "service_completed_successfully"}},
            }
        processes = Processes(top, "test")
        place = Place(top, processes.state, (), {"PATH": os.environ["PATH"]})
        made = Model({"name": "test", "services": model})
        return NativeStart(processes, place, made, ["one"])

    def test_one_that_is_on_its_way_out_is_started_again(
        self, tmp_path: Path, service: Supervised
    ) -> None:
        """Ctrl-C in `down`: the monitor goes on with what it was told."""
        ends = f"trap '{WAITS}' TERM; touch up; while :; do sleep 0.01; done"
        start = self.start(tmp_path, one_shot=False, program=ends)
        start.poll()
        eventually((tmp_path / "up").exists, "its start")
        before = service.read("state.json")
        service.order("stop")
        eventually(lambda: service.read("state.json")["state"] == "stopping", "its way out")
        again = self.start(tmp_path, one_shot=False, program=ends)
        again.poll()
        now = service.read("state.json")
        assert now["monitor"] != before["monitor"]

    def test_one_that_is_done_is_so_before_its_monitor_has_gone(
        self, tmp_path: Path, service: Supervised
    ) -> None:
        start = self.start(tmp_path, one_shot=True, program="true")
        start.poll()
        eventually(lambda: service.read("state.json").get("ended"), "its end")
        eventually(lambda: not service.runs(), "its monitor's end")
        before = service.read("state.json")
        # As its monitor has it until the interpreter has ended.
        with (service.folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.start(tmp_path, one_shot=True, program="true").poll()
        assert service.read("state.json") == before
