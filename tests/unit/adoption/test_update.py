"""A newer Gangway comes into somebody's repository: real git, two versions of a starter."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from gangway import __main__, __version__
from gangway.base.errors import GangwayError
from gangway.operations.adoption import starter
from gangway.operations.adoption.starter import LOCK, Lock, Names
from gangway.operations.adoption.update import update
from tests.unit.conftest import ROOT

OLD = {
    "docker/base.Dockerfile": "FROM one\nRUN two\nRUN three\nRUN four\nRUN five\n",
    "scripts/serve": "#!/bin/sh\nexec old\n",
    "scripts/lib.sh": "old\n",
}
NEW = OLD | {
    "docker/base.Dockerfile": "FROM one\nRUN two\nRUN three\nRUN four\nRUN 5\n",
    "scripts/serve": "#!/bin/sh\nexec new\n",
}


class Repository:
    """Somebody's, with an older Gangway's files in its one commit."""

    def __init__(self, root: Path, starters: Path) -> None:
        self.root, self.starters = root, starters
        root.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "Somebody")
        self.git("config", "user.email", "somebody@example.com")
        (root / "app.py").write_text("app = 1\n")

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.root, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "x")

    def starter(self, version: str, files: Mapping[str, str]) -> Path:
        top = self.starters / version
        for name, text in files.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(text)
            (top / name).chmod(0o755 if text.startswith("#!") else 0o644)
        return top

    def adopt(self, version: str, files: Mapping[str, str], names: Names | None = None) -> None:
        names = names or Names("shop")
        ids = {}
        for path, file in starter.files(names, self.starter(version, files)).items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(file.data)
            (self.root / path).chmod(0o755 if file.executable else 0o644)
            ids[path] = self.git("hash-object", path)
        starter.write_lock(self.root, Lock(version, names, ids))
        self.commit()

    def update(self, version: str, files: Mapping[str, str], *, dry_run: bool = False) -> int:
        top = self.starter(version, files)
        return update(self.root, dry_run=dry_run, top=top, version=version)

    def edit(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)
        self.commit()

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def status(self) -> list[str]:
        return self.git("status", "--porcelain").splitlines()


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    found = Repository(tmp_path / "theirs", tmp_path / "starters")
    found.adopt("0.1.0", OLD)
    return found


def test_what_was_not_edited_is_replaced_and_stays_a_program(theirs: Repository) -> None:
    assert theirs.update("0.2.0", NEW) == 0
    assert theirs.read("scripts/serve") == NEW["scripts/serve"]
    assert theirs.read("scripts/lib.sh") == OLD["scripts/lib.sh"]
    assert os.access(theirs.root / "scripts/serve", os.X_OK)
    assert theirs.read("app.py") == "app = 1\n"


def test_what_changed_is_staged_and_nothing_is_committed(theirs: Repository) -> None:
    before = theirs.git("rev-parse", "HEAD")
    theirs.update("0.2.0", NEW)
    assert theirs.git("rev-parse", "HEAD") == before
    assert theirs.status() == ["M  docker/base.Dockerfile", f"M  {LOCK}", "M  scripts/serve"]
    theirs.git("reset", "--quiet", "--hard")
    assert theirs.read("scripts/serve") == OLD["scripts/serve"]


def test_an_edit_elsewhere_in_the_file_is_merged(theirs: Repository) -> None:
    theirs.edit("docker/base.Dockerfile", OLD["docker/base.Dockerfile"].replace("one", "mine"))
    assert theirs.update("0.2.0", NEW) == 0
    assert theirs.read("docker/base.Dockerfile") == NEW["docker/base.Dockerfile"].replace(
        "one", "mine"
    )


def test_the_next_update_merges_what_was_merged_before(theirs: Repository) -> None:
    theirs.edit("docker/base.Dockerfile", OLD["docker/base.Dockerfile"].replace("one", "mine"))
    theirs.update("0.2.0", NEW)
    theirs.commit()
    newest = NEW | {"docker/base.Dockerfile": "FROM one\nRUN two\nRUN 3\nRUN four\nRUN 5\n"}
    assert theirs.update("0.3.0", newest) == 0
    assert theirs.read("docker/base.Dockerfile") == "FROM mine\nRUN two\nRUN 3\nRUN four\nRUN 5\n"


def test_both_have_changed_a_line_it_is_marked_and_named(
    theirs: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs.edit("docker/base.Dockerfile", OLD["docker/base.Dockerfile"].replace("five", "V"))
    assert theirs.update("0.2.0", NEW) == 1
    marked = "<<<<<<< yours\nRUN V\n=======\nRUN 5\n>>>>>>> Gangway 0.2.0\n"
    assert theirs.read("docker/base.Dockerfile").endswith(marked)
    assert theirs.read("scripts/serve") == NEW["scripts/serve"]
    said = capsys.readouterr()
    assert "conflict  docker/base.Dockerfile" in said.out
    assert "git add docker/base.Dockerfile" in said.err


def test_a_conflict_is_not_committed_before_it_is_resolved(theirs: Repository) -> None:
    theirs.edit("docker/base.Dockerfile", OLD["docker/base.Dockerfile"].replace("five", "V"))
    theirs.update("0.2.0", NEW)
    assert "UU docker/base.Dockerfile" in theirs.status()
    assert theirs.update("0.2.0", NEW) == 1
    theirs.edit("docker/base.Dockerfile", "FROM mine\n")
    assert theirs.update("0.2.0", NEW) == 0


def test_twice_is_up_to_date(theirs: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    theirs.edit("docker/base.Dockerfile", OLD["docker/base.Dockerfile"].replace("one", "mine"))
    theirs.edit("scripts/lib.sh", "mine\n")
    theirs.update("0.2.0", NEW)
    before = theirs.read(LOCK), theirs.status()
    capsys.readouterr()
    assert theirs.update("0.2.0", NEW) == 0
    assert (theirs.read(LOCK), theirs.status()) == before
    assert capsys.readouterr().err == "up to date: Gangway 0.2.0\n"


def test_what_only_the_user_changed_stays(theirs: Repository) -> None:
    theirs.edit("scripts/lib.sh", "mine\n")
    assert theirs.update("0.2.0", NEW) == 0
    assert theirs.read("scripts/lib.sh") == "mine\n"


def test_what_the_user_has_changed_likewise_is_no_conflict(theirs: Repository) -> None:
    theirs.edit("scripts/serve", NEW["scripts/serve"])
    assert theirs.update("0.2.0", NEW) == 0
    assert theirs.read("scripts/serve") == NEW["scripts/serve"]


def test_a_new_file_is_added_a_program_as_one(theirs: Repository) -> None:
    theirs.update("0.2.0", NEW | {"scripts/more/cron": "#!/bin/sh\n"})
    assert os.access(theirs.root / "scripts/more/cron", os.X_OK)
    assert "A  scripts/more/cron" in theirs.status()


def test_a_new_file_that_the_user_has_is_put_beside(
    theirs: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs.edit("scripts/cron", "mine\n")
    more = NEW | {"scripts/cron": "#!/bin/sh\n"}
    assert theirs.update("0.2.0", more) == 1
    assert theirs.read("scripts/cron") == "mine\n"
    assert theirs.read("scripts/cron.new") == "#!/bin/sh\n"
    assert "beside" in capsys.readouterr().out
    assert "?? scripts/cron.new" in theirs.status()


def test_a_file_where_a_folder_is_needed_is_refused(theirs: Repository) -> None:
    theirs.edit("more", "mine\n")
    with pytest.raises(GangwayError, match="in the way of more/file"):
        theirs.update("0.2.0", NEW | {"more/file": "x\n"})
    assert theirs.status() == []


def test_what_is_dropped_goes_and_its_empty_folder(theirs: Repository) -> None:
    theirs.update("0.2.0", {name: text for name, text in NEW.items() if "docker" not in name})
    assert not (theirs.root / "docker").exists()
    assert "D  docker/base.Dockerfile" in theirs.status()


def test_what_is_dropped_and_edited_is_the_users_from_then_on(
    theirs: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs.edit("scripts/lib.sh", "mine\n")
    fewer = {name: text for name, text in NEW.items() if name != "scripts/lib.sh"}
    assert theirs.update("0.2.0", fewer) == 0
    assert theirs.read("scripts/lib.sh") == "mine\n"
    assert "kept" in capsys.readouterr().out
    theirs.commit()
    theirs.update("0.2.0", fewer)
    assert "lib.sh" not in capsys.readouterr().out


def test_what_the_user_deleted_stays_deleted_and_is_named(
    theirs: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    (theirs.root / "scripts/serve").unlink()
    theirs.commit()
    assert theirs.update("0.2.0", NEW) == 0
    assert not (theirs.root / "scripts/serve").exists()
    assert "stays deleted  scripts/serve" in capsys.readouterr().out
    theirs.commit()
    assert theirs.update("0.2.0", NEW) == 0
    assert "stays" not in capsys.readouterr().out


def test_a_folder_that_became_a_link_is_not_written_through(theirs: Repository) -> None:
    elsewhere = theirs.root.parent / "elsewhere"
    (theirs.root / "scripts").rename(elsewhere)
    (theirs.root / "scripts").symlink_to(elsewhere)
    theirs.commit()
    theirs.update("0.2.0", NEW)
    assert (elsewhere / "serve").read_text() == OLD["scripts/serve"]


def test_modes_are_kept(theirs: Repository) -> None:
    (theirs.root / "scripts/serve").chmod(0o750)
    theirs.update("0.2.0", NEW)
    assert (theirs.root / "scripts/serve").stat().st_mode & 0o777 == 0o750


def test_a_dirty_tree_is_refused_and_untouched(theirs: Repository) -> None:
    (theirs.root / "app.py").write_text("app = 2\n")
    with pytest.raises(GangwayError, match=r"aren't committed, in app\.py"):
        theirs.update("0.2.0", NEW)
    assert theirs.status() == ["M app.py"]


def test_files_that_git_does_not_have_yet_are_nobodys_business(theirs: Repository) -> None:
    (theirs.root / "notes.txt").write_text("mine\n")
    assert theirs.update("0.2.0", NEW) == 0
    assert "?? notes.txt" in theirs.status()


def test_an_edited_file_that_is_in_no_commit_is_refused(theirs: Repository) -> None:
    theirs.git("rm", "--quiet", "--cached", "scripts/serve")
    theirs.git("commit", "--quiet", "-m", "x")
    with pytest.raises(GangwayError, match="it is in no commit"):
        theirs.update("0.2.0", NEW)
    assert theirs.read("scripts/serve") == OLD["scripts/serve"]


def test_an_edit_before_the_first_commit_is_left_with_the_newer_file_beside(
    tmp_path: Path, theirs: Repository
) -> None:
    other = Repository(tmp_path / "squashed", tmp_path / "starters")
    for path in theirs.git("ls-files").splitlines():
        (other.root / path).parent.mkdir(parents=True, exist_ok=True)
        (other.root / path).write_text(theirs.read(path))
    other.edit("docker/base.Dockerfile", "FROM mine\n")
    assert other.update("0.2.0", NEW) == 1
    assert other.read("docker/base.Dockerfile") == "FROM mine\n"
    assert other.read("docker/base.Dockerfile.new") == NEW["docker/base.Dockerfile"]
    (other.root / "docker/base.Dockerfile.new").unlink()
    other.commit()
    newest = NEW | {"docker/base.Dockerfile": "FROM 3\n"}
    assert other.update("0.3.0", newest) == 1
    assert "<<<<<<< yours" in other.read("docker/base.Dockerfile")


def test_a_shallow_clone_is_told_how_to_get_the_rest(tmp_path: Path, theirs: Repository) -> None:
    theirs.edit("docker/base.Dockerfile", "FROM mine\n")
    theirs.git("clone", "--quiet", "--depth=1", f"file://{theirs.root}", str(tmp_path / "clone"))
    shallow = tmp_path / "clone"
    top = theirs.starter("0.2.0", NEW)
    with pytest.raises(GangwayError) as caught:
        update(shallow, top=top, version="0.2.0")
    assert "git fetch --unshallow" in str(caught.value)
    subprocess.run(["git", "fetch", "--quiet", "--unshallow"], cwd=shallow, check=True)
    assert update(shallow, top=top, version="0.2.0") == 1


def test_files_of_a_newer_gangway_are_refused(theirs: Repository) -> None:
    theirs.update("0.10.0", NEW)
    theirs.commit()
    with pytest.raises(GangwayError, match=r"Gangway 0\.10\.0's, and 0\.9\.0 is installed"):
        theirs.update("0.9.0", OLD)


def test_a_dry_run_says_the_same_and_writes_nothing(
    theirs: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs.edit("docker/base.Dockerfile", OLD["docker/base.Dockerfile"].replace("five", "V"))
    assert theirs.update("0.2.0", NEW, dry_run=True) == 1
    planned = capsys.readouterr().out
    assert theirs.status() == []
    theirs.update("0.2.0", NEW)
    assert capsys.readouterr().out == planned


def test_bytes_that_are_no_text_are_kept(theirs: Repository) -> None:
    (theirs.root / "docker/base.Dockerfile").write_bytes(
        b"FROM m\xefne\nRUN two\nRUN three\nRUN four\nRUN five\n"
    )
    theirs.commit()
    assert theirs.update("0.2.0", NEW) == 0
    mine = (theirs.root / "docker/base.Dockerfile").read_bytes()
    assert mine == b"FROM m\xefne\nRUN two\nRUN three\nRUN four\nRUN 5\n"


def test_windows_line_ends_are_no_edit_where_git_makes_them(theirs: Repository) -> None:
    theirs.git("config", "core.autocrlf", "true")
    (theirs.root / "scripts/serve").unlink()
    theirs.git("checkout", "--", "scripts/serve")
    assert b"\r\n" in (theirs.root / "scripts/serve").read_bytes()
    assert theirs.update("0.2.0", NEW) == 0
    assert "exec new" in theirs.read("scripts/serve")


def test_it_works_in_a_folder_of_a_larger_repository(tmp_path: Path, theirs: Repository) -> None:
    whole = Repository(tmp_path / "whole", tmp_path / "starters")
    part = Path(whole.root / "part")
    whole.git("clone", "--quiet", str(theirs.root), str(part))
    subprocess.run(["rm", "-rf", str(part / ".git")], check=True)
    whole.edit("part/docker/base.Dockerfile", OLD["docker/base.Dockerfile"])
    whole.edit("part/docker/base.Dockerfile", "FROM mine\n")
    assert update(part, top=theirs.starter("0.2.0", NEW), version="0.2.0") == 1
    assert "UU part/docker/base.Dockerfile" in whole.status()
    assert "M  part/scripts/serve" in whole.status()


def test_no_repository_and_no_lock_are_said(tmp_path: Path, theirs: Repository) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    with pytest.raises(GangwayError, match="is in no git repository"):
        update(bare)
    (theirs.root / LOCK).unlink()
    with pytest.raises(GangwayError, match="Gangway isn't in this repository"):
        update(theirs.root)


def test_names_that_were_chosen_are_kept(tmp_path: Path) -> None:
    whole = {path: file.text for path, file in starter.originals(ROOT).items()}
    older = whole | {"docker-compose.yml": whole["docker-compose.yml"].replace("10s", "11s")}
    found = Repository(tmp_path / "theirs", tmp_path / "starters")
    found.adopt("0.1.0", older, Names("shop", "gangway", "gangway_tasks.py"))
    found.edit("gangway.yml", found.read("gangway.yml").replace("shm_size: 128m", "shm_size: 1g"))
    assert found.update("0.2.0", whole) == 0
    text = found.read("gangway.yml")
    assert "11s" not in text and "shm_size: 1g" in text
    assert found.status() == [f"M  {LOCK}", "M  gangway.yml"]
    assert json.loads(found.read(LOCK))["names"]["tasks"] == "gangway_tasks.py"


def test_a_file_that_cannot_be_written_is_said_with_the_way_back(theirs: Repository) -> None:
    (theirs.root / "scripts/.serve.part").mkdir()
    with pytest.raises(GangwayError, match="git reset --hard"):
        theirs.update("0.2.0", NEW)
    theirs.git("reset", "--quiet", "--hard")
    (theirs.root / "scripts/.serve.part").rmdir()
    assert theirs.update("0.2.0", NEW) == 0


def test_the_command_line_brings_the_installed_one_to_a_folder_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {path: file.text for path, file in starter.originals(ROOT).items()}
    older = whole | {"scripts/seed": "#!/bin/sh\n"}
    found = Repository(tmp_path / "theirs", tmp_path / "starters")
    found.adopt("0.0.1", older)
    monkeypatch.chdir(found.root / "scripts")
    assert __main__.main(["update"]) == 0
    assert "replaced  scripts/seed" in capsys.readouterr().out
    assert found.read("scripts/seed") == whole["scripts/seed"]
    assert __main__.main(["update"]) == 0
    assert capsys.readouterr().err == f"up to date: Gangway {__version__}\n"


def test_a_workflow_comes_with_an_update_where_the_lock_asks_for_it(tmp_path: Path) -> None:
    whole = {path: file.text for path, file in starter.originals(ROOT).items()}
    found = Repository(tmp_path / "theirs", tmp_path / "starters")
    found.adopt("0.1.0", whole)
    found.edit(LOCK, found.read(LOCK).replace('"ci": ""', '"ci": "github"'))
    assert found.update("0.1.0", whole) == 0
    assert "invoke test.run" in found.read(starter.CI["github"])
