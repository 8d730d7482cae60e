"""A volume's data, copied to an engine that knows nothing of it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from gangway.base.errors import GangwayError
from gangway.base.process import Runner
from gangway.engines import volumes
from tests.e2e.support import ROOT, docker
from tests.e2e.swarm import lab
from tests.e2e.swarm.machine import Machine

#: Owners, modes, links, many files, a large one, and an empty folder that nobody may enter.
FILL = """
mkdir -m 700 /data/closed && mkdir /data/many && chown 10001:10002 /data/closed
for i in $(seq 300); do echo $i > /data/many/$i; done
head -c 3000000 /dev/urandom > /data/large && chmod 640 /data/large && ln -s many /data/link
chown 5:6 /data && chmod 1770 /data
"""
RUNNER = Runner(ROOT, dict(os.environ))
HERE = volumes.place(RUNNER, ["docker"])


@pytest.fixture(scope="module")
def machine(image: str) -> Iterator[Machine]:
    """An engine apart."""
    with lab.apart([image]) as made:
        yield made


@pytest.fixture
def volume(image: str) -> Iterator[str]:
    """A volume on this machine with all kinds of files."""
    name = f"gangway-e2e-{uuid.uuid4().hex[:6]}"
    filled = docker(
        "run", "--rm", "--user", "0", "--volume", f"{name}:/data", image, "sh", "-euc", FILL
    )
    assert filled.status == 0, filled.text
    yield name
    docker("volume", "rm", name)


def test_what_arrives_is_what_was_sent(machine: Machine, volume: str) -> None:
    there = volumes.place(RUNNER, ["docker", "--host", machine.host])

    copied = volumes.copy(HERE, there, volume)

    assert len(copied) == 305
    assert volumes.contents(there, volume) == volumes.contents(HERE, volume)
    assert copied[""].owner == (5, 6)
    assert copied["closed"].owner == (10001, 10002)
    assert copied["closed"].mode == 0o700
    assert copied["link"].content == "many"
    assert machine.ask("ps", "--all", "--quiet") == ""


def test_data_that_is_there_already_is_left_alone(
    machine: Machine, volume: str, image: str
) -> None:
    there = volumes.place(RUNNER, ["docker", "--host", machine.host])
    machine.ask("run", "--rm", "--volume", f"{volume}:/data", image, "touch", "/data/theirs")

    with pytest.raises(GangwayError, match="has data in it already"):
        volumes.copy(HERE, there, volume)

    assert volumes.contents(there, volume).keys() == {"", "theirs"}


def test_a_side_that_goes_away_is_an_error(machine: Machine, volume: str) -> None:
    there = volumes.place(RUNNER, ["docker", "--host", machine.host])
    machine.kill()

    with pytest.raises(GangwayError):
        volumes.copy(HERE, there, volume)

    machine.start()
    machine.wait()
