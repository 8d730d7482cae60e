"""The package: built, installed into an empty environment, used in a repository of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gangway import __version__

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def run(*words: str | Path, cwd: Path) -> str:
    """Run a program without this checkout on its path; return what it printed."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel and what it asks for; return the environment's folder of programs."""
    top = tmp_path_factory.mktemp("package")
    # Without a developer's own files, and with one that must not be in it.
    source = top / "source"
    ignored = shutil.ignore_patterns(".[!d]*", "node_modules", "docs", "benchmarks")
    shutil.copytree(ROOT, source, ignore=ignored)
    (source / "env" / "local.env").write_text("LOG_LEVEL=debug\n")
    (source / "secrets" / "prod").mkdir(exist_ok=True)
    (source / "secrets" / "prod" / "secret_key").write_text("personal\n")
    run(UV, "build", "--quiet", "--wheel", "--out-dir", top, source, cwd=top)
    (wheel,) = top.glob("*.whl")
    run(UV, "venv", "--quiet", "--python", sys.executable, top / "venv", cwd=top)
    python = top / "venv" / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--python", python, wheel, cwd=top)
    return python.parent


@pytest.fixture(scope="module")
def repository(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that begins with what the wheel brings."""
    folder = tmp_path_factory.mktemp("theirs")
    run(programs / "gangway", "new", "shop", "--no-commit", cwd=folder)
    return folder / "shop"


@pytest.mark.parametrize("words", [["gangway"], ["python", "-m", "gangway"]], ids=" ".join)
def test_it_says_its_version(programs: Path, words: list[str]) -> None:
    program, *rest = words
    said = run(programs / program, *rest, "--version", cwd=programs)
    assert said == f"gangway {__version__}\n"


def test_it_is_typed(programs: Path) -> None:
    where = "import gangway; print(gangway.__path__[0])"
    package = Path(run(programs / "python", "-c", where, cwd=programs).strip())
    assert (package / "py.typed").exists()


def test_its_tasks_are_there_in_a_repository_of_ones_own(programs: Path, repository: Path) -> None:
    assert not (repository / "gangway").exists()
    assert not (repository / "env" / "local.env").exists()
    assert not (repository / "secrets" / "prod").exists()
    listed = run(programs / "invoke", "--list", cwd=repository)
    assert "up [services" in listed and "test.run" in listed
    planned = run(programs / "invoke", "dev.up", "--dry-run", "--engine", "docker", cwd=repository)
    assert planned.rstrip().endswith("up --detach")
