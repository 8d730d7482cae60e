"""What all tests share: the real database and cache, emptied before each test."""

import asyncio
import gc
import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import asyncpg
import pytest

from api.cache import Cache
from api.settings import Settings, load

READY_SECONDS = 30

os.environ.setdefault("SECRET_KEY", "only for tests")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run where there may be data that somebody wants to keep."""
    environment = os.environ.get("ENVIRONMENT", "")
    if environment != "test":
        pytest.exit(
            f"These tests delete all habits, and ENVIRONMENT is {environment or 'not set'}, not"
            " test: run them with `invoke test.run`.",
            returncode=2,
        )


def pytest_unconfigure() -> None:
    """End at once: Python would look for garbage first, in all the libraries that are loaded."""
    gc.freeze()


Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Database:
    """The test database, for arranging and checking what the applications do to it."""

    def __init__(self, run: Run, connection: "asyncpg.Connection[Any]") -> None:
        self._run, self._connection = run, connection

    def execute(self, sql: str, *values: object) -> None:
        """Run one statement."""
        self._run(self._connection.execute(sql, *values))

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        return [tuple(row) for row in self._run(self._connection.fetch(sql, *values))]

    def value(self, sql: str, *values: object) -> Any:
        """Return the one value that a query finds."""
        return self._run(self._connection.fetchval(sql, *values))


@pytest.fixture(scope="session")
def settings() -> Settings:
    """The settings that the API is run with."""
    return load()


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """Run a coroutine to its end from any test, async ones too: on a loop in another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def database(settings: Settings, run: Run) -> Iterator[Database]:
    """One connection for the whole session: making one takes longer than most tests."""
    connection = run(
        asyncpg.connect(
            host=settings.postgres_host,
            port=settings.postgres_port,
            database=settings.postgres_db,
            user=settings.postgres_user,
            password=settings.postgres_password,
        )
    )
    yield Database(run, connection)
    run(connection.close())


@pytest.fixture(autouse=True)
def nothing_there(database: Database, settings: Settings, run: Run) -> None:
    """Every test starts with no habit, and no list of habits in the cache."""
    database.execute("DELETE FROM habits")

    async def forget() -> None:
        cache = Cache(settings)
        await cache.invalidate()
        await cache.close()

    run(forget())


@pytest.fixture(scope="session")
def live() -> Callable[[str, str], str]:
    """Return a function that waits for a live service and returns its address."""
    known: set[str] = set()

    def wait(variable: str, default: str) -> str:
        url = os.environ.get(variable) or default
        if url not in known:
            _wait_ready(url, time.monotonic() + READY_SECONDS)
            known.add(url)
        return url

    return wait


def _wait_ready(url: str, deadline: float) -> None:
    reason: Exception | None = None
    while True:
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=5) as answer:
                if json.load(answer)["status"] == "ok":
                    return
        except (OSError, ValueError) as error:
            reason = error
        if time.monotonic() > deadline:
            pytest.fail(f"{url} is not ready after {READY_SECONDS} s: {reason}")
        time.sleep(0.05)
