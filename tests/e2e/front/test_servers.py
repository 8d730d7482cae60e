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


@pytest.fixture(scope="module", params=MODES)
def routes(request: pytest.FixtureRequest, programs: Programs) -> Iterator[list[Route]]:
    """Every app, by `serve`."""
    with ExitStack() as stack:
        servers = [served(programs, app, MODES[request.param]) for app in ALL]
        yield [stack.enter_context(server)[0] for server in servers]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_it_is_answered_as_by_a_bare_server(
    row: Row, routes: list[Route], bare: Bare, request: pytest.FixtureRequest
) -> None:
    if "production" in request.node.name and (row.status or row.like):
        pytest.skip("what stands in front of it sees to that")
    if row.name == SPOOFED:
        pytest.skip("this machine, where the test is, is believed; test_parity.py is elsewhere")
    same(row, routes, bare)
