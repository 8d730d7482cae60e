"""docker/build-step: an app's own command while its image is built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "docker" / "build-step"


def step(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", PROGRAM], cwd=folder,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    return done.stderr.splitlines()[-1].removeprefix("build-step: ")


def test_it_runs_in_the_working_directory_with_variables_and_folders_of_its_own(
    tmp_path: Path,
) -> None:
    for name in ("web", "lib"):
        (tmp_path / name).mkdir()
    (tmp_path / "lib" / "beside.py").write_text("NAME = 'beside'\n")
    (tmp_path / "web" / "own.py").write_text("from beside import NAME\n")
    code = "import os, own; print(own.NAME, os.getcwd(), os.environ['KEY'], file=open('out', 'w'))"
    done = step(
        tmp_path, WORKDIR_IN_APP="web", PYTHONPATH_IN_APP="../lib",
        BUILD_COMMAND=f'python -c "{code}"', BUILD_ENV="KEY='a b' OTHER=x",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "web" / "out").read_text() == f"beside {tmp_path}/web a b\n"
    assert not list(tmp_path.rglob("__pycache__"))


def test_without_a_command_nothing_is_run(tmp_path: Path) -> None:
    assert step(tmp_path, WORKDIR_IN_APP="web").returncode == 0
    assert list((tmp_path / "web").iterdir()) == []


def test_what_built_the_assets_is_there_for_it_and_then_gone(tmp_path: Path) -> None:
    (tmp_path / "web" / "node_modules").mkdir(parents=True)
    done = step(tmp_path, ASSETS="web", BUILD_COMMAND="test -d web/node_modules")
    assert done.returncode == 0 and not (tmp_path / "web" / "node_modules").exists()


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"BUILD_COMMAND": "sh -c 'echo why; exit 3'"}, "API_BUILD_COMMAND ended with 3: sh -c"),
        ({"BUILD_COMMAND": "sh -c 'x"}, "API_BUILD_COMMAND has a quote that is not closed: sh -c"),
        ({"BUILD_COMMAND": "nowhere"}, "cannot run nowhere: No such file"),
        ({"BUILD_COMMAND": "true", "BUILD_ENV": "KEY"}, "API_BUILD_ENV has KEY, which is not NAME"),
        ({"STATIC": "static"}, "API_STATIC=static: the build step left no "),
    ],
)
def test_what_is_wrong_is_one_message_with_its_variable(
    tmp_path: Path, variables: dict[str, str], says: str
) -> None:
    assert refusal(step(tmp_path, **variables)).startswith(says)
