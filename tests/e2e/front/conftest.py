"""The probe apps under bare servers, in development and in production."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import copies
from tests.e2e.front import nginx
from tests.e2e.front import stack as stacks
from tests.e2e.front.places import Bare, Certificate, Programs, Route, certify, install
from tests.e2e.front.stack import Stack
from tests.e2e.front.upstream import Upstream, running
from tests.e2e.support import Checkout


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """What is installed for servers without a container."""
    return install(Path(tmp_path_factory.mktemp("programs")))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for the site."""
    return certify(Path(tmp_path_factory.mktemp("certificate")))


@pytest.fixture(scope="session")
def bare(programs: Programs, certificate: Certificate) -> Iterator[Bare]:
    """The apps as they are without us."""
    with ExitStack() as servers:
        yield Bare(programs, certificate, servers)


@pytest.fixture(scope="session")
def probes(_engine: None, certificate: Certificate) -> Iterator[Stack]:
    """The probes' stack in a checkout of its own."""
    with copies(Checkout, {"GANGWAY_ENGINE": "docker", "GANGWAY_STACK": "probe"}) as make:
        yield stacks.add_to(make("probes"), certificate)


@pytest.fixture(scope="session")
def production(probes: Stack) -> list[Route]:
    """Every app behind the proxy, mounted in every way, and once behind two."""
    return probes.production()


@pytest.fixture(scope="session")
def development(probes: Stack) -> list[Route]:
    """Every app in development's containers."""
    return probes.development()


@pytest.fixture(scope="module")
def machine(_engine: None) -> str:
    """This machine's address as the proxy sees it, whose image has been built."""
    nginx.build()
    return nginx.gateway()


@pytest.fixture(scope="module")
def upstreams(machine: str) -> Iterator[tuple[Upstream, Upstream]]:
    """The server at /, and the one at /api/."""
    with running(machine) as root, running(machine) as api:
        yield root, api


@pytest.fixture
def root(upstreams: tuple[Upstream, Upstream]) -> Upstream:
    """The server at /."""
    upstreams[0].begin()
    return upstreams[0]


@pytest.fixture
def api(upstreams: tuple[Upstream, Upstream]) -> Upstream:
    """The server at /api/."""
    upstreams[1].begin()
    return upstreams[1]


@pytest.fixture(scope="module")
def places(upstreams: tuple[Upstream, Upstream]) -> dict[str, str]:
    """What the proxy is told of both."""
    return {"PROXY_ROOT": upstreams[0].place, "PROXY_API": upstreams[1].place}
