"""The engine that runs services on several machines: a Docker Swarm."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

from gangway.base.errors import GangwayError
from gangway.base.process import Completed
from gangway.engines import inside
from gangway.engines.container import Container
from gangway.engines.databases import Kept
from gangway.engines.interface import CannotDo, Debugger, Due, Engine, Inside, split
from gangway.engines.swarm import cluster, commands, logs
from gangway.engines.swarm.nodes import MINIMUM_ENGINE
from gangway.engines.swarm.production import SwarmProduction
from gangway.engines.swarm.starting import SwarmStart
from gangway.model import compose_version
from gangway.model.compose_version import shown, version
from gangway.settings.environment import SWARM, Environment


@dataclass(frozen=True)
class SwarmEngine(cluster.Swarm):
    """See `gangway.engines.interface.Engine`."""

    plain: Engine | None = None
    """The manager's own engine, which builds images and ships them."""

    name = SWARM
    manner = "in a Swarm"

    @property
    def host(self) -> str:
        return self.plain.host if self.plain else ""

    @cached_property
    def production(self) -> SwarmProduction:
        if self.plain is None:
            raise CannotDo("releases are for the tasks", fix="invoke prod.deploy")
        return SwarmProduction(self, self.plain.production)

    def reach(self) -> None:
        info = self.api.get("/info")
        swarm = info.get("Swarm") or {}
        if swarm.get("LocalNodeState") != "active":
            raise GangwayError(
                "the engine that answers isn't part of a Swarm",
                fix="docker swarm init makes one of it (docs/swarm.md); "
                "or name a manager: DOCKER_HOST=ssh://USER@HOST",
            )
        if not swarm.get("ControlAvailable"):
            managers = ", ".join(m["Addr"] for m in swarm.get("RemoteManagers") or ())
            raise GangwayError(
                "the engine that answers is a worker: only a manager changes a Swarm",
                fix=f"DOCKER_HOST=ssh://USER@HOST, of a manager ({managers})",
            )

    def check(self) -> None:
        compose = compose_version.installed(self.environment.runner)
        if not compose or version(compose) < compose_version.MINIMUM:
            raise GangwayError(
                f"Docker Compose {compose or 'is missing, and it'} is too old: "
                f"{shown(compose_version.MINIMUM)} or later is needed (for !override and !reset)",
                fix="install the Compose plugin: https://docs.docker.com/compose/install/",
            )
        self.reach()
        for node in self.nodes():
            if node.ready and node.engine and version(node.engine) < MINIMUM_ENGINE:
                raise GangwayError(
                    f"the node {node.name} has Docker Engine {node.engine}: "
                    f"{MINIMUM_ENGINE[0]} or later is needed, which keeps what restricts a service",
                    fix="upgrade Docker there: https://docs.docker.com/engine/install/",
                )

    def check_proxy(self) -> None:
        return

    def running(self) -> bool:
        with suppress(GangwayError):
            self.reach()
            return any(each.state == "running" for each in self.containers())
        return False

    def owners(self) -> str:
        # A Swarm is everybody's who deploys there: its records say who does.
        return ""

    def publisher(self, port: int) -> str | None:
        with suppress(GangwayError):
            for each in self.api.find("/services"):
                ports = (each.get("Endpoint") or {}).get("Ports") or ()
                if any(p.get("PublishedPort") == port for p in ports):
                    return f"the Swarm's service {each['Spec']['Name']}"
        return None

    def has_others_files(self, volume: str, image: str, uid: str) -> bool:
        # Only the node that has it could tell.
        return False

    def kept_databases(self, volume: str, service: Mapping[str, Any]) -> Kept | None:
        # Only the node that has it could tell.
        return None

    def beside(self, service: str, words: Sequence[str]) -> list[str]:
        name = self.environment.name
        raise CannotDo(
            f"a Swarm runs no second {service} beside the one that there is",
            fix=f"invoke {name}.move docker, do it there, and go back: invoke {name}.move swarm",
        )

    def declared_volumes(self, images: Sequence[str]) -> Mapping[str, Sequence[str]]:
        found = {}
        for image in images:
            with suppress(GangwayError):
                config = self.api.get(f"/images/{image}/json").get("Config") or {}
                found[image] = sorted(config.get("Volumes") or ())
        return found

    def logs(self, container: Container, lines: int) -> str:
        return logs.last(self, container.id, lines)

    def health_output(self, container: Container) -> str:
        task = self.task(container.id)
        if task is None:
            return ""
        with suppress(GangwayError):
            if task.container:
                state = self.engine_of(task.node).get(f"/containers/{task.container}/json")["State"]
                log = (state.get("Health") or {}).get("Log") or []
                return str(log[-1]["Output"]).strip() if log else ""
        return task.said if task.failed else ""

    def command(self, *words: str) -> list[str]:
        if split(words)[1][:1] == ["build"] and self.plain:
            return self.plain.command(*words)
        return ["python", "-m", "gangway.engines.swarm", *self.environment.env_files, *words]

    def call(self, *words: str) -> int:
        if split(words)[1][:1] == ["build"] and self.plain:
            return self.plain.call(*words)
        return commands.run(self, words)

    def capture(self, *words: str, text: str = "", file: IO[bytes] | None = None) -> Completed:
        argv = [sys.executable, *self.command(*words)[1:]]
        return self.environment.runner.capture(argv, text=text, file=file)

    @contextmanager
    def start(self, words: Sequence[str], services: Sequence[str]) -> Iterator[SwarmStart]:
        yield commands.begin(self, words)

    def building(self, services: Sequence[str], *, no_cache: bool) -> list[str]:
        if self.plain:
            return self.plain.building(services, no_cache=no_cache)
        return ["build", *(["--no-cache"] if no_cache else []), *services]

    def due(self, services: Sequence[str]) -> Due:
        return Due()

    def clone(self, source: Environment, service: str, script: str) -> Completed | None:
        raise CannotDo("in a Swarm there is no other checkout's data", fix="dev has copies of it")

    def left_by(self, folder: str, project: str) -> list[str]:
        return []

    def remove_left(self, left: Sequence[str]) -> None:
        return

    def debugger(self, *, install: bool) -> Debugger:
        raise CannotDo("a Swarm has no debugger to attach", fix="debug in development: dev.up")

    def inside(self, container: Container) -> Inside:
        task = self._task(container)
        argv = [*self._docker(task), "exec", task.container, "sh", "-c", inside.LIST]
        return Inside(self.environment.runner.capture(argv, timeout=30).stdout.splitlines())

    def profiler(self, container: Container, pid: str, seconds: int) -> list[str]:
        task = self._task(container)
        image = str(task.spec["ContainerSpec"]["Image"])
        docker, *rest = inside.sidecar(task.container[:12], image, pid, seconds)
        return [*self._docker(task), *rest] if docker == "docker" else [docker, *rest]

    def _task(self, container: Container) -> cluster.Task:
        task = self.task(container.id)
        if task is None:
            raise GangwayError(f"{container.service} has ended meanwhile")
        return task

    def _docker(self, task: cluster.Task) -> list[str]:
        host = self.engine_of(task.node).host
        return ["docker", *(["--host", host] if host else [])]
