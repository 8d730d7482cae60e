"""A copy of the checkout, for tests that run what the docs tell people to run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.conftest import ROOT


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the checkout's own files."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


def bash(folder: Path, script: str, seconds: float = 100) -> subprocess.CompletedProcess[str]:
    """Run a script in a copy, where no engine answers; what it prints on stderr is in stdout."""
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(folder),
            "GANGWAY_ENGINE": "docker",
            "DOCKER_HOST": "unix:///nonexistent.sock",
        },
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
    )
