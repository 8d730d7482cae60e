"""A starting stack, told from the engine's events and its own account."""

from __future__ import annotations

import io
import json

from gangway.engines.container import Container
from gangway.engines.timeline import Event, Timeline, View, parse


def timeline() -> Timeline:
    return Timeline(
        ["db", "migrate", "api"], probed=["db", "api"], one_shots=["migrate"], began=100.0
    )


def happen(line: Timeline, *events: tuple[str, str, float]) -> None:
    for service, action, at in events:
        line.feed(Event(service, f"{service}-1", action, at))


def container(service: str, state: str, health: str = "", exit_code: int = 0) -> Container:
    return Container(f"{service}-1", service, state, health, exit_code, frozenset())


def raw(action: str, service: str = "api", **attributes: str) -> str:
    labels = {"com.docker.compose.service": service, **attributes}
    actor = {"ID": "abc", "Attributes": labels}
    return json.dumps({"Action": action, "Actor": actor, "timeNano": 5_500_000_000})


def test_an_event_is_read_from_the_engines_json() -> None:
    assert parse(raw("health_status: healthy")) == Event("api", "abc", "healthy", 5.5)
    assert parse(raw("die", exitCode="3")) == Event("api", "abc", "die", 5.5, 3)


def test_what_says_nothing_of_a_start_is_passed_over() -> None:
    one_off = {"com.docker.compose.oneoff": "True"}
    for line in (raw("exec_create: ls"), raw("start", **one_off), "not json", "{}"):
        assert parse(line) is None


def test_a_service_is_ready_when_healthy_and_a_one_shot_when_it_ended_well() -> None:
    line = timeline()
    happen(line, ("db", "create", 100.1), ("db", "start", 100.2), ("db", "healthy", 101.0))
    assert line.ready("db")
    assert line.pending() == ["migrate", "api"]
    happen(
        line, ("migrate", "create", 101.0), ("migrate", "start", 101.0), ("migrate", "die", 101.5)
    )
    assert line.ready("migrate")
    assert line.row("db") == "created 0.1 s · started 0.2 s · healthy 1.0 s"


def test_an_exit_with_a_status_is_a_failure_that_is_shown() -> None:
    line = timeline()
    happen(line, ("migrate", "create", 101.0), ("migrate", "start", 101.0))
    line.feed(Event("migrate", "migrate-1", "die", 102.0, 3))
    assert line.failed() == ["migrate"]
    assert line.row("migrate").endswith("failed 2.0 s (exit status 3)")


def test_a_long_running_service_that_ends_failed_even_with_status_0() -> None:
    line = timeline()
    happen(line, ("api", "create", 101.0), ("api", "start", 101.0), ("api", "die", 102.0))
    assert line.failed() == ["api"]


def test_the_end_of_a_container_that_is_replaced_is_no_failure() -> None:
    line = timeline()
    line.feed(Event("api", "old", "die", 100.5, 143))
    line.feed(Event("api", "old", "destroy", 100.6))
    assert line.failed() == []


def test_the_engines_account_corrects_what_no_event_told() -> None:
    line = timeline()
    line.settle([container("db", "running", "healthy"), container("migrate", "exited")], 103.0)
    assert line.ready("db")
    assert line.ready("migrate")
    line.settle([container("db", "running", "unhealthy")], 104.0)
    assert line.failed() == ["db"]
    assert line.state("migrate") == "waiting"


def test_a_service_of_several_containers_is_ready_with_the_last_one() -> None:
    line = timeline()
    for number, action in ((1, "start"), (2, "start"), (1, "healthy")):
        line.feed(Event("api", f"api-{number}", action, 100.0 + number))
    assert not line.ready("api")
    assert "1 of 2 ready" in line.row("api")
    line.feed(Event("api", "api-2", "healthy", 104.0))
    assert line.ready("api")


def test_without_a_terminal_a_finished_service_is_one_plain_line() -> None:
    line, out = timeline(), io.StringIO()
    view = View(line, out, None)
    happen(line, ("db", "create", 100.1), ("db", "start", 100.2))
    view.update()
    assert out.getvalue() == ""
    happen(line, ("db", "healthy", 101.0))
    view.update()
    view.update()
    assert out.getvalue() == "  db       created 0.1 s · started 0.2 s · healthy 1.0 s\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_rows_are_redrawn_in_place() -> None:
    line, out = timeline(), Terminal()
    view = View(line, out, {"healthy": "\x1b[32m"})
    view.update()
    happen(line, ("db", "create", 100.0), ("db", "start", 100.0), ("db", "healthy", 101.0))
    view.update()
    first, second = out.getvalue().split("\x1b[3A")
    assert first.count("\n") == second.count("\n") == 3
    assert "\x1b[32mcreated" in second
