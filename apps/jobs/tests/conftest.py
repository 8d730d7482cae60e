"""A migrated database of the tests' own, beside the one that the live services use.

What a test leaves half done there is no worker's business.
"""

import asyncio
import os
import time
import urllib.request
from collections.abc import Coroutine, Iterator
from typing import Any

import psycopg
import pytest
from following import Run

READY_SECONDS = 180
OWN = "_".join(
    filter(None, [os.environ["POSTGRES_DB"], "own", os.environ.get("PYTEST_XDIST_WORKER")])
)
"""The name of the database."""


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run where there may be data that somebody wants to keep; then set Django up."""
    environment = os.environ.get("ENVIRONMENT", "")
    if environment != "test":
        pytest.exit(
            f"These tests make and delete jobs, and ENVIRONMENT is {environment or 'not set'}, not"
            " test: run them with `invoke test.run --stack jobs`.",
            returncode=2,
        )
    from jobs.environment import load

    server = load().database
    with psycopg.connect(
        host=server.host, port=server.port, user=server.user, password=server.password,
        dbname=server.name, autocommit=True,
    ) as connection:  # fmt: skip
        connection.execute(f'DROP DATABASE IF EXISTS "{OWN}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{OWN}"')
    os.environ |= {"POSTGRES_DB": OWN, "DJANGO_SETTINGS_MODULE": "jobs.settings"}

    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


@pytest.fixture(autouse=True)
def nothing_there() -> Iterator[None]:
    """Every test starts without jobs, and leaves no connection."""
    from django.db import connection

    from jobs.models import Job

    Job.objects.all().delete()
    yield
    connection.close()


Body = dict[str, Any]


@pytest.fixture
def body() -> Body:
    """A request for a report on two habits."""
    return {
        "title": "November",
        "from": "2026-11-01",
        "to": "2026-11-10",
        "habits": [
            {"name": "Read", "days": ["2026-11-01", "2026-11-02", "2026-11-04"]},
            {"name": "Walk", "days": ["2026-11-09", "2026-11-10", "2026-12-01"]},
        ],
    }


@pytest.fixture
def job(body: Body) -> Any:
    """A job that nobody has taken up."""
    from jobs import progress
    from jobs.models import Mode

    return progress.create(Mode.PLAIN, body, len(body["habits"]))


@pytest.fixture
def live() -> str:
    """The address of the API that runs, with a worker behind it."""
    url = os.environ.get("API_URL") or "http://api:8000"
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=5):
                return url
        except OSError as error:
            if time.monotonic() > deadline:
                pytest.fail(f"{url} is not ready after {READY_SECONDS} s: {error}")
        time.sleep(0.1)


@pytest.fixture
def run() -> Run:
    """Run a coroutine to its end, within a minute."""

    def to_its_end(coroutine: Coroutine[Any, Any, Any]) -> Any:
        async def limited() -> Any:
            async with asyncio.timeout(60):
                return await coroutine

        return asyncio.run(limited())

    return to_its_end
