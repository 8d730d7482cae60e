"""Django and FastAPI beside each other: what one writes, the other has."""

import json

import httpx
import pytest

JSON = {"Content-Type": "application/json"}
BAD_NAMES = ["", "   ", "x" * 101, "two\nlines", "half \ud800", 7, None]


def names(client: httpx.Client) -> list[str]:
    return [habit["name"] for habit in client.get("/habits").json()]


def similar(client: httpx.Client, text: str) -> list[str]:
    answer = client.get("/similar", params={"text": text})
    assert answer.status_code == 200, answer.text
    return [match["name"] for match in answer.json()]


def test_what_django_writes_fastapi_serves_at_once(
    django_live: httpx.Client, fastapi_live: httpx.Client
) -> None:
    # FastAPI has the empty list in its cache now.
    assert names(fastapi_live) == []
    added = django_live.post("/habits", json={"name": "Read"})
    assert added.status_code == 201
    assert names(fastapi_live) == ["Read"]
    habit = added.json()["id"]
    assert django_live.post(f"/habits/{habit}/checkins").status_code == 201
    assert fastapi_live.get("/habits").json()[0]["streak"] == 1
    assert django_live.delete(f"/habits/{habit}").status_code == 204
    assert names(fastapi_live) == []


def test_what_fastapi_writes_django_serves(
    django_live: httpx.Client, fastapi_live: httpx.Client
) -> None:
    habit = fastapi_live.post("/habits", json={"name": "Walk"}).json()["id"]
    assert names(django_live) == ["Walk"]
    assert django_live.get(f"/habits/{habit}").json()["name"] == "Walk"
    assert "<span>Walk</span>" in django_live.get("/").text
    assert fastapi_live.delete(f"/habits/{habit}").status_code == 204
    assert django_live.get(f"/habits/{habit}").status_code == 404


def test_both_find_the_same_similar_habits(
    django_live: httpx.Client, fastapi_live: httpx.Client
) -> None:
    for client, name in (
        (django_live, "Read ten pages"),
        (fastapi_live, "Read a book"),
        (django_live, "Drink water"),
    ):
        assert client.post("/habits", json={"name": name}).status_code == 201
    wanted = "reading"
    found = similar(django_live, wanted)
    assert found == similar(fastapi_live, wanted)
    assert set(found) == {"Read ten pages", "Read a book"}


def test_a_habit_that_is_gone_is_not_found_any_more(
    django_live: httpx.Client, fastapi_live: httpx.Client
) -> None:
    habit = django_live.post("/habits", json={"name": "Swim"}).json()["id"]
    assert similar(fastapi_live, "Swim") == ["Swim"]
    fastapi_live.delete(f"/habits/{habit}")
    assert similar(django_live, "Swim") == []
    assert similar(fastapi_live, "Swim") == []


@pytest.mark.parametrize("name", BAD_NAMES)
def test_both_refuse_the_same_names(
    django_live: httpx.Client, fastapi_live: httpx.Client, name: object
) -> None:
    both = (django_live, fastapi_live)
    body = json.dumps({"name": name})
    answers = [client.post("/habits", content=body, headers=JSON) for client in both]
    assert [answer.status_code for answer in answers] == [422, 422]


def test_both_refuse_a_name_that_is_taken(
    django_live: httpx.Client, fastapi_live: httpx.Client
) -> None:
    assert django_live.post("/habits", json={"name": "Sing"}).status_code == 201
    assert fastapi_live.post("/habits", json={"name": "Sing"}).status_code == 409
    assert django_live.post("/habits", json={"name": "Sing"}).status_code == 409


def test_the_admin_has_its_tables_and_its_looks(django_live: httpx.Client) -> None:
    page = django_live.get("/admin/login/")
    assert page.status_code == 200 and "Django administration" in page.text
    assert django_live.get("/static/admin/css/base.css").status_code == 200
