"""The shipped front end and the live API together: what one is told the other shows."""

from collections.abc import Callable, Iterator

import httpx
import pytest

Live = Callable[[str, str], str]


@pytest.fixture
def pages(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live("FRONTEND_URL", "http://frontend:3000"), timeout=60) as client:
        yield client


def test_what_the_api_is_told_the_page_shows(api: httpx.Client, pages: httpx.Client) -> None:
    assert "Walk the plank" not in pages.get("/").text
    assert api.post("/habits", json={"name": "Walk the plank"}).status_code == 201
    assert "Walk the plank" in pages.get("/").text


def test_the_pages_pass_on_what_the_browser_asks_of_the_api(
    api: httpx.Client, pages: httpx.Client
) -> None:
    added = pages.post("/api/habits", json={"name": "Coil the lines"})
    assert added.status_code == 201
    assert [habit["name"] for habit in api.get("/habits").json()] == ["Coil the lines"]
    assert pages.post("/api/habits", json={"name": "Coil the lines"}).status_code == 409
    assert pages.get("/api/nothing").status_code == 404


def test_the_front_end_is_well(pages: httpx.Client) -> None:
    assert pages.get("/health").status_code == 200
    assert pages.get("/nothing-here").status_code == 404
