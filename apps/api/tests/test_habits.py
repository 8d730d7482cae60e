"""What can be done with habits over HTTP."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

pytestmark = pytest.mark.anyio


def days_ago(days: int) -> date:
    return datetime.now(UTC).date() - timedelta(days=days)


async def add(client: AsyncClient, name: str = "Read") -> Any:
    answer = await client.post("/habits", json={"name": name})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_new_habit_is_listed_and_can_be_read(client: AsyncClient) -> None:
    habit = await add(client, "  Read ten pages ")
    assert habit["name"] == "Read ten pages"
    assert (habit["streak"], habit["longest"], habit["done_today"]) == (0, 0, False)
    assert (await client.get("/habits")).json() == [habit]
    assert (await client.get(f"/habits/{habit['id']}")).json() == habit


async def test_habits_are_listed_by_name(client: AsyncClient) -> None:
    for name in ("Walk", "Read", "Sleep"):
        await add(client, name)
    names = [habit["name"] for habit in (await client.get("/habits")).json()]
    assert names == ["Read", "Sleep", "Walk"]


async def test_a_name_is_taken_once(client: AsyncClient) -> None:
    await add(client, "Read")
    answer = await client.post("/habits", json={"name": "Read"})
    assert answer.status_code == 409
    assert "Read" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "two\nlines", "nul\x00", None, 7])
async def test_a_name_that_is_none_is_refused(client: AsyncClient, name: object) -> None:
    assert (await client.post("/habits", json={"name": name})).status_code == 422
    assert (await client.get("/habits")).json() == []


async def test_names_of_any_script_come_back_whole(client: AsyncClient) -> None:
    name = "Día 日 🏃 <b>&'\";--"
    assert (await add(client, name))["name"] == name


async def test_checking_in_twice_on_a_day_counts_once(client: AsyncClient) -> None:
    url = f"/habits/{(await add(client))['id']}"
    first, second = [await client.post(f"{url}/checkins") for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    habit = (await client.get(url)).json()
    assert (habit["streak"], habit["done_today"]) == (1, True)


@pytest.mark.parametrize(
    ("days", "streak", "longest"),
    [
        ([0], 1, 1),
        ([1], 1, 1),
        ([2], 0, 1),
        ([0, 1, 2], 3, 3),
        ([1, 2, 4, 5, 6, 7], 2, 4),
        ([0, 2, 3], 1, 2),
    ],
)
async def test_a_streak_ends_when_a_whole_day_was_missed(
    client: AsyncClient, days: list[int], streak: int, longest: int
) -> None:
    url = f"/habits/{(await add(client))['id']}"
    for day in days:
        await client.post(f"{url}/checkins", json={"day": days_ago(day).isoformat()})
    habit = (await client.get(url)).json()
    assert (habit["streak"], habit["longest"]) == (streak, longest)


async def test_nobody_checks_in_for_tomorrow(client: AsyncClient) -> None:
    url = f"/habits/{(await add(client))['id']}/checkins"
    answer = await client.post(url, json={"day": days_ago(-1).isoformat()})
    assert answer.status_code == 422


async def test_a_deleted_habit_is_gone_with_its_checkins(client: AsyncClient) -> None:
    url = f"/habits/{(await add(client))['id']}"
    await client.post(f"{url}/checkins")
    assert (await client.delete(url)).status_code == 204
    assert (await client.get("/habits")).json() == []
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/checkins")):
        assert (await client.request(method, url + path)).status_code == 404


@pytest.mark.parametrize("habit_id", ["0", "-1", "99999999999999", "x"])
async def test_an_id_that_cannot_be_is_refused(client: AsyncClient, habit_id: str) -> None:
    assert (await client.get(f"/habits/{habit_id}")).status_code == 422


async def test_the_latest_summary_is_shown(client: AsyncClient, database: Any) -> None:
    assert (await client.get("/summary")).json() == {"day": None, "habits": []}
    habit = await add(client, "Read")
    for day, streak in ((days_ago(1), 6), (days_ago(0), 7)):
        sql = "INSERT INTO summaries VALUES ($1, $2, $3, 9)"
        database.execute(sql, day, habit["id"], streak)
    assert (await client.get("/summary")).json() == {
        "day": days_ago(0).isoformat(),
        "habits": [{"habit_id": habit["id"], "name": "Read", "streak": 7, "longest": 9}],
    }
