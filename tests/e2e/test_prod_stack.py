"""Production of any stack, by `nox -s prod_smoke -- --stack NAME`: hardened, proxied, clean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e import production
from tests.e2e.conftest import MakeCheckout
from tests.e2e.support import Checkout, docker, eventually, web

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

#: Seconds in which images may be built.
BUILT = 800.0


@dataclass(frozen=True)
class Shipped:
    """The stack that runs."""

    checkout: Checkout
    url: str


@pytest.fixture(scope="module")
def shipped(make_checkout: MakeCheckout, request: pytest.FixtureRequest) -> Iterator[Shipped]:
    checkout = make_checkout("shipped", GANGWAY_STACK=request.config.getoption("--stack"))
    checkout.succeed("prod.init")
    checkout.succeed("prod.build", timeout=BUILT)
    checkout.succeed("prod.up", "--ports", "auto")
    urls = checkout.urls("prod")
    assert set(urls) == {"nginx"}
    yield Shipped(checkout, urls["nginx"])
    checkout.succeed("prod.down", "--volumes", "--yes")
    assert checkout.leftovers("prod") == []


def test_every_container_is_held_to_production_s_rules(shipped: Shipped) -> None:
    found = production.by_service(shipped.checkout, "prod")
    assert {"nginx", "migrate"} < set(found)
    assert [fault for name in found for fault in production.faults(name, found[name])] == []


def unwell(checkout: Checkout) -> list[str]:
    """Return the services that don't run healthily, or, made to end, didn't end well."""
    found = []
    for name, record in production.by_service(checkout, "prod").items():
        state = record["State"]
        ended = not state["Running"] and state["ExitCode"] == 0
        if not (ended if name == "migrate" else state["Health"]["Status"] == "healthy"):
            found.append(name)
    return found


def test_every_container_is_healthy(shipped: Shipped) -> None:
    assert unwell(shipped.checkout) == []


def test_no_secret_can_be_read_outside_its_file(shipped: Shipped) -> None:
    secrets = production.read_secrets(shipped.checkout, "prod")
    assert secrets
    eventually(lambda: not production.exposures(shipped.checkout, "prod", secrets))


def test_the_proxy_answers_for_the_stack(shipped: Shipped) -> None:
    with web(shipped.url, follow_redirects=True) as client:
        answer = client.get("/")
    # An API has no page there.
    assert answer.status_code in (200, 404), answer.text


def test_it_comes_back_after_a_restart_of_everything(shipped: Shipped) -> None:
    ids = [record["Id"] for record in shipped.checkout.containers("prod")]
    assert docker("restart", *ids).status == 0
    shipped.checkout.succeed("prod.up")
    with web(shipped.url, follow_redirects=True) as client:
        assert client.get("/").status_code in (200, 404)
    assert unwell(shipped.checkout) == []
