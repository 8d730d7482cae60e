"""Checkouts to try things in, and the real Compose to compare with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gangway.settings.environment import Environment

ROOT = Path(__file__).parents[2]

Checkout = Callable[..., Path]
Render = Callable[[Environment], dict[str, str]]


def compose_programs() -> dict[str, list[str]]:
    """Every Compose on this machine: the engine's plugin, and the one that came with the tests."""
    found: dict[str, list[str]] = {}
    if docker := shutil.which("docker"):
        plugin = [docker, "compose"]
        if subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode == 0:
            found["plugin"] = plugin
    beside = Path(sys.executable).with_name("docker-compose")
    if standalone := shutil.which(beside) or shutil.which("docker-compose"):
        found["standalone"] = [standalone]
    return found


@pytest.fixture(params=["plugin", "standalone"])
def compose(request: pytest.FixtureRequest) -> list[str]:
    """Return the command of a real Compose, one after the other; no engine is needed."""
    found = compose_programs()
    assert found, "no Compose here: install the development requirements"
    if request.param not in found:
        pytest.skip(f"no Compose {request.param} here")
    return found[request.param]


@pytest.fixture
def shell() -> dict[str, str]:
    """Return a shell's variables without any that an environment knows."""
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """Make a checkout from files: `checkout({"env/dev.env": "A=1\\n"})`, ENVIRONMENT added."""

    def make(files: Mapping[str, str | bytes]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = content.encode() if isinstance(content, str) else content
            path.write_bytes(data)
        return tmp_path

    return make


@pytest.fixture
def render(compose: list[str]) -> Render:
    """Return what Compose computes for the variables of an environment."""

    def run(env: Environment) -> dict[str, str]:
        names = {name: f"${{{name}-(unset)}}" for name in env.variables}
        model = {"services": {"probe": {"image": "none", "environment": names}}}
        (env.root / "probe.yml").write_text(json.dumps(model))
        words = env.compose_command("-f", "probe.yml", "config", "--format", "json")
        done = subprocess.run(
            [*compose, *words[2:]],
            cwd=env.root,
            env=env.process_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        computed = json.loads(done.stdout)["services"]["probe"]["environment"]
        # `config` prints a dollar sign so that it can be read again.
        return {name: value.replace("$$", "$") for name, value in computed.items()}

    return run


def lock_tools(root: Path) -> None:
    """Give a checkout what installs libraries, and empty locks of what comes beside them."""
    shutil.copytree(ROOT / "docker" / "locks", root / "docker" / "locks")
    shutil.copy(ROOT / "docker" / "install-dependencies", root / "docker")
    for name in ("debug", "serve", "pytest"):
        (root / "docker" / f"requirements-{name}.txt").touch()
