"""What all tests share: the real database and cache, emptied before each test.

Each worker of pytest-xdist (``-n 2``) has a database of its own, and versions of the cache of its
own. The live services know nothing of that: their tests keep to the main database, on whichever
worker, one at a time.
"""

import asyncio
import contextlib
import gc
import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Coroutine, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from api.cache import VERSION, Cache
from api.settings import Settings, load

READY_SECONDS = 180
MOST_WORKERS = 4
"""What ``-n auto`` starts at most: each needs some 100 MB and some of PostgreSQL's connections."""
LOCK = 1
"""The advisory lock of the template database, and of the live services."""
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
"""Which of pytest-xdist's workers this process is; empty without it."""
MAIN = load()
"""The settings of the live services."""

if "SECRET_KEY_FILE" not in os.environ:
    os.environ.setdefault("SECRET_KEY", "only for tests")
if WORKER:
    # Before any test module is imported: some load their settings then.
    os.environ["POSTGRES_DB"] = f"{MAIN.postgres_db}_{WORKER}"


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run where there may be data that somebody wants to keep."""
    environment = os.environ.get("ENVIRONMENT", "")
    if environment != "test":
        pytest.exit(
            f"These tests delete all habits, and ENVIRONMENT is {environment or 'not set'}, not"
            " test: run them with `invoke test.run`.",
            returncode=2,
        )


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Start no more workers than the runner has memory for."""
    return min((yield), MOST_WORKERS)


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
def run() -> Iterator[Run]:
    """Run a coroutine to its end from any test, async ones too: on a loop in another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@contextlib.contextmanager
def connected(settings: Settings, run: Run) -> Iterator[Database]:
    """Connect to the database of ``settings`` for the block."""
    connection = run(
        asyncpg.connect(
            host=settings.postgres_host,
            port=settings.postgres_port,
            database=settings.postgres_db,
            user=settings.postgres_user,
            password=settings.postgres_password,
        )
    )
    try:
        yield Database(run, connection)
    finally:
        run(connection.close())


@contextlib.contextmanager
def locked(database: Database) -> Iterator[None]:
    """Let one worker at a time into the block, of those that are connected to this database."""
    database.execute(f"SELECT pg_advisory_lock({LOCK})")
    try:
        yield
    finally:
        database.execute(f"SELECT pg_advisory_unlock({LOCK})")


@pytest.fixture(scope="session")
def settings(run: Run) -> Iterator[Settings]:
    """The settings that the API is run with: for a worker, with a database of its own."""
    if not WORKER:
        yield MAIN
        return
    own = load()
    with connected(replace(MAIN, postgres_db="postgres"), run) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{own.postgres_db}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{own.postgres_db}" TEMPLATE "{template(server)}"')
        yield own
        server.execute(f'DROP DATABASE "{own.postgres_db}" WITH (FORCE)')


def template(server: Database) -> str:
    """Return the migrated database to copy, made by the first worker of this run that asks.

    The main database cannot be copied: the live services are connected to it.
    """
    name, this_run = f"{MAIN.postgres_db}_template", os.environ["PYTEST_XDIST_TESTRUNUID"]
    with locked(server):
        finished_by = server.value(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", name
        )
        if finished_by != this_run:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            server.execute(f'CREATE DATABASE "{name}"')
            migrate(name)
            server.execute(f"COMMENT ON DATABASE \"{name}\" IS '{this_run}'")
    return name


def migrate(name: str) -> None:
    """Do to a database what ``alembic upgrade head`` does."""
    from alembic import command
    from alembic.config import Config

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSTGRES_DB", name)
        command.upgrade(Config(str(Path(__file__).parent / "api/alembic.ini")), "head")


@pytest.fixture(scope="session")
def own_database(settings: Settings, run: Run) -> Iterator[Database]:
    """One connection for the whole session: making one takes longer than most tests."""
    with connected(settings, run) as database:
        yield database


@pytest.fixture(scope="session")
def main_database(run: Run) -> Iterator[Database]:
    """The same for a worker's tests of the live services."""
    with connected(MAIN, run) as database:
        yield database


@pytest.fixture(scope="session")
def own_cache(settings: Settings, run: Run) -> Iterator[Cache]:
    """One connection to the cache for the whole session, too."""
    cache = Cache(settings)
    yield cache
    run(cache.close())


@pytest.fixture
def shared(request: pytest.FixtureRequest) -> bool:
    """Whether the test needs the live services, which all workers share."""
    return bool(WORKER) and "live" in request.fixturenames


@pytest.fixture
def database(request: pytest.FixtureRequest, shared: bool) -> Database:
    """The database that what is tested uses."""
    found = request.getfixturevalue("main_database" if shared else "own_database")
    assert isinstance(found, Database)
    return found


@pytest.fixture(autouse=True)
def nothing_there(
    database: Database, own_cache: Cache, run: Run, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Every test starts with no habit, and no list of habits in the cache."""
    if WORKER and not shared:
        monkeypatch.setattr("api.cache.VERSION", f"{VERSION}:{WORKER}")

    with locked(database) if shared else contextlib.nullcontext():
        database.execute("DELETE FROM habits")
        run(own_cache.invalidate())
        yield


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


@pytest.fixture(scope="session")
def api(live: Callable[[str, str], str]) -> Iterator[httpx.Client]:
    """A client of the live API."""
    with httpx.Client(base_url=live("API_URL", "http://api:8000")) as client:
        yield client


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
