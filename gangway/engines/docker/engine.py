"""The Docker Engine, asked through its command line: versions, containers, logs, health."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gangway.base.errors import GangwayError
from gangway.base.process import Runner
from gangway.engines.container import Container
from gangway.model import compose_version
from gangway.model.compose_version import shown, version

MINIMUM_ENGINE = (25, 0, 0)
"""The first engine with health checks' start_interval."""
MINIMUM_API = (1, 44, 0)
"""The engine's API that has it, which Podman offers under a version of its own."""

_PROJECT = "com.docker.compose.project"
_WORKING_DIR = "com.docker.compose.project.working_dir"
_SERVICE = "com.docker.compose.service"
_NOT_THERE = re.compile(
    r"cannot connect to the docker daemon|error during connect|connection refused|EOF",
    re.IGNORECASE,
)
INSTALL = "start Docker (Docker Desktop, or: sudo systemctl start docker), then try again"


@dataclass(frozen=True)
class Engine:
    """A Docker Engine behind the `docker` command."""

    runner: Runner
    podman: bool = False
    """Whether it is Podman that answers on Docker's API."""

    def check(self) -> None:
        """Refuse an engine that doesn't answer, or an engine or Compose that is too old.

        Raises GangwayError with the versions found and needed.
        """
        with ThreadPoolExecutor(max_workers=2) as pool:
            checked = pool.submit(self.check_compose)
            server = self._version()
            checked.result()
        if self.podman:
            self._check_api(server)
        elif version(server) < MINIMUM_ENGINE:
            raise GangwayError(
                f"Docker Engine {server} is too old: "
                f"{MINIMUM_ENGINE[0]} or later is needed (for start_interval)",
                fix="upgrade Docker: https://docs.docker.com/engine/install/",
            )

    def _check_api(self, server: str) -> None:
        argv = ["docker", "version", "--format", "{{.Server.APIVersion}}"]
        api = self.runner.capture(argv, timeout=30).stdout.strip()
        if version(api) < MINIMUM_API:
            raise GangwayError(
                f"Podman {server} offers version {api} of Docker's API, and Compose wants "
                f"{shown(MINIMUM_API[:2])} for health checks with a start_interval",
                fix="use Docker, or no containers at all: --engine native (dev and test)",
            )

    def first_look(self, project: str) -> Sequence[str]:
        """Return the checkout's folder of each container of a project when this was first asked.

        Raises GangwayError where no engine answers: every task that needs one begins with this.
        """
        if project not in self._looks:
            template = f'{{{{.Label "{_WORKING_DIR}"}}}}'
            label = f"label={_PROJECT}={project}"
            argv = ["docker", "ps", "-a", "--filter", label, "--format", template]
            self._looks[project] = self._lines(argv)
        return self._looks[project]

    @cached_property
    def _looks(self) -> dict[str, Sequence[str]]:
        return {}

    def _version(self) -> str:
        argv = ["docker", "version", "--format", "{{.Server.Version}}"]
        done = self.runner.capture(argv, timeout=30)
        if done.status != 0:
            raise self.unreachable(done.stderr)
        return done.stdout.strip()

    def check_compose(self) -> None:
        """Refuse a Compose that is missing or too old; needs no engine."""
        found = compose_version.installed(self.runner)
        if not found:
            raise GangwayError(
                "this docker has no Compose",
                fix="install the Compose plugin: https://docs.docker.com/compose/install/",
            )
        if version(found) < compose_version.MINIMUM:
            raise GangwayError(
                f"Docker Compose {found} is too old: "
                f"{shown(compose_version.MINIMUM)} or later is needed (for !override and !reset)",
                fix="upgrade the Compose plugin: https://docs.docker.com/compose/install/",
            )

    def unreachable(self, stderr: str) -> GangwayError:
        """Return the error for an engine that doesn't answer, with what docker said."""
        lines = stderr.strip().splitlines()
        said = lines[-1] if lines else "docker gave no reason"
        if "permission denied" in stderr.lower():
            fix = "join the docker group (sudo usermod -aG docker $USER, then log in again)"
        elif self.podman:
            fix = "start Podman's socket: systemctl --user start podman.socket, or: "
            fix += "podman system service --time 0"
        else:
            fix = INSTALL
        return GangwayError(f"no container engine answers: {said}", fix=fix)

    def lost(self, text: str) -> bool:
        """Say whether `text` is what a docker command writes when its engine went away."""
        return bool(_NOT_THERE.search(text))

    def containers(self, project: str) -> list[Container]:
        """Return every container of a Compose project, one-shot and stopped ones too."""
        ids = self._lines(["docker", "ps", "-aq", "--filter", f"label={_PROJECT}={project}"])
        return [self._container(raw) for raw in self._inspect(ids)]

    def volumes(self, project: str) -> list[str]:
        """Return the names of a project's volumes."""
        return self._lines(
            ["docker", "volume", "ls", "-q", "--filter", f"label={_PROJECT}={project}"]
        )

    def publisher(self, port: int) -> str | None:
        """Return the container that publishes a host port as `name (project NAME)`, or None."""
        template = '{{.Names}} (project {{.Label "' + _PROJECT + '"}})'
        lines = self._lines(["docker", "ps", "--filter", f"publish={port}", "--format", template])
        return lines[0] if lines else None

    def logs(self, container: Container, lines: int) -> str:
        """Return the last lines that a container wrote, both streams in order."""
        argv = ["docker", "logs", "--tail", str(lines), container.id]
        done = self.runner.capture(argv, timeout=30)
        return (done.stdout + done.stderr).rstrip()

    def health_output(self, container: Container) -> str:
        """Return what a container's last health probe wrote, empty where there is none."""
        raw = self._inspect([container.id])
        if not raw:
            return ""
        log = (raw[0]["State"].get("Health") or {}).get("Log") or []
        return str(log[-1]["Output"]).strip() if log else ""

    def _inspect(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        if not ids:
            return []
        done = self.runner.capture(["docker", "inspect", *ids], timeout=30)
        if not done.stdout.strip():
            raise self.unreachable(done.stderr)
        # A container that went meanwhile is missing from the answer, and that is its state.
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def _container(self, raw: dict[str, Any]) -> Container:
        labels = raw["Config"]["Labels"]
        state = raw["State"]
        bindings = (raw["HostConfig"].get("PortBindings") or {}).values()
        return Container(
            id=raw["Id"],
            service=labels.get(_SERVICE, ""),
            state=state["Status"],
            health=(state.get("Health") or {}).get("Status", ""),
            exit_code=state["ExitCode"],
            published=frozenset(
                int(binding["HostPort"])
                for binding_list in bindings
                for binding in binding_list or ()
                if binding.get("HostPort")
            ),
        )

    def _lines(self, argv: Sequence[str]) -> list[str]:
        done = self.runner.capture(argv, timeout=30)
        if done.status != 0:
            raise self.unreachable(done.stderr)
        return [line for line in done.stdout.splitlines() if line.strip()]
