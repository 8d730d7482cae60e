"""Development's and production's servers answer as a bare one does; no container is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.front.places import Bare, Programs, Route, same, served
from tests.e2e.front.table import ALL, ROWS, SPOOFED, Row

# What the containers get in each environment.
MODES = {
    "development": {
        "ENVIRONMENT": "development",
        "FORWARDED_ALLOW_IPS": "",
        "LOG_LEVEL": "debug",
        "RELOAD": "1",
    },
    "production": {"ENVIRONMENT": "production", "FORWARDED_ALLOW_IPS": ""},
}


# This machine, where the test is, is always believed: test_parity.py asks from elsewhere.
SERVED = [row for row in ROWS if row.name != SPOOFED]
# What has an answer of its own is seen to by what stands in front of production.
BEHIND = [row for row in SERVED if not (row.status or row.like)]


@pytest.fixture(scope="module")
def routes(request: pytest.FixtureRequest, programs: Programs) -> Iterator[list[Route]]:
    """Every app, by `serve`."""
    with ExitStack() as stack:
        servers = [served(programs, app, MODES[request.param]) for app in ALL]
        yield [stack.enter_context(server)[0] for server in servers]


@pytest.mark.parametrize("routes", ["development"], indirect=True)
@pytest.mark.parametrize("row", SERVED, ids=lambda row: row.name)
def test_development_answers_as_a_bare_server(row: Row, routes: list[Route], bare: Bare) -> None:
    same(row, routes, bare)


@pytest.mark.parametrize("routes", ["production"], indirect=True)
@pytest.mark.parametrize("row", BEHIND, ids=lambda row: row.name)
def test_production_answers_as_a_bare_server(row: Row, routes: list[Route], bare: Bare) -> None:
    same(row, routes, bare)
