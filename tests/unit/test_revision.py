"""Which state of the sources a release is made of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gangway.base.process import Runner
from gangway.operations.releases.revision import Revision, last_commit, public, revision


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "A",
        "GIT_CONFIG_KEY_1": "user.email",
        "GIT_CONFIG_VALUE_1": "a@example.org",
        "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
    }
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "a").write_text("1")
    return Runner(folder, variables)


def commit(runner: Runner) -> None:
    for words in (["init", "-q"], ["add", "a"], ["commit", "-q", "-m", "First"]):
        subprocess.run(["git", *words], cwd=runner.cwd, env=dict(runner.environment), check=True)


def test_a_folder_without_git_has_no_revision(runner: Runner) -> None:
    assert revision(runner) == Revision()


def test_a_commit_has_its_number(runner: Runner) -> None:
    commit(runner)
    found = revision(runner)
    assert (len(found.number), found.dirty) == (40, False)


@pytest.mark.parametrize("name", ["a", "new"])
def test_what_differs_from_the_commit_makes_it_dirty(runner: Runner, name: str) -> None:
    commit(runner)
    (runner.cwd / name).write_text("2")
    assert revision(runner).dirty


def test_the_last_commit_of_files_is_the_last_that_changed_one_of_them(runner: Runner) -> None:
    commit(runner)
    first = last_commit(runner, ["a", "b"])
    (runner.cwd / "other").write_text("2")
    for words in (["add", "other"], ["commit", "-q", "-m", "Second"]):
        subprocess.run(["git", *words], cwd=runner.cwd, env=dict(runner.environment), check=True)
    assert first
    assert first.time == 1767323045
    assert last_commit(runner, ["a", "b"]) == first
    assert last_commit(runner, ["other"]) != first


def test_files_that_no_commit_has_have_none(runner: Runner) -> None:
    commit(runner)
    assert last_commit(runner, ["new"]) is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:token@example.org/team/shop.git", "https://example.org/team/shop"),
        ("git@example.org:team/shop.git", "https://example.org/team/shop"),
        ("ssh://git@example.org/team/shop", "https://example.org/team/shop"),
        ("/srv/git/shop", ""),
        ("", ""),
    ],
)
def test_a_repositorys_address_has_no_login(url: str, shown: str) -> None:
    assert public(url) == shown
