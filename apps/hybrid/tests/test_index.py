"""The search for similar habits, in the real Qdrant or what stands in for it."""

import math
import os
from collections.abc import Iterator

import httpx
import pytest

from hybrid import index as module
from hybrid.index import Index, IndexAway, vector

URL = os.environ.get("QDRANT_URL") or "http://qdrant:6333"
HABITS = {1: "Read ten pages", 2: "Read a book", 3: "Go for a walk"}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    name = f"test-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    monkeypatch.setattr(module, "COLLECTION", name)
    made = Index(URL)
    yield made
    made.close()
    httpx.delete(f"{URL}/collections/{name}")


def test_a_name_has_a_vector_of_length_1_that_case_and_blanks_do_not_change() -> None:
    assert math.isclose(math.hypot(*vector("Read a book")), 1)
    assert vector("Read a book") == vector("  read A  book ")
    assert vector("Read a book") != vector("Read ten pages")


def test_the_same_name_comes_first_with_1(index: Index) -> None:
    first, second, *rest = index.similar(HABITS, "read a book")
    assert (first.id, first.name) == (2, "Read a book") and math.isclose(first.score, 1)
    assert second.id == 1 and second.score < 1
    assert all(match.id == 3 for match in rest)


def test_the_index_follows_the_habits(index: Index) -> None:
    index.similar(HABITS, "read")
    changed = {1: "Sleep eight hours", 2: "Read a book", 4: "Read the news"}
    assert {match.id for match in index.similar(changed, "read")} == {2, 4}
    assert index.similar(changed, "sleep")[0].id == 1


def test_an_index_that_was_lost_is_made_again(index: Index) -> None:
    before = index.similar(HABITS, "read")
    httpx.delete(f"{URL}/collections/{module.COLLECTION}").raise_for_status()
    assert index.similar(HABITS, "read") == before


def test_more_than_a_page_of_habits_is_known(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 10)
    many = {number: f"habit number {number}" for number in range(1, 36)}
    index.similar(many, "habit")
    assert index.similar(many, "habit number 35")[0].id == 35
    assert index.similar({35: "habit number 35"}, "habit number 1")[0].id == 35


def test_nobody_there_is_one_kind_of_error() -> None:
    with pytest.raises(IndexAway):
        Index("http://127.0.0.1:9").similar(HABITS, "read")
