"""pytest that starts early and waits at a gate."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scripts.conftest import SCRIPTS, Environment
from tests.support.processes import Running, eventually, running

CONFTEST = "open('conftest.seen', 'w').close()\n"
MODULE = (
    "open('module.seen', 'w').close()\n\n\n"
    "def test_passes():\n    pass\n\n\ndef test_fails():\n    assert 6 * 9 == 42\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tests that leave a file when they are imported; the gate is the file `gate` beside them."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(MODULE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


@contextmanager
def gated(env: Environment, folder: Path, *arguments: str) -> Iterator[Running]:
    command: list[str | Path] = [
        sys.executable,
        SCRIPTS / "gated-pytest",
        str(folder / "gate"),
        *arguments,
    ]
    with running(command, env=env, cwd=folder) as tests:
        yield tests


def test_conftest_files_are_imported_at_the_gate_and_test_modules_behind_it(
    env: Environment, folder: Path
) -> None:
    with gated(env, folder, "-q") as tests:
        eventually((folder / "conftest.seen").exists, "conftest.py imported")
        with pytest.raises(AssertionError, match="not within"):
            eventually((folder / "module.seen").exists, "the module imported", 1)
        (folder / "gate").touch()
        assert tests.ends() == 1
        assert "1 failed, 1 passed" in tests.log


def test_arguments_are_pytest_s_own(env: Environment, folder: Path) -> None:
    (folder / "gate").touch()
    with gated(env, folder, "-k", "passes and not x or fails and nothing", "test_it.py") as tests:
        assert tests.ends() == 0
        assert "1 passed, 1 deselected" in tests.log


def test_an_interrupt_at_the_gate_ends_it_without_a_traceback(
    env: Environment, folder: Path
) -> None:
    with gated(env, folder) as tests:
        eventually((folder / "conftest.seen").exists, "conftest.py imported")
        os.killpg(tests.process.pid, signal.SIGINT)
        assert tests.ends() == 130
        assert "Traceback" not in tests.log
