"""Engines beside this machine's own, for the tests of several machines."""

from __future__ import annotations

import os

import pytest

from gangway.settings.environment import load
from tests.e2e.support import ROOT, docker
from tests.e2e.swarm import lab


@pytest.fixture(scope="session", autouse=True)
def _usable(_engine: None) -> None:
    if reason := lab.unusable():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def image() -> str:
    """An image that this machine has, and that can sleep."""
    source = {"GANGWAY_IMAGES": os.environ.get("GANGWAY_IMAGES", "registry")}
    name = load(ROOT, "prod", shell=source).get("REDIS_IMAGE")
    if docker("image", "inspect", name).status:
        pulled = docker("pull", "--quiet", name, timeout=120)
        assert pulled.status == 0, pulled.text
    return name
