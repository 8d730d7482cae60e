"""What is kept for the next task, in one file: found again, or as good as never kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gangway.settings import cache


def test_each_thing_is_found_by_its_name_and_what_it_was_made_of(tmp_path: Path) -> None:
    cache.keep(tmp_path, "one", ["a", 1], {"x": 1})
    cache.keep(tmp_path, "two", "b", "text")
    assert cache.kept(tmp_path, "one", ["a", 1]) == {"x": 1}
    assert cache.kept(tmp_path, "two", "b") == "text"
    assert cache.kept(tmp_path, "one", ["a", 2]) is None
    assert cache.kept(tmp_path, "three", "b") is None


def test_what_it_was_made_of_is_not_written_down(tmp_path: Path) -> None:
    cache.keep(tmp_path, "one", {"variables": "a credential"}, 1)
    assert "a credential" not in (tmp_path / cache.FILE).read_text()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    cache.keep(tmp_path, "one", "a", 1)
    assert (tmp_path / cache.FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / cache.FILE).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"one": ', '{"one": 1}', '{"one": {}}', '{"one": null}', "\udcff"]
)
def test_a_damaged_file_is_as_good_as_none_and_is_written_anew(tmp_path: Path, text: str) -> None:
    cache.keep(tmp_path, "one", "a", 1)
    (tmp_path / cache.FILE).write_bytes(text.encode(errors="surrogateescape"))
    assert cache.kept(tmp_path, "one", "a") is None
    cache.keep(tmp_path, "one", "a", 2)
    assert cache.kept(tmp_path, "one", "a") == 2


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / cache.FILE).parent.write_text("a file where the folder belongs")
    cache.keep(tmp_path, "one", "a", 1)
    assert cache.kept(tmp_path, "one", "a") is None


def test_of_many_that_write_at_once_none_damages_the_file(tmp_path: Path) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        for number in range(64):
            pool.submit(cache.keep, tmp_path, f"{number}", number, "x" * 1000 * number)
    cache.keep(tmp_path, "last", "a", 1)
    assert cache.kept(tmp_path, "last", "a") == 1
    whole = [n for n in range(64) if cache.kept(tmp_path, f"{n}", n) == "x" * 1000 * n]
    assert whole
    left = {path.name for path in (tmp_path / cache.FILE).parent.iterdir()}
    assert left == {cache.FILE.name, ".gitignore"}
