"""Which Compose is there, and when it is asked again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gangway.base.process import Runner
from gangway.model.compose_version import installed


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A `docker` with a plugin in the user's own folder; `calls` has a line for each call."""
    install(tmp_path, "2.26.1")
    plugin(tmp_path / "home/.docker/cli-plugins", "plugin")
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return Runner(tmp_path, {"PATH": path, "HOME": str(tmp_path / "home")})


def install(folder: Path, version: str) -> None:
    """Put a `docker` there that says this version, or has no Compose where that is empty."""
    program = folder / "bin/docker"
    program.parent.mkdir(exist_ok=True)
    answer = f"echo {version}" if version else "exit 1"
    program.write_text(f"#!/bin/sh\necho asked >>'{folder}/calls'\n{answer}\n")
    program.chmod(0o755)


def plugin(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "docker-compose").write_text(text)


def asked(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


def test_the_same_installation_is_asked_once(runner: Runner, tmp_path: Path) -> None:
    assert [installed(runner), installed(runner)] == ["2.26.1", "2.26.1"]
    assert asked(tmp_path) == 1


def test_another_docker_with_the_same_plugin_gives_the_same_answer(
    runner: Runner, tmp_path: Path
) -> None:
    installed(runner)
    install(tmp_path, "2.26.1")
    assert installed(runner) == "2.26.1"
    assert asked(tmp_path) == 1


def test_another_plugin_is_asked_anew(runner: Runner, tmp_path: Path) -> None:
    installed(runner)
    plugin(tmp_path / "home/.docker/cli-plugins", "another plugin")
    installed(runner)
    assert asked(tmp_path) == 2


def test_so_is_one_in_a_folder_that_docker_is_told_of(runner: Runner, tmp_path: Path) -> None:
    config = tmp_path / "home/.docker/config.json"
    config.write_text(json.dumps({"cliPluginsExtraDirs": [str(tmp_path / "more")]}))
    installed(runner)
    plugin(tmp_path / "more", "another plugin")
    installed(runner)
    assert asked(tmp_path) == 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"cliPluginsExtraDirs": null}'])
def test_a_configuration_that_names_no_folder_is_none(
    runner: Runner, tmp_path: Path, text: str
) -> None:
    (tmp_path / "home/.docker/config.json").write_text(text)
    assert [installed(runner), installed(runner)] == ["2.26.1", "2.26.1"]
    assert asked(tmp_path) == 1


def test_a_docker_without_compose_is_asked_each_time(runner: Runner, tmp_path: Path) -> None:
    install(tmp_path, "")
    assert [installed(runner), installed(runner)] == ["", ""]
    assert asked(tmp_path) == 2
