"""Somebody's repository: refused as it is, adopted as one commit, or left as it was."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gangway import __version__
from gangway.base.errors import GangwayError
from gangway.operations.adoption import adopt, asking, ignored, report, starter, writing
from gangway.operations.adoption.found import Foreign, Found, Loss, Question
from tests.unit.adoption.repositories import (
    DJANGO,
    DJANGO_FILES,
    FASTAPI,
    FASTAPI_FILES,
    FOREIGN,
    FOREIGN_FILES,
    IDENTITY,
    adopted,
    git,
    plan,
    repository,
    snapshot,
)
from tests.unit.conftest import ROOT


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit as somebody with a name."""
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "theirs", FASTAPI_FILES)


def refusal(root: Path, found: Found = FASTAPI) -> str:
    """Return what an adoption is refused with; nothing is changed by it."""
    before = snapshot(root)
    with pytest.raises(GangwayError) as caught:
        plan(root, found)
    assert snapshot(root) == before
    return str(caught.value)


# ---- refused


def test_a_folder_without_git_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        f"{tmp_path} is in no git repository\n"
        "  fix: git init && git add --all && git commit -m 'As it is'"
    )


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GangwayError, match=r"/x is not a folder"):
        adopt.opened(tmp_path / "x")


def test_a_part_of_a_repository_is_refused_with_the_command_for_the_whole(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / "src")
    with pytest.raises(GangwayError) as caught:
        adopt.opened(Path("shop"))
    assert str(caught.value).splitlines()[1] == "  fix: gangway adopt .. --app src/shop"


def test_uncommitted_files_are_named(root: Path) -> None:
    (root / "requirements.txt").write_text("changed\n")
    (root / "new.py").touch()
    message = refusal(root)
    assert message.startswith("not committed: requirements.txt, new.py\n")
    assert "git stash --include-untracked" in message


def test_ignored_files_are_nobodys_business(root: Path) -> None:
    (root / ".env").write_text("SECRET=1\n")
    (root / "dist").mkdir()
    (root / "dist" / "wheel").touch()
    assert plan(root, FASTAPI).files


def test_an_adopted_repository_is_refused(root: Path, somebody: None) -> None:
    adopted(root, FASTAPI, commit=True)
    assert refusal(root) == (
        "env/gangway.lock: Gangway is in this repository already\n"
        "  fix: gangway update brings a newer one"
    )


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("My Shop", "my-shop"), ("shop_", "shop"), ("-shop", "shop"), ("shop.de", "shop-de"),
        ("a___b", "a-b"), ("Größe", "grosse"), ("…", "app"), ("core", "core-app"), ("a_-b", "a-b"),
    ],
)  # fmt: skip
def test_a_name_that_compose_or_an_image_cannot_have_is_refused_with_a_better_one(
    name: str, better: str, root: Path
) -> None:
    message = refusal(root, replace(FASTAPI, name=name))
    assert message.endswith(f"  fix: --name {better}")
    assert "small letters and digits, with - or _ between them" in message
    adopt.check_name(better)


def test_all_that_is_in_the_way_is_named_at_once(root: Path) -> None:
    (root / "scripts").mkdir()
    for name in ("serve", "migrate", "theirs"):
        (root / "scripts" / name).touch()
    (root / "docker").write_text("a file where a folder belongs\n")
    (root / "stacks").symlink_to("src")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "more")
    message = refusal(root)
    places = re.findall(r"^(\S+): ", message, re.MULTILINE)
    assert places == ["docker", "scripts/migrate", "scripts/serve", "stacks"]


def test_a_virtual_environment_where_settings_go_is_named_as_one(root: Path) -> None:
    (root / ".gitignore").write_text("env/\n")
    (root / "env").mkdir()
    (root / "env" / "pyvenv.cfg").touch()
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "more")
    assert "env: it is a virtual environment" in refusal(root)


def test_facts_that_cannot_be_are_named_with_what_they_mean(root: Path) -> None:
    wrong = {"API_PORT": "99999", "API_HEALTH": "health", "API_INTERFACE": "cgi"}
    message = refusal(root, replace(FASTAPI, facts={**FASTAPI.facts, **wrong}))
    assert message.startswith("3 things to fix:\n")
    assert "API_PORT: '99999' is out of range" in message
    assert "fix: -e API_PORT=… (the port that it listens on)" in message


def test_a_compose_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    root = repository(tmp_path / "theirs", {**FASTAPI_FILES, "compose.yaml": "services: [\n"})
    found = replace(FASTAPI, foreign=(Foreign("mail", "compose.yaml"),))
    assert refusal(root, found).startswith("compose.yaml: it can't be read: ")


# ---- written


def test_what_is_written_is_one_commit_that_git_takes_back(root: Path, somebody: None) -> None:
    before = snapshot(root)
    outcome = adopted(root, FASTAPI, commit=True)
    assert outcome.uncommitted == ""
    assert git(root, "log", "--format=%s").splitlines() == [
        f"Run it with Gangway {__version__}", "Theirs",
    ]  # fmt: skip
    assert git(root, "status", "--porcelain") == ""
    assert set(git(root, "show", "--format=", "--name-only").splitlines()) == set(outcome.files)
    git(root, "revert", "--no-edit", "HEAD")
    assert snapshot(root) == before


def test_nothing_of_the_users_is_changed(tmp_path: Path, somebody: None) -> None:
    root = repository(tmp_path / "theirs", FOREIGN_FILES)
    before = snapshot(root)
    adopted(root, FOREIGN, commit=True)
    after = snapshot(root)
    assert {path: after[path] for path in before} == before
    assert git(root, "show", "--format=", "--name-status", "--diff-filter=a") == ""


def test_files_beside_the_users_have_other_names(tmp_path: Path) -> None:
    root = repository(tmp_path / "theirs", FOREIGN_FILES)
    made = plan(root, FOREIGN)
    assert (made.names.compose, made.names.tasks) == ("gangway", "gangway_tasks.py")
    assert made.kept == ("compose.yaml", "Dockerfile", "tasks.py", "noxfile.py")


@pytest.mark.parametrize("name", ["docker-compose.local.yml", "compose.yml", "docker-compose.yaml"])
def test_any_compose_file_at_the_top_counts(name: str, tmp_path: Path) -> None:
    root = repository(tmp_path / "theirs", {**FASTAPI_FILES, name: "services: {}\n"})
    assert plan(root, FASTAPI).names.compose == "gangway"


def test_a_package_of_tasks_counts_as_well(tmp_path: Path) -> None:
    root = repository(tmp_path / "theirs", {**FASTAPI_FILES, "tasks/__init__.py": ""})
    assert plan(root, FASTAPI).names.tasks == "gangway_tasks.py"


def test_the_lock_has_what_git_has_of_every_file_of_gangways(root: Path, somebody: None) -> None:
    outcome = adopted(root, FASTAPI, commit=True)
    lock = starter.read_lock(root)
    assert (lock.version, lock.names.project) == (__version__, "shop")
    in_git = {
        line.partition("\t")[2]: line.split()[2]
        for line in git(root, "ls-tree", "-r", "HEAD").splitlines()
    }
    assert dict(lock.files).items() <= in_git.items()
    own = {ignored.FILE, starter.LOCK, *(name for name in outcome.files if "stacks/" in name)}
    assert set(lock.files) == set(outcome.files) - own


def test_without_a_name_to_commit_by_all_is_staged(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    git(root, "config", "user.useConfigOnly", "true")
    outcome = adopted(root, FASTAPI, commit=True)
    assert outcome.uncommitted
    status = git(root, "status", "--porcelain").splitlines()
    assert len(status) == len(outcome.files) and all(line.startswith("A ") for line in status)


def test_hooks_of_the_users_have_no_say(root: Path, somebody: None) -> None:
    hook = root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert adopted(root, FASTAPI, commit=True).uncommitted == ""


def test_containers_can_read_it_whatever_the_umask(tmp_path: Path) -> None:
    root = repository(tmp_path / "theirs", DJANGO_FILES)
    before = os.umask(0o077)
    try:
        outcome = adopted(root, DJANGO)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE((root / name).stat().st_mode) for name in outcome.files}
    assert modes == {0o644, 0o755}
    assert os.access(root / "scripts" / "entrypoint", os.X_OK)


def test_what_git_is_told_to_ignore_is_committed_all_the_same_and_said(
    tmp_path: Path, somebody: None
) -> None:
    root = repository(
        tmp_path / "theirs", {**FASTAPI_FILES, ".gitignore": "# Python\nenv/\n*.env\n"}
    )
    losses = {loss.where: loss for loss in plan(root, FASTAPI).found.losses}
    assert set(losses) == {".gitignore:2", ".gitignore:3"}
    assert "git add --force" in losses[".gitignore:2"].do
    outcome = adopted(root, FASTAPI, commit=True)
    assert set(git(root, "ls-files", "env").splitlines()) == {
        name for name in outcome.files if name.startswith("env/")
    }


def test_the_secrets_that_are_made_here_are_nothing_for_git(root: Path, somebody: None) -> None:
    adopted(root, FASTAPI, commit=True)
    (root / "secrets" / "prod").mkdir()
    for name in ("secrets/prod/secret_key", "env/local.env"):
        (root / name).touch()
    assert git(root, "status", "--porcelain", "--untracked-files=all") == ""


# ---- or nothing


def test_what_fails_in_the_middle_leaves_the_repository_as_it_was(root: Path) -> None:
    made = plan(root, FASTAPI)
    before = snapshot(root)
    # Somebody makes a file of that name meanwhile: the last that is written.
    (root / "tasks.py").write_text("theirs\n")
    with pytest.raises(GangwayError, match="nothing was changed"):
        writing.write(made, commit=True)
    (root / "tasks.py").unlink()
    assert snapshot(root) == before
    assert git(root, "status", "--porcelain") == ""


def test_what_git_cannot_take_leaves_the_repository_as_it_was(root: Path) -> None:
    made = plan(root, FASTAPI)
    before = snapshot(root)
    # A lock of the index: what git can't do comes after all files are there.
    (root / ".git" / "index.lock").touch()
    with pytest.raises(GangwayError, match="git"):
        writing.write(made, commit=True)
    (root / ".git" / "index.lock").unlink()
    assert snapshot(root) == before
    assert git(root, "status", "--porcelain") == ""


# ---- a lock that is missing

PROJECT = """[project]
name = "theirs"
version = "1"
requires-python = ">=3.11"
"""
LOCKING = replace(
    FASTAPI, facts={**FASTAPI.facts, "API_LOCK": "backend/uv.lock"}, lock_missing=True
)


def test_only_a_project_file_is_locked_by_uv(tmp_path: Path, somebody: None) -> None:
    root = repository(tmp_path / "theirs", {"backend/pyproject.toml": PROJECT})
    outcome = adopted(root, LOCKING, commit=True)
    assert 'name = "theirs"' in (root / "backend" / "uv.lock").read_text()
    assert "backend/uv.lock" in outcome.files and outcome.unlocked == ""
    assert git(root, "status", "--porcelain") == ""


def test_what_uv_cannot_lock_is_said_and_nothing_is_changed(tmp_path: Path) -> None:
    wrong = PROJECT + 'dependencies = ["theirs==2"]\n'
    root = repository(tmp_path / "theirs", {"backend/pyproject.toml": wrong})
    before = snapshot(root)
    with pytest.raises(GangwayError) as caught:
        adopted(root, LOCKING)
    assert caught.value.where == "backend/pyproject.toml"
    assert "uv can't lock" in str(caught.value)
    assert snapshot(root) == before


# ---- what gets into an image


def test_an_image_is_made_of_the_apps_folder_and_of_ours(tmp_path: Path) -> None:
    root = repository(tmp_path / "theirs", DJANGO_FILES)
    lines = plan(root, DJANGO).files[ignored.FILE].text.splitlines()
    assert lines[1:5] == ["*", "!backend", "!docker", "!scripts"]
    assert {"**/.env", "**/.env.*", "**/.venv", "**/__pycache__", "**/node_modules"} <= set(lines)


def test_of_a_whole_repository_nothing_personal_gets_into_an_image(root: Path) -> None:
    (root / "dist").mkdir()
    (root / "dist" / "wheel").touch()
    lines = plan(root, FASTAPI).files[ignored.FILE].text.splitlines()
    assert "*" not in lines
    assert {"**/.git", "**/.env", "secrets", "env", "dist", "**/.gangway"} <= set(lines)
    assert {"stacks/shop", "docker-compose.yml", "docker-compose.*.yml", "tasks.py"} <= set(lines)


def test_a_lock_outside_of_the_apps_folder_is_there_for_the_build(tmp_path: Path) -> None:
    root = repository(tmp_path / "theirs", FOREIGN_FILES)
    assert "*" not in plan(root, FOREIGN).files[ignored.FILE].text.splitlines()


def test_a_folder_of_data_stays_out_of_images_and_is_named(root: Path) -> None:
    (root / "data").mkdir()
    with (root / "data" / "big.bin").open("wb") as file:
        file.truncate(60_000_000)
    (root / "src" / "model.bin").write_bytes(b"")
    with (root / "src" / "model.bin").open("wb") as file:
        file.truncate(60_000_000)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "data")
    made = plan(root, FASTAPI)
    lines = made.files[ignored.FILE].text.splitlines()
    assert "data" in lines and "src" not in lines
    (loss,) = made.found.losses
    assert (loss.what, loss.where) == ("60 MB of data", "data")


# ---- what is said


def test_it_says_what_was_found_written_kept_and_lost(tmp_path: Path) -> None:
    root = repository(tmp_path / "theirs", FOREIGN_FILES)
    evidence = (("entry point stock:create_app()", "src/stock.py:1"), ("no tests", "."))
    made = plan(root, replace(FOREIGN, evidence=evidence))
    text = report.before(made)
    assert text.startswith("stock: a Flask app, locked by requirements.txt\n")
    assert "  entry point stock:create_app()  src/stock.py:1\n" in text
    assert "  compose.yaml, Dockerfile, tasks.py, noxfile.py\n" in text
    assert (
        "Not carried over: 1\n"
        "  Dockerfile:2: RUN curl … | sh\n"
        "    do: name its Debian package in API_RUN_PACKAGES"
    ) in text
    assert f"To be written: {len(made.files) + 1} files\n" in text
    assert "\x1b" not in text and "\x1b[1m" in report.before(made, colour=True)


def test_it_ends_with_the_two_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, somebody: None
) -> None:
    root = repository(tmp_path / "theirs", FOREIGN_FILES)
    made = plan(root, FOREIGN)
    outcome = writing.write(made, commit=True)
    monkeypatch.chdir(root)
    last = report.after(made, outcome).splitlines()[-2:]
    assert [line.split("invoke")[1] for line in last] == [
        " -c gangway_tasks dev.up", " -c gangway_tasks test.run",
    ]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert "\n  cd theirs\n" in report.after(made, outcome)


def test_a_loss_is_a_line_whatever_stands_in_the_file(root: Path) -> None:
    loss = Loss("RUN a && \\\n  b\x1b[2J", "Dockerfile:1", "do it")
    text = report.before(plan(root, replace(FASTAPI, losses=(loss,))))
    assert "Dockerfile:1: RUN a && \\\\n  b\\x1b[2J\n" in text


def test_the_tasks_are_there_when_all_is_written(root: Path, somebody: None) -> None:
    adopted(root, FASTAPI, commit=True)
    invoke = str(Path(sys.executable).with_name("invoke"))
    around = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [invoke, "dev.env"], cwd=root, env=around, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("COMPOSE_PROJECT_NAME"))
    assert row.split()[1:] == ["shop-dev", "stacks/shop/stack.env:6"]
    assert git(root, "status", "--porcelain") == ""


def test_a_question_is_asked_of_nobody_where_it_has_a_likely_answer() -> None:
    likely = Question("API_HEALTH", "Which path?", ("/", "/up"), "/up")
    assert asking.answers([likely], ask=False) == {"API_HEALTH": "/up"}
    open_one = Question("API_TARGET", "Which app?", ("a:app", "b:app"))
    with pytest.raises(GangwayError) as caught:
        asking.answers([open_one], ask=False)
    assert caught.value.fix == "-e API_TARGET=… (a:app or b:app)"


def test_a_question_is_asked_until_the_answer_can_be() -> None:
    said = iter(["nothing", "", "b:app", "My Shop", "shop"])
    questions = [
        Question("API_TARGET", "Which app?", ("a:app", "b:app")),
        Question("PROJECT", "What is it called?"),
    ]
    found = asking.answers(questions, ask=True, read=lambda _prompt: next(said))
    assert found == {"API_TARGET": "b:app", "PROJECT": "shop"}
