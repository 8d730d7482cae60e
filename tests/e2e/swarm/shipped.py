"""A production of one machine that has moved into a Swarm, and what is known of it from outside."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import changes
from benchmarks.steady import driver
from benchmarks.steady.client import Plan
from tests.e2e.deploy.stack import prepared
from tests.e2e.support import Checkout, Result, eventually, get, habits, web
from tests.e2e.swarm.lab import Swarm

#: Built where there is a network, for where its proxy is on every node.
OVERLAY = "docker-compose.yml:docker-compose.prod.yml:docker-compose.swarm.yml"
#: Replicas of what answers requests: a node may go and leave one.
REPLICAS = {"api": 2, "app": 2}
#: A token of the right form, of no Swarm.
WRONG = f"SWMTKN-1-{'0' * 50}-{'0' * 25}"


@dataclass
class Shipped:
    """The checkout, its Swarm, and what it had before it moved."""

    checkout: Checkout
    swarm: Swarm
    port: int
    before: set[str]
    moved: Result
    release: str
    """The release that moved, in the records of where it was."""
    refused: Result
    """What came of a node that wanted to join by a wrong token."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def invoke(self, *words: str, timeout: float = 240.0) -> Result:
        """Run a task on the Swarm."""
        return self.checkout.invoke(*words, timeout=timeout, **self.variables)

    def succeed(self, *words: str, timeout: float = 240.0) -> Result:
        """Run a task on the Swarm, and expect it to exit 0."""
        return self.checkout.succeed(*words, timeout=timeout, **self.variables)

    @property
    def variables(self) -> dict[str, Any]:
        """What has a task find the Swarm."""
        return {"GANGWAY_ENGINE": "swarm", "DOCKER_HOST": self.swarm.manager.host}

    def url(self, node: str = "one") -> str:
        """Return where a node's proxy answers."""
        return f"http://{self.swarm.node(node).address}:{self.port}"

    def bundle(self, files: Mapping[str, str]) -> str:
        """Make a release with these files on this machine; return the file that it travels in."""
        for path, text in files.items():
            self.checkout.write(path, text)
        overlay = ("-e", f"COMPOSE_FILE={OVERLAY}")
        built = self.checkout.succeed("prod.build", *overlay, timeout=240).stdout.split()[-1]
        since = ("--since", self.release)
        done = self.checkout.succeed("prod.bundle", built, *since, *overlay, timeout=120)
        return done.stdout.split()[-1]

    def good(self) -> tuple[int, str]:
        """Return the number of a new good release, and its file."""
        number = next(self._numbers)
        return number, self.bundle(changes.good(number))

    def bad(self, kind: str) -> str:
        """Return the file of a release that is bad in this way."""
        return self.bundle(changes.bad(kind, next(self._numbers)))

    def serves(self, *nodes: str) -> set[int]:
        """Return the numbers of the releases that answer at these nodes, or at all."""
        found = set()
        for node in nodes or [each.name for each in self.swarm.nodes]:
            with web(self.url(node)) as client:
                answers = [client.get("/api/live/release") for _ in range(8)]
            found |= {int(each.raise_for_status().json()["release"]) for each in answers}
        return found

    def specs(self) -> dict[str, Any]:
        """Return what each service is made of, by its name in the Swarm."""
        ids = self.swarm.manager.ask("service", "ls", "--quiet").split()
        found = json.loads(self.swarm.manager.ask("service", "inspect", *ids))
        return {each["Spec"]["Name"]: each["Spec"]["TaskTemplate"] for each in found}

    def running(self, service: str) -> list[Mapping[str, Any]]:
        """Return the tasks of a service that run and are meant to."""
        name = f"{self.checkout.project('prod')}_{service}"
        return [t for t in self.swarm.tasks(name) if t["Status"]["State"] == "running"]

    def settled(self) -> None:
        """Wait until all nodes are there and every service has its replicas."""
        eventually(lambda: set(self.swarm.states().values()) == {"ready"}, what="all nodes")
        wanted = {**REPLICAS, "scheduler": 1, "postgres": 1, "redis": 1, "nginx": 3}
        eventually(
            lambda: all(len(self.running(name)) == number for name, number in wanted.items()),
            what=f"replicas: {wanted}",
        )

    def back(self) -> None:
        """Wait until nodes that are new or were away do as all others, for some seconds on end.

        They find the others' containers only after a while, and the others theirs.
        """
        self.settled()
        eventually(self._answers, within=180, what="every node answers from the database")

    def _answers(self) -> bool:
        for _ in range(12):
            for node in self.swarm.nodes:
                answers = [get(f"{self.url(node.name)}{path}") for path in ("/", "/api/habits")]
                if not all(answer and answer.status_code == 200 for answer in answers):
                    return False
            time.sleep(0.3)
        return True

    def names(self) -> dict[str, str]:
        """Return the name of each node by its number in the Swarm."""
        form = "{{.ID}} {{.Hostname}}"
        return dict(
            line.split()
            for line in self.swarm.manager.ask("node", "ls", "--format", form).splitlines()
        )

    @contextmanager
    def loaded(self, *, streams: int = 4) -> Iterator[driver.Load]:
        """Have node one under load while the block lasts; no acknowledged write may be lost."""
        acks = self.checkout.home / f"acks-{next(self._numbers)}.jsonl"
        plan = Plan(
            self.url(), rate=30, connections=8, streams=streams, acks=str(acks), seconds=10.0
        )
        with driver.running(plan) as load:
            eventually(lambda: acks.exists() and acks.stat().st_size, what="acknowledged writes")
            load.phase("before")
            yield load
        found = self.writes(acks)
        assert found.acknowledged > 0, found
        assert not found.lost, found
        assert found.twice == 0, found

    def writes(self, acks: Path) -> driver.Writes:
        """Return what became of a load's writes, as the database has them."""
        lines = self.succeed(
            "prod.psql", "--", "-Atc", "select id || ' ' || name from habits"
        ).stdout.splitlines()
        rows = (line.split(" ", 1) for line in lines if line)
        return driver.writes(acks, ((int(key), name) for key, name in rows))


def shipped(checkout: Checkout, swarm: Swarm) -> Shipped:
    """Start production on this machine, have the Swarm's nodes join, and move it there."""
    stack = prepared(checkout)
    release = checkout.succeed("prod.releases").stdout.splitlines()[1].split()[0]
    with web(stack.url) as client:
        for number in range(20):
            client.post("/api/habits", json={"name": f"before {number}"}).raise_for_status()
        before = habits(client, "/api/habits")
    there: dict[str, Any] = {"GANGWAY_ENGINE": "swarm", "DOCKER_HOST": swarm.manager.host}
    join = ("prod.join", "--to", swarm.manager.address, "--token", WRONG)
    refused = checkout.invoke(*join, **{**there, "DOCKER_HOST": swarm.nodes[1].host})
    for node in swarm.nodes[1:]:
        checkout.succeed("prod.join", "--at", node.host, **there)
    moved = checkout.succeed("prod.move", "swarm", "--at", swarm.manager.host, "--yes", timeout=240)
    port = int(stack.url.rpartition(":")[2])
    found = Shipped(checkout, swarm, port, before, moved, release, refused)
    found.succeed("prod.scale", *(f"{name}={number}" for name, number in REPLICAS.items()))
    found.back()
    return found
