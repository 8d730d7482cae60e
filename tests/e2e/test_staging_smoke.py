"""Staging is a file: production's overlay under names, ports and secrets of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.e2e import production
from tests.e2e.conftest import MakeCheckout
from tests.e2e.support import Checkout, add_by_page, habits, myself, web

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Stack:
    """The running stack that the tests of this file share."""

    checkout: Checkout
    url: str


@pytest.fixture(scope="module")
def stack(make_checkout: MakeCheckout) -> Stack:
    # Root, where root runs the tests: the secrets must then go to the containers' user.
    checkout = make_checkout("checkout", myself())
    checkout.succeed("staging.init")
    checkout.succeed("staging.up", "--ports", "auto")
    urls = checkout.urls("staging")
    assert set(urls) == {"nginx"}
    return Stack(checkout, urls["nginx"])


@pytest.fixture
def checkout(stack: Stack) -> Checkout:
    return stack.checkout


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with web(stack.url) as client:
        yield client


def test_requests_pass_through_the_proxy(client: httpx.Client) -> None:
    assert "Stage it" in add_by_page(client, "Stage it").text
    assert habits(client, "/api/habits") == {"Stage it"}


def test_its_containers_are_production_s_under_another_name(checkout: Checkout) -> None:
    found = production.by_service(checkout, "staging")
    assert set(found) == production.SERVICES
    assert [fault for name in found for fault in production.faults(name, found[name])] == []
    assert checkout.project("staging") == f"{checkout.prefix}-staging"
    start = f"/{checkout.prefix}-staging-"
    assert all(record["Name"].startswith(start) for record in found.values())


def test_the_apps_know_that_they_are_staging(checkout: Checkout) -> None:
    for service in ("api", "app", "scheduler"):
        done = checkout.succeed("staging.exec", service, "--", "printenv", "ENVIRONMENT")
        assert done.stdout == "staging\n"


def test_its_secrets_are_its_own(checkout: Checkout) -> None:
    assert not (checkout.root / "secrets/prod").exists()
    mounts = {
        mount.get("Name")
        for record in checkout.containers("staging")
        for mount in record["Mounts"]
        if mount["Destination"].startswith("/run/secrets")
    }
    assert mounts == {f"{checkout.project('staging')}-secrets"}
    secrets = production.read_secrets(checkout, "staging")
    assert production.exposures(checkout, "staging", secrets) == []


def test_an_environment_is_a_file(checkout: Checkout) -> None:
    text = (checkout.root / "env/staging.env").read_text(encoding="utf-8")
    for old, new in (
        (f"{checkout.prefix}-staging", f"{checkout.prefix}-demo"),
        ("PUBLISHED_HTTP_PORT=8081", "PUBLISHED_HTTP_PORT=8083"),
        ("./secrets/staging", "./secrets/demo"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = checkout.write("env/demo.env", text)
    try:
        listed = checkout.succeed("--list").stdout
        assert "demo" in listed
        assert "init" in checkout.succeed("--list", "demo").stdout
        done = checkout.succeed("demo.config", "--", "--format", "json")
        model = json.loads(done.stdout)
        assert model["name"] == f"{checkout.prefix}-demo"
        (port,) = model["services"]["nginx"]["ports"]
        assert port["published"] == "8083"
        assert model["secrets"]["secret_key"]["file"].endswith("/secrets/demo/secret_key")
    finally:
        file.unlink()


def test_down_leaves_the_data_and_down_with_volumes_nothing(checkout: Checkout) -> None:
    checkout.succeed("staging.down")
    assert checkout.leftovers("staging") == checkout.volumes("staging", *production.VOLUMES)
    checkout.succeed("staging.down", "--volumes", "--yes")
    assert checkout.leftovers("staging") == []
