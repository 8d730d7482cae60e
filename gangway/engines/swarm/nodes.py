"""The machines of a Swarm: see `gangway.engines.nodes.Nodes`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.nodes import Node
from gangway.engines.swarm import deploying, labels
from gangway.engines.swarm.api import Api, Refused
from gangway.engines.swarm.cluster import Swarm, Task
from gangway.engines.swarm.labels import ENCRYPTED, HOST
from gangway.model import moves
from gangway.model.compose_version import version

MINIMUM_ENGINE: Final = (26, 0, 0)
"""The first whose API keeps all that a model may ask of a Swarm."""
_PORT: Final = "2377"
# As `docker swarm join` has it; the API knows no default.
_LISTEN: Final = f"0.0.0.0:{_PORT}"
_TOKEN: Final = re.compile(r"SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}")
_TICK: Final = 0.3
# Seconds that a machine may take to be ready, and what runs on one to run elsewhere.
_READY: Final = 60.0
_MOVED: Final = 300.0


@dataclass(frozen=True)
class SwarmNodes:
    """See `gangway.engines.nodes.Nodes`."""

    swarm: Swarm

    def all(self) -> Sequence[Node]:
        running = [task for task in self.swarm.tasks() if task.state == "running"]
        return [
            node._replace(
                runs=sorted({task.service for task in running if task.node == node.id}),
                data=[*self._volumes(node), *self._in_memory(running, node)],
                reached=self._reached(node),
            )
            for node in self.swarm.nodes()
        ]

    def joining(self, *, manager: bool) -> list[str]:
        token, address = self._way_in(manager=manager)
        return ["docker", "swarm", "join", "--token", token, address]

    def add(self, host: str, *, manager: bool) -> Node:
        engine = Api(self.swarm.environment.runner, host)
        info = engine.get("/info")
        if version(str(info["ServerVersion"])) < MINIMUM_ENGINE:
            raise GangwayError(
                f"{host} has Docker Engine {info['ServerVersion']}: {MINIMUM_ENGINE[0]} or later "
                "is needed, which keeps what restricts a service",
                fix="upgrade Docker there: https://docs.docker.com/engine/install/",
            )
        there = info.get("Swarm") or {}
        if (there.get("LocalNodeState") or "inactive") == "inactive":
            token, address = self._way_in(manager=manager)
            _join(engine, [address], token)
            number = str(engine.get("/info")["Swarm"]["NodeID"])
        else:
            number = str(there["NodeID"])
            if self.swarm.node(number) is None:
                raise GangwayError(
                    f"{host} is part of another Swarm already",
                    fix=f"docker --host {host} swarm leave, where nothing of that runs there",
                )
        node = self._ready(number)
        self._change(node, labels={**node.labels, HOST: host})
        if self.swarm.api.find("/networks", label=[self.swarm.own, f"{ENCRYPTED}=no"]):
            name = self.swarm.environment.name
            again = f"invoke {name}.down, then {name}.up makes them anew, and tries once more"
            say(f"note: what the nodes send each other isn't encrypted; {again}")
        return self._ready(number)

    def join(self, manager: str, token: str) -> None:
        if not _TOKEN.fullmatch(token):
            raise GangwayError(
                "that is no token of a Swarm: they begin with SWMTKN-1-",
                fix="on a manager: invoke prod.join prints the whole command",
            )
        address = manager if ":" in manager else f"{manager}:{_PORT}"
        _join(self.swarm.api, [address], token)

    def drain(self, node: Node) -> None:
        others = [n for n in self.swarm.nodes() if n.id != node.id and n.ready]
        if not any(other.availability == "active" for other in others):
            raise GangwayError(
                f"{node.name} is the only node that runs services", fix="invoke prod.join adds one"
            )
        # What moves goes elsewhere, and what is new comes before the old one ends.
        self._change(node, availability="pause")
        services = self.swarm.services()
        there = {task.service for task in self.swarm.tasks() if task.node == node.id}
        for name in sorted(there):
            spec = services[name]["Spec"]
            update = spec.get("UpdateConfig") or {}
            if "Replicated" in spec["Mode"] and update.get("Order") == "start-first":
                say(f"  {name} moves")
                task = spec["TaskTemplate"]
                forced = int(task.get("ForceUpdate") or 0) + 1
                new = {**spec, "TaskTemplate": {**task, "ForceUpdate": forced}}
                deploying.update(self.swarm, services[name], new)
        _wait(lambda: not self._updating(), "what moves isn't healthy elsewhere yet")
        self._change(node, availability="drain")
        if not node.ready:
            return  # whoever doesn't answer can't tell
        _wait(lambda: not self._runs_on(node), f"something on {node.name} hasn't ended yet")

    def restore(self, node: Node) -> None:
        self._change(node, availability="active")

    def _volumes(self, node: Node) -> list[str]:
        own = f"{labels.DATA}{self.swarm.project}_"
        return sorted(
            label.removeprefix(labels.DATA)
            for label, value in node.labels.items()
            if label.startswith(own) and value == labels.HERE
        )

    def _in_memory(self, running: Sequence[Task], node: Node) -> list[str]:
        model = self.swarm.model
        here = sorted({t.service for t in running if t.node == node.id} & set(model.services))
        return [f"{n} (in memory)" for n in here if moves.own_data(model, n) == "in memory"]

    def _updating(self) -> bool:
        return any(
            (each.get("UpdateStatus") or {}).get("State") == "updating"
            for each in self.swarm.services().values()
        )

    def _runs_on(self, node: Node) -> bool:
        states = ("starting", "running")
        return any(t.node == node.id and t.state in states for t in self.swarm.tasks())

    def _way_in(self, *, manager: bool) -> tuple[str, str]:
        """Return a token, and an address of a manager."""
        tokens = self.swarm.api.get("/swarm")["JoinTokens"]
        here = self.swarm.node(self.swarm.here)
        address = f"{here.address}:{_PORT}" if here else ""
        return str(tokens["Manager" if manager else "Worker"]), address

    def _ready(self, number: str) -> Node:
        until = time.monotonic() + _READY
        while True:
            node = self.swarm.node(number)
            if node and node.ready:
                return node
            if time.monotonic() > until:
                raise GangwayError(
                    f"the node {number[:12]} has joined, and isn't ready after {_READY:g} s",
                    fix="may it reach the managers' ports 2377, 7946 (TCP, UDP) and 4789 (UDP)?",
                )
            time.sleep(_TICK)

    def _change(
        self, node: Node, *, availability: str = "", labels: dict[str, str] | None = None
    ) -> None:
        raw = self.swarm.api.get(f"/nodes/{node.id}")
        spec = raw["Spec"]
        if availability:
            spec["Availability"] = availability
        if labels is not None:
            spec["Labels"] = labels
        self.swarm.api.post(f"/nodes/{node.id}/update", spec, version=raw["Version"]["Index"])

    def _reached(self, node: Node) -> str:
        try:
            return self.swarm.engine_of(node.id).host or "here"
        except GangwayError:
            return ""


def _join(engine: Api, managers: Sequence[str], token: str) -> None:
    try:
        engine.post(
            "/swarm/join",
            {"ListenAddr": _LISTEN, "RemoteAddrs": list(managers), "JoinToken": token},
        )
    except Refused as refused:
        said = refused.message.removeprefix("the engine says: ")
        # A token has the fingerprint of the Swarm's certificates in it.
        if any(word in said.lower() for word in ("token", "fingerprint")):
            raise GangwayError(
                "the managers refuse the token: it is another Swarm's, or a new one has come since",
                fix="on a manager: invoke prod.join prints the one that is good",
            ) from None
        raise GangwayError(
            f"it can't join {', '.join(managers)}: {said}",
            fix=f"is that a manager, and does its port {_PORT} answer from there?",
        ) from None


def _wait(done: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _MOVED
    while not done():
        if time.monotonic() > until:
            raise GangwayError(f"{what} after {_MOVED:g} s", fix="invoke prod.ps says why")
        time.sleep(_TICK)
