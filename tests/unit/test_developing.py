"""The debugger's overlay and settings, and which process a profile is of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gangway.engines import inside
from gangway.engines.interface import Debugger
from gangway.operations import debug, profiling
from gangway.operations.profiling import Process
from gangway.operations.project import Project, opened
from gangway.settings import environment
from tests.unit.conftest import ROOT

MODEL: dict[str, Any] = {
    "api": {"environment": {"RELOAD": "1"}},
    "app": {"environment": {"RELOAD": "true"}},
    "worker": {"environment": {"RELOAD": ""}},
    "frontend": {"environment": {}},
    "redis": {},
}
DOCKER = Debugger("0.0.0.0", "5678", "/opt/debugger", maps_paths=True)
NATIVE = Debugger("127.0.0.1", "${PUBLISHED_DEBUG_PORT:-5678}", "/x/debugger", maps_paths=False)


# ---- debug


def test_what_the_reloader_runs_can_be_debugged() -> None:
    assert debug.debuggable(MODEL) == ["api", "app"]


def test_the_overlay_opens_one_service_on_this_machine_alone() -> None:
    overlay = yaml.safe_load(debug.overlay(debug.DebugOptions("api"), DOCKER))
    assert list(overlay["services"]) == ["api"]
    service = overlay["services"]["api"]
    assert service["ports"] == ["127.0.0.1:${PUBLISHED_DEBUG_PORT:-5678}:5678"]
    assert service["environment"]["DEBUG_HOST"] == "0.0.0.0"
    assert service["environment"]["DEBUG_PORT"] == "5678"
    assert service["environment"]["DEBUG_WAIT"] == "0"


def test_natively_the_program_itself_listens_on_this_machine_alone() -> None:
    overlay = yaml.safe_load(debug.overlay(debug.DebugOptions("api", wait=True), NATIVE))
    assert overlay["services"]["api"]["environment"] == {
        "DEBUG_HOST": "127.0.0.1",
        "DEBUG_PORT": "${PUBLISHED_DEBUG_PORT:-5678}",
        "DEBUG_PATH": "/x/debugger",
        "DEBUG_WAIT": "1",
    }


def test_an_editor_is_told_where_the_sources_are_in_the_container(developing: Project) -> None:
    found = debug.configuration(developing, "api")
    port = int(developing.environment.get("PUBLISHED_DEBUG_PORT"))
    assert found["connect"] == {"host": "127.0.0.1", "port": port}
    mapping = {"localRoot": "${workspaceFolder}/apps/api", "remoteRoot": "/srv/app"}
    assert mapping in found["pathMappings"]
    assert json.dumps(found)


@pytest.fixture
def developing(shell: dict[str, str]) -> Project:
    loaded = environment.load(ROOT, "dev", engine="docker", images="registry", shell=shell)
    return opened(loaded)


def test_only_the_development_stage_has_the_debugger() -> None:
    text = (ROOT / "docker" / "app.Dockerfile").read_text(encoding="utf-8")
    stages = {
        block.splitlines()[0].rpartition(" AS ")[2]: block for block in text.split("\nFROM ")[1:]
    }
    having = {name for name, block in stages.items() if "--from=debugger" in block}
    assert having == {"development"}


# ---- profile

RELOADER = Process(7, 1, 20, python=True)
PROGRAM = Process(30, 7, 90, python=True)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([RELOADER, PROGRAM], 30),
        # The debugger's relay was there before the program.
        ([RELOADER, Process(8, 7, 21, python=True), PROGRAM], 30),
        # The adapter has left, and belongs to nobody.
        ([RELOADER, PROGRAM, Process(40, 1, 95, python=True)], 30),
        # What the program itself has started is recorded with it.
        ([RELOADER, PROGRAM, Process(41, 30, 96, python=True)], 30),
        # A process number that has begun anew: time tells.
        ([RELOADER, Process(3, 7, 99, python=True), Process(31, 7, 50, python=True)], 3),
        # The init, and whoever looks, run no Python.
        ([Process(1, 0, 1, python=False), RELOADER, PROGRAM, Process(50, 0, 99, python=False)], 30),
        ([RELOADER], 7),
        ([Process(1, 0, 1, python=False)], None),
    ],
)
def test_a_profile_is_of_the_program_that_serves(
    others: list[Process], expected: int | None
) -> None:
    assert profiling.program(others) == expected


def test_natively_only_the_services_own_processes_count() -> None:
    mine = [Process(700, 600, 50, python=True), Process(701, 700, 60, python=True)]
    foreign = [Process(5, 1, 1, python=True), Process(6, 5, 99, python=True)]
    assert profiling.program([*foreign, *mine], 700) == 701
    shell = Process(699, 600, 40, python=False)
    wrapped = [shell, Process(700, 699, 50, python=True), Process(701, 700, 60, python=True)]
    assert profiling.program([*foreign, *wrapped], 699) == 701


def test_processes_are_read_from_proc_whatever_they_are_called() -> None:
    zeros = " 0" * 30
    lines = [
        f"7 (python3) S 1 7 7 0 -1 4194560{' 0' * 12} 1234{zeros} /usr/local/bin/python3.13",
        f"9 (a) S (b) S 7 7 7 0 -1 4194560{' 0' * 12} 99{zeros} /usr/bin/sh",
        f"11 (init) S 0 1 1 0 -1 4194560{' 0' * 12} 5{zeros} ",
        "nonsense",
    ]
    assert list(profiling.processes(lines)) == [
        Process(7, 1, 1234, python=True),
        Process(9, 7, 99, python=False),
        Process(11, 0, 5, python=False),
    ]


def test_processes_are_those_of_this_machine() -> None:
    entry = Path("/proc/self")
    line = f"{(entry / 'stat').read_text().strip()} {(entry / 'exe').readlink()}"
    (found,) = profiling.processes([line])
    assert found.python and found.parent > 0 and found.began > 0


def test_only_who_looks_may_look() -> None:
    argv = inside.sidecar("0123", "image", "30", 10)
    assert argv[argv.index("--cap-drop") + 1] == "ALL"
    assert argv[argv.index("--cap-add") + 1] == "SYS_PTRACE"
    assert argv[argv.index("--network") + 1] == "none"
    assert "--privileged" not in argv


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("Error: No stack counts found", "did nothing in that time"),
        ("Error: Permission Denied: Try running again with elevated permissions", "doesn't let"),
        ("sh: 1: /opt/debugger/bin/py-spy: not found", "has no py-spy"),
        ("Error: something else", "something else"),
    ],
)
def test_what_py_spy_says_becomes_one_message(said: str, message: str) -> None:
    assert message in str(profiling.failure(said, "api"))
