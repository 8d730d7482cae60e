"""The app's own tests, which `invoke test.run` runs in the throw-away stack."""

import asyncio
import os
import time

import httpx
from notes import connect, health


def test_health() -> None:
    assert health() == {"status": "ok"}


def test_a_note_is_kept() -> None:
    with httpx.Client(base_url=os.environ["API_URL"]) as client:
        for _ in range(300):
            try:
                client.get("/health").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        assert client.post("/notes/milk").status_code == 201
        assert "milk" in client.get("/notes").json()


def test_the_database_is_the_tests_own() -> None:
    async def name() -> str:
        connection = await connect()
        found = await connection.fetchval("SELECT current_database()")
        await connection.close()
        return str(found)

    assert asyncio.run(name()).endswith("_test")
