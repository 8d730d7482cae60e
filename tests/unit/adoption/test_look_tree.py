"""A repository's files: as git lists them, and much data without reading it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from gangway.operations.adoption.look import look
from gangway.operations.adoption.look.tree import Tree, common, join, seen_from, within
from tests.unit.adoption.looked import FASTAPI, looked, loss, written


def repository(folder: Path, files: dict[str, str]) -> Path:
    written(folder, files)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


def test_what_git_ignores_is_not_looked_at(tmp_path: Path) -> None:
    root = repository(
        tmp_path, {**FASTAPI, ".gitignore": "old/\n", "old/main.py": FASTAPI["main.py"]}
    )
    assert not Tree(root).has("old/main.py")
    assert Tree(root).ignored == ("old/",)


def test_a_file_that_is_gone_and_a_link_are_none(tmp_path: Path) -> None:
    root = repository(tmp_path, {**FASTAPI, "gone.py": "x\n"})
    subprocess.run(["git", "-C", str(root), "add", "."], check=True)
    (root / "gone.py").unlink()
    (root / "link.py").symlink_to("/etc/hosts")
    assert Tree(root).files == ("main.py", "requirements.txt")
    assert Tree(root).text("link.py") == ""


def test_without_git_it_is_what_is_there(tmp_path: Path) -> None:
    written(tmp_path, {**FASTAPI, "node_modules/x/main.py": "x\n", ".venv/y.py": "y\n"})
    assert Tree(tmp_path).files == ("main.py", "requirements.txt")


def test_what_is_no_text_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_bytes(b"x\0y")
    assert Tree(tmp_path).text("data.py") == ""


def test_much_data_is_named_and_not_read(tmp_path: Path) -> None:
    root = repository(tmp_path / "shop", {**FASTAPI, ".gitignore": "cache/\n"})
    for name in ("data/raw/films.csv", "cache/pages.bin", "small/x.csv"):
        path = root / name
        path.parent.mkdir(parents=True)
        size = 1 if name.startswith("small") else 500 * 1024 * 1024
        with path.open("wb") as file:
            # Without its bytes on the disk.
            os.truncate(file.fileno(), size)
    started = time.monotonic()
    found = look(root)
    assert time.monotonic() - started < 2
    assert {each.where for each in found.losses} == {"data/raw/", "cache/"}
    assert loss(found, "500 MB in data/raw").where == "data/raw/"


def test_data_beside_the_app_is_nobodys_business(tmp_path: Path) -> None:
    files = {f"backend/{name}": text for name, text in FASTAPI.items()}
    looked(tmp_path, files)
    big = tmp_path / "bookshop" / "data.bin"
    with big.open("wb") as file:
        os.truncate(file.fileno(), 100 * 1024 * 1024)
    assert not look(tmp_path / "bookshop").losses


def test_nothing_is_imported_or_written(tmp_path: Path) -> None:
    trap = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"
    files = {**FASTAPI, "main.py": f"{trap}from fastapi import FastAPI\napp = FastAPI()\n"}
    root = written(tmp_path, files)
    before = sorted(path.name for path in root.rglob("*"))
    look(root)
    assert sorted(path.name for path in root.rglob("*")) == before


@pytest.mark.parametrize(
    ("parts", "joined"),
    [(("a", "../b"), "b"), (("", "."), ""), (("a", "", "b/"), "a/b"), (("/x", "y"), "/x/y")],
)
def test_paths_are_put_together(parts: tuple[str, ...], joined: str) -> None:
    assert join(*parts) == joined


def test_paths_are_seen_from_each_other() -> None:
    assert (seen_from("a/b", "a"), seen_from("", "a"), seen_from("a", "a")) == ("..", "a", "")
    assert (common(["a/b", "a/c"]), common(["a", ""])) == ("a", "")
    assert within("", "x") and within("a", "a/b") and not within("a", "ab")
