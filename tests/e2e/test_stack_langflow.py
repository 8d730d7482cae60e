"""Langflow beside the full stack, for whoever asks for it: in a schema of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import Browser

from tests.e2e import browser as browsers
from tests.e2e.conftest import MakeCheckout
from tests.e2e.support import Checkout, web

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def checkout(make_checkout: MakeCheckout) -> Iterator[Checkout]:
    checkout = make_checkout("flows", GANGWAY_STACK="fullstack")
    yield checkout
    checkout.succeed("dev.down", "--volumes", "--yes")


@pytest.fixture(scope="module")
def url(checkout: Checkout) -> str:
    done = checkout.succeed("dev.up", "langflow", "--ports", "auto", timeout=600)
    table = dict(line.split() for line in done.stdout.splitlines() if "://" in line)
    assert set(table) == {"langflow", "postgres"}
    return table["langflow"]


@contextmanager
def signed_in(url: str) -> Iterator[httpx.Client]:
    """Return a client whom Langflow knows, for the block."""
    with web(url) as client:
        client.timeout = httpx.Timeout(60)
        token = client.get("/api/v1/auto_login").json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with signed_in(url) as client:
        yield client


def save(client: httpx.Client, name: str) -> str:
    """Save an empty flow; return its number."""
    flow = {"name": name, "data": {"nodes": [], "edges": []}}
    answer = client.post("/api/v1/flows/", json=flow)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_its_tables_are_all_in_its_own_schema(checkout: Checkout, client: httpx.Client) -> None:
    number = save(client, "Coil the lines")
    assert checkout.sql("dev", f"select name from langflow.flow where id = '{number}'") == (
        "Coil the lines"
    )
    tables = checkout.sql("dev", "select tablename from pg_tables where schemaname = 'public'")
    assert set(tables.split()) == {"alembic_version", "checkins", "habits", "summaries"}


def test_its_page_shows_the_flows_in_a_browser(
    client: httpx.Client, url: str, browser: Browser
) -> None:
    save(client, "Weigh the anchor")
    # The page asks other servers too (fonts, news): what it says of those is its own affair.
    with browsers.visit(browser, url) as found:
        found.page.get_by_text("Weigh the anchor").wait_for()
        found.keep("langflow")


def test_a_flow_outlives_its_container(checkout: Checkout, client: httpx.Client, url: str) -> None:
    number = save(client, "Furl the sails")
    checkout.succeed("dev.down")
    checkout.succeed("dev.up", "langflow", timeout=300)
    with signed_in(url) as again:
        assert again.get(f"/api/v1/flows/{number}").json()["name"] == "Furl the sails"
