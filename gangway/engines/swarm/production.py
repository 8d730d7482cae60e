"""What a Swarm does with releases; see `gangway.engines.releases.Production`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gangway.base.errors import GangwayError
from gangway.engines import front, volumes
from gangway.engines.interface import CannotDo
from gangway.engines.releases import Images, Place, Production, Rollout, Shipping, Target
from gangway.engines.swarm import labels, rollout, spread
from gangway.engines.swarm.cluster import Swarm
from gangway.engines.swarm.nodes import SwarmNodes
from gangway.engines.swarm.records import SwarmRecords
from gangway.model.moves import PROXY


@dataclass(frozen=True)
class SwarmProduction:
    """See `gangway.engines.releases.Production`.

    `plain` is what the manager's own engine can do by itself: it builds images, and ships them.
    """

    swarm: Swarm
    plain: Production

    @cached_property
    def records(self) -> SwarmRecords:
        return SwarmRecords(self.swarm)

    @property
    def images(self) -> Images:
        return self.plain.images

    @property
    def shipping(self) -> Shipping:
        return self.plain.shipping

    @cached_property
    def nodes(self) -> SwarmNodes:
        return SwarmNodes(self.swarm)

    def rollout(self, target: Target, state: Mapping[str, Any]) -> Rollout:
        return rollout.begun(self.swarm, target)

    def resumed(self, journal: Mapping[str, Any]) -> Rollout:
        return rollout.resumed(self.swarm, journal)

    def refuse_new_secret(self, service: str) -> None:
        # Its next task would have the old one, and nobody's password.
        raise CannotDo(
            f"a Swarm gives {service} no new secret while it runs",
            fix="invoke prod.down, write another one to the secret's file, invoke prod.up",
        )

    def stock(self, refs: Sequence[str]) -> None:
        spread.images(self.swarm, refs, {})

    def place_of(self, volume: str) -> Place:
        label = f"{labels.DATA}{volume}"
        nodes = self.swarm.nodes()
        node = next((n for n in nodes if n.labels.get(label) == labels.HERE), None)
        host = self.swarm.engine_of(node.id).host if node else ""
        docker = ["docker", *(["--host", host] if host else [])]
        return volumes.place(self.swarm.environment.runner, docker)

    def front(self, words: Sequence[str]) -> None:
        """Have it done by every proxy in turn."""
        proxies = [
            task
            for task in self.swarm.tasks()
            if task.service == PROXY and task.state == "running" and task.container
        ]
        if not proxies:
            name = self.swarm.environment.name
            raise GangwayError(f"{PROXY} doesn't run", fix=f"invoke {name}.up starts it")
        # All of them can be asked, before the first one is.
        hosts = [self.swarm.engine_of(task.node).host for task in proxies]
        for task, host in zip(proxies, hosts, strict=True):
            docker = ["docker", *(["--host", host] if host else [])]
            argv = [*docker, "exec", task.container, "front", *words]
            done = self.swarm.environment.runner.capture(argv, timeout=120)
            front.checked(done, self.swarm.environment.name)
