"""The engine that runs services in containers: Docker, or Podman in its place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Final

from gangway.base import output
from gangway.base.process import Completed, Ended
from gangway.engines import inside
from gangway.engines.container import Container
from gangway.engines.docker import secrets
from gangway.engines.docker.client import PODMAN, Client
from gangway.engines.docker.production import DockerProduction
from gangway.engines.interface import CannotDo, Debugger, Due, Inside, split
from gangway.engines.start import Start
from gangway.model.model import Model
from gangway.model.render import rendered
from gangway.settings.environment import Environment

_CLEAR_LINE: Final = "\x1b[2K"
# Compose 2.26 can be deaf to Ctrl-C: while it builds, and now and then while it restarts a service.
_WATCH_SECONDS: Final = 5.0


@dataclass(frozen=True)
class DockerEngine(Client):
    """See `gangway.engines.interface.Engine`."""

    manner = "in containers"

    @property
    def name(self) -> str:
        return PODMAN if self.environment.engine == PODMAN else "docker"

    @cached_property
    def model(self) -> Model:
        return rendered(self.environment)

    @cached_property
    def production(self) -> DockerProduction:
        return DockerProduction(self, self.model)

    def check_proxy(self) -> None:
        return

    def command(self, *words: str) -> list[str]:
        flags, rest = split(words)
        if rest[:1] == ["run"] and self._runs_a_release:
            from gangway.engines.docker import rollout

            # What it needs runs, as the release has it; a service that no release has is this
            # checkout's.
            words = (*flags, "run", "--no-deps", *rest[1:])
            service = next((word for word in rest[1:] if word in self.model.services), "")
            if not service or service in rollout.services(self):
                return rollout.compose(self, *words)
        return self.environment.compose_command(*words)

    def beside(self, service: str, words: Sequence[str]) -> list[str]:
        if self.host:
            raise CannotDo(
                f"that needs this machine's secrets there, and the engine is on {self.host}",
                fix=f"do it on {self.host}",
            )
        run = ("run", "--rm", "--no-deps", "--no-TTY", service, *words)
        return self.environment.compose_command(*run)

    @property
    def _runs_a_release(self) -> bool:
        from gangway.engines.docker import rollout

        return rollout.is_there(self)

    def call(self, *words: str) -> int:
        match split(words)[1][0]:
            case "build":
                from gangway.engines.docker import images

                return images.build(self, self.model, words)
            case "watch":
                return self.environment.runner.stay(self.command(*words), _WATCH_SECONDS)
            case "exec":
                return self._exec(words)
            case "logs" if not sys.stdout.isatty():
                return self._logs(self.command(*words))
            case "down":
                return self._down(self.command(*words))
        return self.environment.runner.run(self.command(*words))

    def _exec(self, words: Sequence[str]) -> int:
        """Run a command in a running container; told to end, it is ended there, too.

        The engine itself passes no signal on to what it has begun in a container.
        """
        try:
            return self.environment.runner.run(self.command(*words))
        except Ended:
            service, *command = (word for word in words[1:] if word != "--no-TTY")
            end = ["exec", "--no-TTY", service, "sh", "-c", inside.END, "sh"]
            self.capture(*end, *command[command[:1] == ["entrypoint"] :])
            raise

    def _down(self, argv: Sequence[str]) -> int:
        """Take a project down with the networks that its files had and don't have now (EGRESS).

        Compose removes containers that it doesn't know, but no network.
        """
        status = self.environment.runner.run(argv)
        if status == 0 and (left := self.networks()):
            self.environment.runner.capture(["docker", "network", "rm", *left])
        if status == 0 and "--volumes" in argv and self.environment.kind == "prod":
            secrets.forget(self)
        return status

    def _logs(self, argv: Sequence[str]) -> int:
        """Pass lines on without the "clear line" that Compose up to 2.26 begins each with."""
        with self.environment.runner.start(argv, stdout=subprocess.PIPE) as program:
            try:
                for line in program.stdout or ():
                    print(line.removeprefix(_CLEAR_LINE), end="", flush=True)
            except BrokenPipeError:
                # Whoever read has seen enough (`| head`).
                program.terminate()
                output.nobody_reads()
                return 0
        return program.returncode

    def capture(self, *words: str, text: str = "", file: IO[bytes] | None = None) -> Completed:
        return self.environment.runner.capture(self.command(*words), text=text, file=file)

    def start(self, words: Sequence[str], services: Sequence[str]) -> AbstractContextManager[Start]:
        from gangway.engines.docker.starting import DockerStart

        wanted = self.model.wanted(services)
        start = DockerStart(self, self.model, wanted, scaled="--scale" in words)
        return start.under_way(self.command("--progress", "plain", *words))

    def building(self, services: Sequence[str], *, no_cache: bool) -> list[str]:
        from gangway.engines.docker import images

        named = services or images.built_here(self.environment, self.model)
        once = images.one_for_each_image(self.model, named)
        return ["build", *(["--no-cache"] if no_cache else []), *once]

    def due(self, services: Sequence[str]) -> Due:
        if self._runs_a_release:
            return Due()
        from gangway.engines.docker import images

        return images.due(self, self.model, services)

    def clone(self, source: Environment, service: str, script: str) -> Completed | None:
        from gangway.engines.docker import cloning

        other = DockerEngine(source)
        return cloning.clone(self, self.model, other, other.model, service, script)

    def left_by(self, folder: str, project: str) -> list[str]:
        from gangway.engines.docker import cloning

        return cloning.left_by(self, project)

    def remove_left(self, left: Sequence[str]) -> None:
        from gangway.engines.docker import cloning

        cloning.remove_left(self, left)

    def debugger(self, *, install: bool) -> Debugger:
        return Debugger("0.0.0.0", "5678", "/opt/debugger", maps_paths=True)

    def inside(self, container: Container) -> Inside:
        argv = ["docker", "exec", container.id, "sh", "-c", inside.LIST]
        return Inside(self.environment.runner.capture(argv, timeout=30).stdout.splitlines())

    def profiler(self, container: Container, pid: str, seconds: int) -> list[str]:
        argv = ["docker", "inspect", "--format", "{{.Image}}", container.id]
        image = self.environment.runner.capture(argv, timeout=30).stdout.strip()
        return inside.sidecar(container.id[:12], image, pid, seconds)
