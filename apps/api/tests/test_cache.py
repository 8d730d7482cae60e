"""The cache shows nothing old, and nobody notices when it is away."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from httpx import AsyncClient

from api.cache import Cache
from api.settings import Settings

pytestmark = pytest.mark.anyio
Serve = Callable[[Settings], AbstractAsyncContextManager[AsyncClient]]


async def names(client: AsyncClient) -> list[str]:
    return [habit["name"] for habit in (await client.get("/habits")).json()]


async def test_the_list_is_kept_until_the_next_write(client: AsyncClient, database: Any) -> None:
    await client.post("/habits", json={"name": "Read"})
    assert await names(client) == ["Read"]
    database.execute("UPDATE habits SET name = 'Changed behind the API'")
    assert await names(client) == ["Read"]
    await client.post("/habits", json={"name": "Walk"})
    assert await names(client) == ["Changed behind the API", "Walk"]


@pytest.mark.parametrize("write", ["POST /checkins", "DELETE "])
async def test_every_write_is_seen_at_once(client: AsyncClient, write: str) -> None:
    habit = (await client.post("/habits", json={"name": "Read"})).json()
    before = (await client.get("/habits")).json()
    method, path = write.split(" ")
    await client.request(method, f"/habits/{habit['id']}{path}")
    assert (await client.get("/habits")).json() != before


async def test_a_reader_overtaken_by_a_write_leaves_nothing_old(settings: Settings) -> None:
    cache = Cache(settings)
    key, held = await cache.get("2001-01-01")
    assert key is not None and held is None
    await cache.invalidate()
    await cache.put(key, ["old"])
    assert (await cache.get("2001-01-01"))[1] is None
    await cache.close()


async def test_without_redis_the_api_works_uncached(
    settings: Settings, serve: Serve, database: Any
) -> None:
    async with serve(replace(settings, redis_port=1)) as client:
        assert (await client.post("/habits", json={"name": "Read"})).status_code == 201
        assert await names(client) == ["Read"]
        database.execute("UPDATE habits SET name = 'Walk'")
        assert await names(client) == ["Walk"]


async def test_a_write_that_redis_missed_is_made_known_when_it_is_back(settings: Settings) -> None:
    cache, other = Cache(settings), Cache(settings)
    key, _ = await other.get("2001-01-01")
    assert key is not None
    await other.put(key, ["old"])
    cache._pause(OSError("away"))
    await cache.invalidate()
    cache._away_until = 0
    assert (await cache.get("2001-01-01"))[1] is None
    assert (await other.get("2001-01-01"))[1] is None
    await cache.close()
    await other.close()
