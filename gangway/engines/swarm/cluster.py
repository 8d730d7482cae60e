"""What a Swarm has of a project: its services, their tasks, its nodes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final, NamedTuple

from gangway.base.errors import GangwayError
from gangway.engines.container import Container
from gangway.engines.nodes import Node
from gangway.engines.swarm import credentials
from gangway.engines.swarm.api import Api, Refused
from gangway.engines.swarm.labels import HOST, MEMORY, ONE_OFF, STACK
from gangway.model.model import Model
from gangway.model.render import rendered
from gangway.settings.environment import Environment

Json = dict[str, Any]

_BEFORE_THE_START: Final = (
    "new", "allocated", "pending", "assigned", "accepted", "preparing", "ready",
)  # fmt: skip


# Seconds that containers may take to be gone.
_LET_GO: Final = 60.0
_TICK: Final = 0.2


class Task(NamedTuple):
    """One try to run a container of a service: another one takes its place when it ends."""

    id: str
    service: str
    """as the Compose files call it"""
    slot: str
    """which of the service's replicas: a number, or a node's where each has one"""
    node: str
    state: str
    desired: str
    said: str
    """why it is as it is, in the Swarm's words"""
    exit_code: int
    container: str
    """empty until it has one"""
    made: float
    """seconds since the epoch"""
    changed: float
    spec: Mapping[str, Any]
    version: int
    """of the service that it was made of, as far as the spec tells: how often it was forced"""

    @property
    def failed(self) -> bool:
        """Whether it came to a bad end by itself."""
        return self.state in ("failed", "rejected")


@dataclass(frozen=True)
class Swarm:
    """One environment's project in the Swarm that a manager answers for."""

    environment: Environment

    @cached_property
    def model(self) -> Model:
        """The merged model of the stack."""
        return rendered(self.environment)

    @cached_property
    def api(self) -> Api:
        """The manager's API."""
        return Api(self.environment.runner)

    @property
    def project(self) -> str:
        """The project's name."""
        return self.environment.get("COMPOSE_PROJECT_NAME")

    @property
    def own(self) -> str:
        """The label that all of the project's own has."""
        return f"{STACK}={self.project}"

    def services(self) -> dict[str, Json]:
        """Return every service of the project, but one-offs, by the Compose files' names."""
        return {
            self.short(name): each
            for name, each in self.everything().items()
            if ONE_OFF not in (each["Spec"].get("Labels") or {})
        }

    def everything(self) -> dict[str, Json]:
        """Return every service of the project, one-offs too, by the Swarm's names."""
        found = self.api.find("/services", label=[self.own])
        return {each["Spec"]["Name"]: each for each in found}

    def create(self, spec: Mapping[str, Any]) -> str:
        """Make a service, and return its number."""
        headers = credentials.header(self.environment, image_of(spec))
        return str(self.api.post("/services/create", spec, headers=headers)["ID"])

    def short(self, name: str) -> str:
        """Return what the Compose files call a service."""
        return name.removeprefix(f"{self.project}_")

    def tasks(self, services: Mapping[str, Json] | None = None) -> list[Task]:
        """Return what the Swarm remembers of services' tasks, the oldest first.

        `services` are all but one-offs where none are given.
        """
        services = self.services() if services is None else services
        names = {each["ID"]: name for name, each in services.items()}
        found = self.api.find("/tasks", label=[self.own])
        tasks = [_task(raw, names[raw["ServiceID"]]) for raw in found if raw["ServiceID"] in names]
        return sorted(tasks, key=lambda task: task.made)

    def task(self, number: str) -> Task | None:
        """Return a task by its number, of a one-off too; None where it is forgotten."""
        found = self.tasks(self.everything())
        return next((task for task in found if task.id == number), None)

    def containers(self) -> list[Container]:
        """Return each replica of each service as it is now, and how its last try ended."""
        services = self.services()
        tasks = self.tasks(services)
        now = newest(tasks)
        waiting = {(task.service, task.slot) for task in now if task.state != "running"}
        ended = {(t.service, t.slot): t for t in tasks if t.failed and t not in now}
        last = [task for replica, task in ended.items() if replica in waiting]
        return [container(task, services[task.service]) for task in [*last, *now]]

    def clear(self) -> None:
        """Remove the volumes in memory that ended containers have left, on nodes that answer."""
        filters = {"label": [self.own, MEMORY], "dangling": ["true"]}
        for node in self.nodes():
            if node.ready:
                with contextlib.suppress(GangwayError):
                    engine = self.engine_of(node.id)
                    for volume in engine.get("/volumes", filters=filters)["Volumes"] or ():
                        engine.delete(f"/volumes/{volume['Name']}")

    def remove_network(self, number: str) -> None:
        """Remove a network as soon as its last container has let go of it."""
        until = time.monotonic() + _LET_GO
        while True:
            try:
                self.api.delete(f"/networks/{number}")
            except Refused:
                if time.monotonic() > until:
                    raise
                time.sleep(_TICK)
            else:
                return

    def nodes(self) -> list[Node]:
        """Return the Swarm's machines, managers first."""
        found = [_node(raw) for raw in self.api.find("/nodes")]
        return sorted(found, key=lambda node: (not node.manager, node.name, node.id))

    def node(self, number: str) -> Node | None:
        """Return the machine of a number."""
        return next((node for node in self.nodes() if node.id == number), None)

    def engine_of(self, number: str) -> Api:
        """Return the engine of the machine of a number, to look into its containers.

        A Swarm passes logs on, and no command: that engine itself must answer us. Raises
        GangwayError where nothing says how.
        """
        if number == self.here:
            return self.api
        node = self.node(number)
        if node is None:
            raise GangwayError("the node has left the Swarm")
        host = node.labels.get(HOST) or self._beside(node)
        if not host:
            raise GangwayError(
                f"that runs on the node {node.name}, and a Swarm passes no command on to it",
                fix=f"say where its engine answers: docker node update --label-add "
                f"{HOST}=ssh://USER@{node.address} {node.id}",
            )
        return Api(self.environment.runner, host)

    @cached_property
    def here(self) -> str:
        """The number of the node that answers."""
        return str(self.api.get("/info")["Swarm"]["NodeID"])

    def _beside(self, node: Node) -> str:
        """Return where another node's engine is, for whoever reaches this one by ssh."""
        host = self.environment.get("DOCKER_HOST")
        if not host.startswith("ssh://"):
            return ""
        user, at, _ = host.removeprefix("ssh://").rpartition("@")
        return f"ssh://{user}{at}{node.address}"


def image_of(spec: Mapping[str, Any]) -> str:
    """Return the name of the image in a service's spec."""
    return str(spec["TaskTemplate"]["ContainerSpec"]["Image"])


def newest(tasks: Iterable[Task]) -> list[Task]:
    """Return the last task of each replica, what is meant to run before what isn't."""
    found: dict[tuple[str, str], Task] = {}
    for task in sorted(tasks, key=lambda task: (_wanted(task), task.made)):
        found[task.service, task.slot] = task
    # A replica that is one too many has only ended tasks left.
    return [
        task for task in found.values() if _wanted(task) or task.state in ("complete", "failed")
    ]


def container(task: Task, service: Mapping[str, Any]) -> Container:
    """Return a task as every engine describes a container."""
    check = (task.spec.get("ContainerSpec") or {}).get("Healthcheck") or {}
    probed = bool(check.get("Test")) and check["Test"] != ["NONE"]
    state, health = _state(task), ""
    if state == "running" and probed:
        # To a Swarm, what isn't healthy yet is still starting.
        health = "healthy" if task.state == "running" else "starting"
    ports = (service.get("Endpoint") or {}).get("Ports") or ()
    return Container(
        id=task.id,
        service=task.service,
        state=state,
        health=health,
        exit_code=task.exit_code,
        published=frozenset(
            int(port["PublishedPort"]) for port in ports if "PublishedPort" in port
        ),
        started=task.changed,
    )


def _wanted(task: Task) -> bool:
    return task.desired in ("running", "ready", "complete", "accepted")


def _state(task: Task) -> str:
    if task.state in _BEFORE_THE_START:
        return "created"
    match task.state:
        case "starting" | "running":
            return "running"
        case "remove":
            return "removing"
        case "orphaned":
            return "dead"
    return "exited"


def _task(raw: Json, service: str) -> Task:
    status = raw.get("Status") or {}
    ended = status.get("ContainerStatus") or {}
    state = status.get("State") or "new"
    failed = state in ("failed", "rejected")
    return Task(
        id=raw["ID"],
        service=service,
        slot=str(raw.get("Slot") or raw.get("NodeID") or ""),
        node=raw.get("NodeID") or "",
        state=state,
        desired=raw.get("DesiredState") or "",
        said=status.get("Err") or status.get("Message") or "",
        exit_code=int(ended.get("ExitCode") or (1 if failed else 0)),
        container=ended.get("ContainerID") or "",
        made=_moment(raw["CreatedAt"]),
        changed=_moment(status.get("Timestamp") or raw["CreatedAt"]),
        spec=raw.get("Spec") or {},
        version=int((raw.get("Spec") or {}).get("ForceUpdate") or 0),
    )


def _node(raw: Json) -> Node:
    described = raw.get("Description") or {}
    manager = raw.get("ManagerStatus") or {}
    reach = manager.get("Reachability") or ""
    address = str((raw.get("Status") or {}).get("Addr") or "")
    if address in ("", "0.0.0.0", "127.0.0.1"):
        address = str(manager.get("Addr") or "").rpartition(":")[0] or address
    return Node(
        id=raw["ID"],
        name=described.get("Hostname") or raw["ID"][:12],
        ready=(raw.get("Status") or {}).get("State") == "ready",
        availability=raw["Spec"].get("Availability") or "active",
        manager="leader" if manager.get("Leader") else reach,
        address=address,
        engine=(described.get("Engine") or {}).get("EngineVersion") or "",
        labels=raw["Spec"].get("Labels") or {},
    )


def _moment(text: str) -> float:
    # Nanoseconds are more than Python reads before 3.11, and zeros may be left out.
    return datetime.fromisoformat(text).timestamp()


def ids(found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the numbers of secrets or configs by their names."""
    return {each["Spec"]["Name"]: each["ID"] for each in found}
