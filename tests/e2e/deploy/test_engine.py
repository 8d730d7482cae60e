"""The engine ends in the middle of a deploy, as at a power cut: one that nobody else uses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.backup.writers import Writers
from tests.e2e.deploy.ssh import PROGRAMS, ssh_server
from tests.e2e.deploy.stack import KEPT, Stack
from tests.e2e.support import eventually, get, own
from tests.e2e.swarm import lab
from tests.e2e.swarm.machine import Machine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(480)]


@dataclass(frozen=True)
class Other:
    """Another machine, and this checkout, which deploys to it by what is in `variables`."""

    stack: Stack
    machine: Machine
    variables: Mapping[str, str]

    def do(self, *words: str) -> None:
        """Run a task for the other machine, which must go well."""
        self.stack.checkout.succeed(*words, **self.variables)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.machine.address}:{self.stack.url.rpartition(':')[2]}"

    def names(self) -> set[str]:
        """Return the names of the habits that its database has."""
        psql = ("prod.psql", "--", "-Atc", "select name from habits")
        done = self.stack.checkout.succeed(*psql, **self.variables)
        return set(done.stdout.splitlines())

    def serves(self) -> int:
        """Return the number of the release that answers there; -1 where none does."""
        answer = get(f"{self.url}/api/live/release")
        return int(answer.json()["release"]) if answer and answer.status_code == 200 else -1


@pytest.fixture
def other(stack: Stack) -> Iterator[Other]:
    """An engine that has the images of the production's data stores, and nothing else."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if reason := lab.unusable() or (f"there is no {', no '.join(missing)}" if missing else ""):
        pytest.skip(reason)
    checkout = stack.checkout
    kept = {
        str(record["Config"]["Image"])
        for service in KEPT
        for record in checkout.containers("prod", service)
    }
    folder = checkout.home / "engine"
    folder.mkdir()
    with lab.apart(images=kept) as machine, ssh_server(folder, machine):
        own(folder, checkout.user)
        path = f"{folder}:{checkout.environment({})['PATH']}"
        yield Other(stack, machine, {"DOCKER_HOST": "ssh://other", "PATH": path})
    # So that the newest release is the one that runs here.
    checkout.succeed("prod.deploy")


def bundled(stack: Stack) -> tuple[int, Path]:
    """Make a release and put it into a file; return its number and the file."""
    number = stack.good()
    stack.checkout.succeed("prod.build")
    file = stack.checkout.home / f"{number}.tar.gz"
    stack.checkout.succeed("prod.bundle", "--output", str(file))
    return number, file


def test_after_a_power_cut_the_old_release_serves_and_the_next_deploy_goes_on(
    stack: Stack, other: Other
) -> None:
    before, first = bundled(stack)
    number, second = bundled(stack)
    other.do("prod.deploy", "--bundle", str(first))
    assert other.serves() == before
    deploy = ("prod.deploy", "--bundle", str(second))
    with (
        Writers(other.url, "cut") as writers,
        stack.checkout.started(*deploy, **other.variables) as deploying,
    ):
        deploying.says("  new replicas healthy")
        other.machine.kill()
        assert deploying.ended() == 2, deploying.text
    assert "Traceback" not in deploying.text
    other.machine.start()
    other.machine.wait()
    eventually(lambda: other.serves() == before, what="the release of before")
    assert set(writers.acknowledged) <= other.names()
    other.do(*deploy)
    assert other.serves() == number
