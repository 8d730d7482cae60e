"""The lab itself: what the other tests do to its machines really happens to them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.support import ROOT, docker, eventually
from tests.e2e.swarm import lab
from tests.e2e.swarm.lab import Swarm
from tests.e2e.swarm.machine import KEPT

#: What all nodes have one of.
SERVICE = "sleeper"
PROBE = [sys.executable, "-m", "tests.e2e.swarm.lab", "--apart"]


@pytest.fixture(scope="module")
def swarm(image: str) -> Iterator[Swarm]:
    """Three nodes that miss each other soon, each with a container of one service."""
    with lab.swarm([image]) as made:
        made.manager.ask(
            "service", "create", "--detach", "--name", SERVICE, "--replicas", "3",
            "--replicas-max-per-node", "2", "--restart-delay", "100ms", "--no-resolve-image",
            image, "sleep", "600",
        )  # fmt: skip
        eventually(lambda: running(made) == 3, what="three containers run")
        yield made


def running(swarm: Swarm) -> int:
    return sum(task["Status"]["State"] == "running" for task in swarm.tasks(SERVICE))


class TestNodes:
    def test_the_engines_are_nodes_of_one_swarm(self, swarm: Swarm) -> None:
        assert swarm.states() == dict.fromkeys(lab.NAMES, "ready")

    def test_a_killed_nodes_containers_run_elsewhere_and_it_comes_back(self, swarm: Swarm) -> None:
        node = swarm.node("two")

        node.kill()

        eventually(lambda: swarm.states()["two"] == "down", what="the node is missed")
        eventually(lambda: running(swarm) == 3, what="the others have its containers")
        node.start()
        node.wait()
        eventually(lambda: swarm.states()["two"] == "ready", what="the node is back")
        assert node.ask("ps", "--quiet") == ""

    def test_a_node_that_is_cut_off_goes_on_and_comes_back(self, swarm: Swarm) -> None:
        node = swarm.node("three")
        before = node.ask("ps", "--quiet")

        swarm.cut(node)

        eventually(lambda: swarm.states()["three"] == "down", what="the node is missed")
        assert before
        assert node.ask("ps", "--quiet") == before
        swarm.mend(node)
        eventually(lambda: swarm.states()["three"] == "ready", what="the node is back")


class TestLeftovers:
    def test_nothing_is_left_but_images(self, image: str) -> None:
        with lab.apart([image]) as machine:
            machine.ask("run", "--detach", "--name", "left", image, "sleep", "600")
            ours = [Path("/run/netns", machine.switch.name), machine.runtime]
            assert all(path.exists() for path in ours)

        assert not any(path.exists() for path in ours)
        assert not list(Path("/sys/fs/cgroup").glob(f"**/{machine.cgroup}"))
        assert not [path for path in machine.folder.glob("*") if path.name not in KEPT]

    def test_a_killed_run_takes_its_engines_along_and_the_next_one_has_none_of_it(
        self, image: str
    ) -> None:
        with subprocess.Popen([*PROBE, image], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            variable = run.stdout.readline().split()[-1]
            host = variable.partition("=")[2]
            begun = docker("--host", host, "run", "--detach", image, "sleep", "600")
            assert begun.status == 0, begun.text
            run.kill()

        eventually(lambda: docker("--host", host, "version").status, what="the engine is gone")
        with lab.apart([image]) as machine:
            assert machine.host == host
            assert machine.ask("ps", "--all", "--quiet") == ""

    def test_an_engine_apart_does_not_see_what_is_hidden_from_it(
        self, image: str, tmp_path: Path
    ) -> None:
        (tmp_path / "secret").touch()
        seen = ["run", "--rm", "--volume", f"{tmp_path}:/seen:ro", image, "ls", "/seen"]

        with lab.apart([image], hidden=[tmp_path]) as machine:
            assert machine.ask(*seen) == ""

        assert docker(*seen).stdout.strip() == "secret"
