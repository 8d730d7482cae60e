"""The probe apps under bare servers, and under ours without a container."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.front.places import Bare, Programs, install


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """What is installed for servers without a container."""
    return install(Path(tmp_path_factory.mktemp("front")))


@pytest.fixture(scope="session")
def bare(programs: Programs) -> Iterator[Bare]:
    """The apps as they are without us."""
    with ExitStack() as stack:
        yield Bare(programs, stack)
