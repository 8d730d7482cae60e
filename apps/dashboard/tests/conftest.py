"""The dashboard in this process, on the test database."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from dashboard.cache import Cache
from dashboard.data import Data
from dashboard.main import create_server
from dashboard.settings import Settings, load

MakeData = Callable[..., Data]
Serve = Callable[..., FlaskClient]


@pytest.fixture
def plots() -> Settings:
    """The environment's settings, for the database of this worker, with nothing kept."""
    return replace(load(), cache_seconds=0)


@pytest.fixture
def make_data(plots: Settings) -> Iterator[MakeData]:
    """Read the database with other settings; the connections are given back in the end."""
    made = []

    def make(**changes: Any) -> Data:
        settings = replace(plots, **changes)
        made.append(Data(settings, Cache(settings)))
        return made[-1]

    yield make
    for data in made:
        data.close()


@pytest.fixture
def data(make_data: MakeData) -> Data:
    return make_data()


@pytest.fixture
def serve(plots: Settings) -> Iterator[Serve]:
    """Serve the dashboard with other settings."""
    made = []

    def make(**changes: Any) -> FlaskClient:
        server = create_server(replace(plots, **changes))
        made.append(server)
        return server.test_client()

    yield make
    for server in made:
        server.extensions["data"].close()


@pytest.fixture
def add(database: Any) -> Callable[..., int]:
    """Add a habit that was kept on some days, as days before today; return its number."""

    def make(name: str, days_ago: range | tuple[int, ...] = ()) -> int:
        number: int = database.value("INSERT INTO habits (name) VALUES ($1) RETURNING id", name)
        for ago in days_ago:
            day = datetime.now(UTC).date() - timedelta(days=ago)
            database.execute("INSERT INTO checkins VALUES ($1, $2)", number, day)
        return number

    return make


@pytest.fixture
def filled() -> Callable[..., dict[str, Any]]:
    """Return what the page is filled with, by the request that a browser makes for it."""

    def ask(client: FlaskClient, chosen: Any = None, period: Any = 14) -> dict[str, Any]:
        (callback,) = json.loads(client.get("/_dash-dependencies").text)
        names = [part.rpartition(".") for part in callback["output"].strip(".").split("...")]
        values = {"habits": chosen, "period": period, "tick": 0}
        body = {
            "output": callback["output"],
            "outputs": [{"id": name, "property": kind} for name, _, kind in names],
            "inputs": [{**each, "value": values[each["id"]]} for each in callback["inputs"]],
            "changedPropIds": [],
        }
        answer = client.post("/_dash-update-component", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = json.loads(answer.text)["response"]
        return found

    return ask
