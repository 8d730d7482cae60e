"""`gangway adopt` and `gangway new` as they are typed: output, errors, statuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

from gangway import __version__
from gangway.operations.adoption import starter
from tests.unit.adoption.repositories import IDENTITY, git, repository, snapshot
from tests.unit.conftest import ROOT

APP = {
    "shop/__init__.py": "",
    "shop/main.py": (
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n"
        '@app.get("/up")\ndef up() -> str:\n    return "up"\n'
    ),
    "requirements.txt": "fastapi==0.115.0\n",
    "Dockerfile": "FROM python:3.13-slim\nRUN curl https://example.com/x | sh\n",
}


class Done(NamedTuple):
    """What a command left."""

    status: int
    out: str
    err: str


def gangway(*words: str | Path, cwd: Path, **variables: str) -> Done:
    """Type a command without a terminal; no traceback is ever shown."""
    around = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environ = {**around, **IDENTITY, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(
        [sys.executable, "-m", "gangway", *map(str, words)],
        cwd=cwd, env=environ, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "My Shop", APP)


def test_one_command_adopts_the_repository_that_one_is_in(root: Path) -> None:
    done = gangway("adopt", cwd=root)
    assert (done.status, done.err) == (0, "")
    assert git(root, "log", "-1", "--format=%s") == f"Run it with Gangway {__version__}\n"
    assert git(root, "status", "--porcelain") == ""
    assert starter.read_lock(root).names.project == "my-shop"
    assert "shop.main:app" in done.out and "shop/main.py:3" in done.out
    assert re.search(r"\bdev\.up\n.*\btest\.run\n$", done.out)
    assert "\x1b" not in done.out and not re.search(r" +$", done.out, re.MULTILINE)


def test_a_dry_run_says_all_of_it_and_writes_nothing(root: Path) -> None:
    before = snapshot(root)
    done = gangway("adopt", "--dry-run", cwd=root)
    assert done.status == 0
    assert snapshot(root) == before and git(root, "status", "--porcelain") == ""
    assert "To be written: " in done.out and "stacks/my-shop/" in done.out
    assert done.out.endswith("\nNothing was written (--dry-run).\n")
    written = gangway("adopt", cwd=root)
    assert written.out.startswith(done.out.rpartition("\nNothing")[0])


def test_a_folder_a_name_and_facts_may_be_given(root: Path, tmp_path: Path) -> None:
    words = ("--name", "store", "-e", "API_PORT=9000", "-e", "API_HEALTH=tcp", "--no-commit")
    done = gangway("adopt", root.name, *words, cwd=tmp_path)
    assert done.status == 0, done.err
    text = (root / "stacks" / "store" / "stack.env").read_text()
    assert "\nAPI_PORT=9000\n" in text and "\nAPI_HEALTH=tcp\n" in text
    assert "\nPROXY_ROOT=api:9000\n" in text
    assert git(root, "log", "--format=%s") == "Theirs\n"
    assert git(root, "diff", "--cached", "--name-only").splitlines()
    assert "  cd 'My Shop'\n" in done.out


def test_what_nobody_was_asked_is_said_with_the_option_for_another_answer(tmp_path: Path) -> None:
    app = "from fastapi import FastAPI\n\napp = FastAPI()\n"
    files = {
        "one/__init__.py": "", "one/main.py": app, "two/__init__.py": "", "two/main.py": app,
        "requirements.txt": "fastapi==0.115.0\n",
    }  # fmt: skip
    done = gangway("adopt", "--dry-run", cwd=repository(tmp_path / "shops", files))
    assert (
        "\nTaken without asking\n"
        "  Which application is to be served? one.main:app\n"
        "    for another: -e API_TARGET=… (two.main:app)\n"
    ) in done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--name", "My Shop"),
            "error: 'My Shop' is no name for a Compose project: small letters and digits, with - "
            "or _ between them\n  fix: --name my-shop\n",
        ),
        (
            ("-e", "API_PROT=1"),
            "error: no fact named 'API_PROT'\n  fix: did you mean API_PORT? (there are: ",
        ),
        (("-e", "API_PORT"), "error: -e 'API_PORT' is not NAME=value\n"),
        (("-e", "API_PORT=x"), "error: one thing to fix:\nAPI_PORT: 'x' is not a port number\n"),
        (("--app", "nowhere"), "error: "),
        (("elsewhere",), "error: elsewhere is not a folder\n"),
    ],
)
def test_what_is_wrong_is_one_message_and_nothing_is_written(
    words: tuple[str, ...], message: str, root: Path
) -> None:
    before = snapshot(root)
    done = gangway("adopt", *words, cwd=root)
    assert done.status == 2
    assert done.out == "" and done.err.startswith(message)
    assert snapshot(root) == before


def test_a_repository_without_an_app_is_refused(tmp_path: Path) -> None:
    root = repository(tmp_path / "empty", {"README.md": "Nothing\n"})
    done = gangway("adopt", cwd=root)
    assert done.status == 2 and "no app" in done.err
    assert git(root, "status", "--porcelain") == ""


def test_colour_is_for_terminals_that_want_it(root: Path) -> None:
    # `script` gives it a terminal.
    words = f"{sys.executable} -m gangway adopt --dry-run"
    around = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    around.pop("NO_COLOR", None)
    run = ["script", "--quiet", "--return", "--command", words, os.devnull]
    shown = subprocess.run(run, cwd=root, env=around, capture_output=True, text=True, check=False)
    assert "\x1b[1mTo be written: " in shown.stdout, shown
    plain = subprocess.run(
        run, cwd=root, env={**around, "NO_COLOR": "1"}, capture_output=True, text=True, check=False
    )
    assert "\x1b" not in plain.stdout


def test_without_uv_it_says_how_to_lock(tmp_path: Path) -> None:
    project = '[project]\nname = "shop"\nversion = "1"\ndependencies = ["fastapi"]\n'
    files = {name: text for name, text in APP.items() if name != "requirements.txt"}
    root = repository(tmp_path / "shop", {**files, "pyproject.toml": project})
    # The same Python where no uv is beside it.
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    libraries = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    done = subprocess.run(
        [python, "-m", "gangway", "adopt"],
        cwd=root, env={**IDENTITY, "PATH": "/usr/bin:/bin", "PYTHONPATH": libraries},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "The dependencies aren't locked, for there is no uv here." in done.stdout
    assert "\n  uv lock && git add uv.lock\n" in done.stdout
    assert not (root / "uv.lock").exists()


def test_a_new_project_is_adopted_and_works(tmp_path: Path) -> None:
    done = gangway("new", "my shop", cwd=tmp_path)
    assert (done.status, done.err) == (0, "")
    root = tmp_path / "my shop"
    subjects = git(root, "log", "--format=%s").splitlines()
    assert subjects == [f"Run it with Gangway {__version__}", "A FastAPI app"]
    assert git(root, "status", "--porcelain", "--ignored") == ""
    text = (root / "stacks" / "my-shop" / "stack.env").read_text()
    for fact in ("API_TARGET=app.main:app", "API_HEALTH=/health", "API_LOCK=requirements.txt"):
        assert f"\n{fact}\n" in text
    assert "Not carried over" not in done.out
    assert "  cd 'my shop'\n" in done.out


def test_a_new_project_may_have_another_name(tmp_path: Path) -> None:
    assert gangway("new", "here", "--name", "shop", cwd=tmp_path).status == 0
    assert (tmp_path / "here" / "stacks" / "shop" / "stack.env").exists()


def test_a_new_project_needs_nobody_to_commit_it(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    nobody = dict.fromkeys(IDENTITY, "")
    variables = {
        "HOME": str(tmp_path / "home"), "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.useConfigOnly",
        "GIT_CONFIG_VALUE_0": "true",
    }  # fmt: skip
    done = gangway("new", "shop", cwd=tmp_path, **nobody, **variables)
    assert done.status == 0, done.err
    root = tmp_path / "shop"
    assert "git commit --message" in done.out
    status = git(root, "status", "--porcelain").splitlines()
    assert status and all(line.startswith("A ") for line in status)
    assert {"A  app/main.py", "A  tasks.py"} <= set(status)


def test_a_new_project_wants_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine").write_text("mine\n")
    before = snapshot(tmp_path)
    done = gangway("new", "shop", cwd=tmp_path)
    assert (done.status, done.err) == (
        2, "error: shop is there already, and not empty\n  fix: take another folder\n",
    )  # fmt: skip
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("there", [True, False])
def test_a_new_project_that_fails_leaves_nothing(there: bool, tmp_path: Path) -> None:
    if there:
        (tmp_path / "shop").mkdir()
    before = snapshot(tmp_path)
    done = gangway("new", "shop", "-e", "API_PORT=x", cwd=tmp_path)
    assert done.status == 2 and "API_PORT" in done.err
    assert snapshot(tmp_path) == before


def test_its_own_help_is_short(tmp_path: Path) -> None:
    done = gangway(cwd=tmp_path)
    assert done.status == 0
    for command in ("adopt", "new", "update", "add"):
        assert re.search(rf"^ +{command} ", done.out, re.MULTILINE)
    assert gangway("adopt", "--help", cwd=tmp_path).status == 0
