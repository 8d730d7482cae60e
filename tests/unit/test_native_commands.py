"""Calls in Compose's words on native services: two of them, of which one needs the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gangway.engines.interface import CannotDo
from gangway.engines.native import commands
from gangway.engines.native.service import private, stop
from gangway.model.model import Model
from gangway.settings.environment import load
from tests.unit.conftest import lock_tools


@pytest.fixture
def here(tmp_path: Path) -> Iterator[commands.Native]:
    lock_tools(tmp_path)
    model: dict[str, Any] = {
        name: {
            "entrypoint": ["sleep"],
            "command": ["60"],
            "working_dir": str(tmp_path),
            "depends_on": {needed: {"condition": "service_started"} for needed in needs},
        }
        for name, needs in (("data", ()), ("user", ("data",)))
    }
    shell = {"PATH": os.environ["PATH"], "COMPOSE_PROJECT_NAME": "test"}
    private(tmp_path / "env" / "engines")
    (tmp_path / "env" / "engines" / "native.env").touch()
    (tmp_path / "env" / "dev.env").write_text("ENVIRONMENT=development\n")
    made = commands.Native(load(tmp_path, "dev", engine="native", shell=shell))
    # As Compose would merge it.
    made.__dict__["model"] = Model({"name": "test", "services": model})
    yield made
    stop(made.services.present(), at_once=True)


def pids(here: commands.Native, *words: str) -> dict[str, int]:
    start = commands.begin(here, words)
    while not start.done() or start.timeline.pending():
        start.poll()
    return {each.name: each.read("state.json")["pid"] for each in here.services.present()}


def test_up_starts_what_does_not_run(here: commands.Native) -> None:
    before = pids(here, "up", "--detach", "data")
    after = pids(here, "up", "--detach", "user")
    assert after == {**before, "user": after["user"]}


@pytest.mark.parametrize(
    "words",
    [
        ("up", "--detach", "--force-recreate", "user"),
        ("up", "--force-recreate", "--no-deps", "user"),
        ("restart", "user"),
    ],
)
def test_what_is_started_again_leaves_what_it_needs(
    here: commands.Native, words: tuple[str, ...]
) -> None:
    before = pids(here, "up")
    after = pids(here, *words)
    assert after["data"] == before["data"] and after["user"] != before["user"]


def test_restart_is_of_all_where_none_is_named(here: commands.Native) -> None:
    before = pids(here, "up")
    after = pids(here, "restart")
    assert not set(before.values()).intersection(after.values())


@pytest.mark.parametrize("words", [("stats",), ("up", "--scale", "user=2"), ("pause",)])
def test_what_it_cannot_do_is_an_error_of_its_own(
    here: commands.Native, words: tuple[str, ...]
) -> None:
    with pytest.raises(CannotDo):
        commands.run(here, words)
