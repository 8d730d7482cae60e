"""Which Compose is there, and when it is asked again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gangway.base.process import Runner
from gangway.model.compose_version import installed


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A `docker` with a plugin in the user's own folder; `calls` has a line for each call."""
    install(tmp_path, "2.26.1")
    plugins = tmp_path / "home/.docker/cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-compose").write_text("plugin")
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return Runner(tmp_path, {"PATH": path, "HOME": str(tmp_path / "home")})


def install(folder: Path, version: str) -> None:
    """Put a `docker` there that says this version, or has no Compose where that is empty."""
    program = folder / "bin/docker"
    program.parent.mkdir(exist_ok=True)
    answer = f"echo {version}" if version else "exit 1"
    program.write_text(f"#!/bin/sh\necho asked >>'{folder}/calls'\n{answer}\n")
    program.chmod(0o755)


def asked(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


def test_the_same_installation_is_asked_once(runner: Runner, tmp_path: Path) -> None:
    assert [installed(runner), installed(runner)] == ["2.26.1", "2.26.1"]
    assert asked(tmp_path) == 1


def test_another_docker_is_asked_anew(runner: Runner, tmp_path: Path) -> None:
    installed(runner)
    install(tmp_path, "2.9.10")
    assert installed(runner) == "2.9.10"


def test_another_plugin_is_asked_anew(runner: Runner, tmp_path: Path) -> None:
    installed(runner)
    (tmp_path / "home/.docker/cli-plugins/docker-compose").write_text("another plugin")
    installed(runner)
    assert asked(tmp_path) == 2


def test_a_docker_without_compose_is_asked_each_time(runner: Runner, tmp_path: Path) -> None:
    install(tmp_path, "")
    assert [installed(runner), installed(runner)] == ["", ""]
    assert asked(tmp_path) == 2


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"installation": 1}'])
def test_what_was_kept_badly_is_asked_again(runner: Runner, tmp_path: Path, text: str) -> None:
    installed(runner)
    (tmp_path / ".gangway/compose.json").write_text(text)
    assert installed(runner) == "2.26.1"
    assert asked(tmp_path) == 2


def test_a_folder_that_cannot_be_written_only_costs_time(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / ".gangway").write_text("a file where the folder belongs")
    assert [installed(runner), installed(runner)] == ["2.26.1", "2.26.1"]
    assert asked(tmp_path) == 2
