"""The live services together: what is typed into a page arrives in the API and comes back."""

import re
from collections.abc import Callable, Iterator

import httpx
import pytest

Live = Callable[[str, str], str]


@pytest.fixture
def pages(live: Live) -> Iterator[httpx.Client]:
    url = live("APP_URL", "http://app:5000")
    with httpx.Client(base_url=url, follow_redirects=True) as client:
        yield client


def send(pages: httpx.Client, path: str, **fields: str) -> str:
    """Send a form of the list's page; return the page that follows."""
    token = re.search(r'name="csrf_token" value="([^"]+)"', pages.get("/").text)
    assert token
    answer = pages.post(path, data={"csrf_token": token[1], **fields})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_habit_travels_from_the_page_to_the_api_and_back(
    api: httpx.Client, pages: httpx.Client
) -> None:
    assert "Take the gangway" in send(pages, "/habits", name="Take the gangway")
    (habit,) = api.get("/habits").json()
    assert (habit["name"], habit["streak"]) == ("Take the gangway", 0)
    assert "1 day<" in send(pages, f"/habits/{habit['id']}/checkins")
    (habit,) = api.get("/habits").json()
    assert (habit["streak"], habit["done_today"]) == (1, True)


def test_what_the_api_is_told_the_page_shows_at_once(
    api: httpx.Client, pages: httpx.Client
) -> None:
    assert "No habits yet" in pages.get("/").text
    habit = api.post("/habits", json={"name": "Walk"}).json()
    assert "Walk" in pages.get("/").text
    assert api.delete(f"/habits/{habit['id']}").status_code == 204
    assert "No habits yet" in pages.get("/").text


def test_both_services_describe_themselves(api: httpx.Client, pages: httpx.Client) -> None:
    for service in (api, pages):
        health = service.get("/health")
        assert health.json()["status"] == "ok"
        assert health.json()["instance"] == health.headers["X-Instance"]
    assert "/habits" in api.get("/openapi.json").json()["paths"]
    assert pages.get("/static/style.css").headers["Content-Type"].startswith("text/css")
