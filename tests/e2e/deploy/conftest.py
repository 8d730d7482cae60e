"""One running production for all tests of deploys; each leaves it whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.bench import free_port
from tests.e2e.conftest import copies
from tests.e2e.deploy.stack import Stack, prepared
from tests.e2e.support import Checkout


@pytest.fixture(scope="session")
def production(_engine: None) -> Iterator[Stack]:
    """The production, with its first release."""
    # Two workers would look for free ports at the same time.
    variables = {"GANGWAY_ENGINE": "docker", "PUBLISHED_HTTP_PORT": str(free_port())}
    with copies(Checkout, variables) as make:
        yield prepared(make())


@pytest.fixture
def stack(production: Stack) -> Stack:
    """The production with a release that serves, whatever a test before has left."""
    if production.left_over() or len(production.serves()) != 1:
        production.checkout.succeed("prod.deploy")
    return production
