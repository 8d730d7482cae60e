"""What the Docker Engine is asked through its command line: versions, containers, logs, health."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from gangway.base.errors import GangwayError
from gangway.base.process import Completed
from gangway.engines import databases
from gangway.engines.container import Container
from gangway.engines.databases import Kept
from gangway.model import compose_version
from gangway.model.compose_version import shown, version
from gangway.settings.environment import Environment

MINIMUM_ENGINE = (25, 0, 0)
"""The first engine with health checks' start_interval."""
PRODUCTION_ENGINE = (26, 0, 0)
"""The first that mounts a part of a volume: where production's secrets are."""
MINIMUM_API = (1, 44, 0)
"""The engine's API that has it, which Podman offers under a version of its own."""

_PROJECT = "com.docker.compose.project"
_WORKING_DIR = "com.docker.compose.project.working_dir"
_CONFIG_HASH = "com.docker.compose.config-hash"
_SERVICE = "com.docker.compose.service"
PODMAN = "podman"
INSTALL = "start Docker (Docker Desktop, or: sudo systemctl start docker), then try again"


class Listed(NamedTuple):
    """A container as `docker ps` lists it, with the folder of the checkout that it came from."""

    service: str
    state: str
    directory: str


def failed(done: Completed) -> GangwayError:
    """Return the error for a call of docker that has failed, with what that said last."""
    said = done.stderr.strip().splitlines() or ["no reason given"]
    return GangwayError(f"{' '.join(done.argv[:3])} failed: {said[-1]}")


@dataclass(frozen=True)
class Client:
    """The `docker` command, for one environment's project."""

    environment: Environment

    @property
    def project(self) -> str:
        """The Compose project's name."""
        return self.environment.get("COMPOSE_PROJECT_NAME")

    @property
    def label(self) -> str:
        """The filter that finds what belongs to the project."""
        return f"label={_PROJECT}={self.project}"

    @property
    def ours(self) -> tuple[str, ...]:
        """The filters that find Compose's containers of the project.

        What somebody runs by hand from an image of ours has the image's labels, the project's
        among them, but none of Compose's own.
        """
        return ("--filter", self.label, "--filter", f"label={_CONFIG_HASH}")

    @cached_property
    def address(self) -> str:
        """Where the engine is, as DOCKER_HOST has it; its context may say so, too."""
        argv = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
        done = self.environment.runner.capture(argv, timeout=30)
        if done.status != 0:
            said = done.stderr.strip() or "docker gave no reason"
            raise GangwayError(f"docker's context is no good: {said}", fix="docker context ls")
        return done.stdout.strip()

    @property
    def is_local(self) -> bool:
        """Say whether the engine is on this machine, and so has its folders."""
        return self.address.startswith(("unix://", "npipe://"))

    @cached_property
    def host(self) -> str:
        """The name of the machine that the engine is on; empty for this one."""
        if self.is_local:
            return ""
        place = urlsplit(self.address)
        name = place.hostname or ""
        if place.scheme == "ssh":
            # ssh's own settings may have another name for it.
            with suppress(GangwayError):
                done = self.environment.runner.capture(["ssh", "-G", name], timeout=30)
                lines = (line.split(maxsplit=1) for line in done.stdout.splitlines())
                return next((line[1] for line in lines if line[0] == "hostname"), name)
        return name

    def check(self) -> None:
        """Refuse an engine that doesn't answer, or an engine or Compose that is too old.

        Raises GangwayError with the versions found and needed.
        """
        with ThreadPoolExecutor(max_workers=2) as pool:
            checked = pool.submit(self._check_compose)
            server = self._version()
            checked.result()
        if self.environment.engine == PODMAN:
            self._check_api(server)
            return
        oldest, what_for = MINIMUM_ENGINE, "start_interval"
        if self.environment.kind == "prod":
            oldest, what_for = PRODUCTION_ENGINE, "secrets in a volume"
        if version(server) < oldest:
            raise GangwayError(
                f"Docker Engine {server} is too old: "
                f"{oldest[0]} or later is needed (for {what_for})",
                fix="upgrade Docker: https://docs.docker.com/engine/install/",
            )

    def _check_api(self, server: str) -> None:
        argv = ["docker", "version", "--format", "{{.Server.APIVersion}}"]
        api = self.environment.runner.capture(argv, timeout=30).stdout.strip()
        if version(api) < MINIMUM_API:
            raise GangwayError(
                f"Podman {server} offers version {api} of Docker's API, and Compose wants "
                f"{shown(MINIMUM_API[:2])} for health checks with a start_interval",
                fix="use Docker, or no containers at all: --engine native (dev and test)",
            )

    def reach(self) -> None:
        """Raise GangwayError where no engine answers."""
        self._first_look  # noqa: B018

    def running(self) -> bool:
        """Say whether a container of the project runs; False where no engine answers."""
        with suppress(GangwayError):
            return any(each.state == "running" for each in self._first_look)
        return False

    def owners(self) -> str:
        """Return which other checkouts have the project's name, for people; empty for none."""
        directories = {each.directory for each in self._first_look if each.directory}
        own = self.environment.root.resolve()
        # By hand, Compose may have been called through a link.
        if others := {each for each in directories if Path(each).resolve() != own}:
            return ", ".join(sorted(others))
        # Volumes alone are the data of a checkout that is down, and that one isn't this.
        volumes = ["docker", "volume", "ls", "-q", "--filter", self.label]
        return "data of another checkout" if not directories and self._lines(volumes) else ""

    @cached_property
    def _first_look(self) -> list[Listed]:
        """Every container of the project as it was when this was first asked."""
        fields = (f'{{{{.Label "{_SERVICE}"}}}}', "{{.State}}", f'{{{{.Label "{_WORKING_DIR}"}}}}')
        argv = ["docker", "ps", "-a", *self.ours, "--format", "\t".join(fields)]
        return [Listed(*line.split("\t", 2)) for line in self._lines(argv)]

    def _version(self) -> str:
        argv = ["docker", "version", "--format", "{{.Server.Version}}"]
        done = self.environment.runner.capture(argv, timeout=30)
        if done.status != 0:
            raise self.unreachable(done.stderr)
        return done.stdout.strip()

    def _check_compose(self) -> None:
        """Refuse a Compose that is missing or too old; needs no engine."""
        found = compose_version.installed(self.environment.runner)
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
        elif self.environment.engine == PODMAN:
            fix = "start Podman's socket: systemctl --user start podman.socket, or: "
            fix += "podman system service --time 0"
        elif not self.is_local:
            fix = f"is it right that the engine is at {self.address}? See: docker context ls, "
            fix += 'echo "$DOCKER_HOST"'
        else:
            fix = INSTALL
        return GangwayError(f"no container engine answers: {said}", fix=fix)

    def containers(self) -> list[Container]:
        """Return every container of the project, one-shot and stopped ones too."""
        return [self._container(raw) for raw in self.inspected()]

    def inspected(self) -> list[dict[str, Any]]:
        """Return the engine's own account of every container of the project."""
        return self._inspect(self._lines(["docker", "ps", "-aq", *self.ours]))

    def subpaths(self) -> set[str]:
        """Return the places in volumes that containers of the project mount."""
        return {
            str((mount.get("VolumeOptions") or {}).get("Subpath") or "")
            for raw in self.inspected()
            for mount in raw["HostConfig"].get("Mounts") or ()
        }

    def networks(self) -> list[str]:
        """Return the names of the project's networks."""
        named = ["docker", "network", "ls", "--format", "{{.Name}}", "--filter", self.label]
        return self._lines(named)

    def images(self, names: Iterable[str]) -> dict[str, tuple[str, float]]:
        """Return the number of each image that is there, and when it was made (Unix time)."""
        fields = ("{{.Id}}", "{{.Created}}", "{{json .RepoTags}}")
        wanted = sorted(set(names))
        argv = ["docker", "image", "inspect", "--format", "\t".join(fields), *wanted]
        done = self.environment.runner.capture(argv, timeout=30)
        found: dict[str, tuple[str, float]] = {}
        # Where one is missing, there is a line without any.
        for line in filter(None, done.stdout.splitlines()):
            number, made, tags = line.split("\t")
            moment = datetime.fromisoformat(made).timestamp()
            there = json.loads(tags) or ()
            # Podman puts a registry before the name.
            found |= {
                name: (number, moment)
                for name in wanted
                if any(tag in (name, f"{name}:latest") or tag.endswith(f"/{name}") for tag in there)
            }
        if done.status != 0 and not found:
            self.reach()
        return found

    def publisher(self, port: int) -> str | None:
        """Return the container that publishes a host port as `container NAME (project NAME)`."""
        template = '{{.Names}} (project {{.Label "' + _PROJECT + '"}})'
        both = ("--filter", f"publish={port}", "--filter", f"publish={port}/udp")
        argv = ["docker", "ps", *both, "--format", template]
        # An engine that has gone away meanwhile has no say in it; the port is taken all the same.
        with suppress(GangwayError):
            return next((f"container {line}" for line in self._lines(argv)), None)
        return None

    def has_others_files(self, volume: str, image: str, uid: str) -> bool:
        """Say whether a volume has files that aren't this user's; False where there is none."""
        run = self.environment.runner.capture
        if run(["docker", "volume", "inspect", volume], timeout=30).status != 0:
            return False
        look = ["find", "/data", "-mindepth", "1", "!", "-user", uid, "-print", "-quit"]
        argv = ["docker", "run", "--rm", "--network", "none", "--user", "0"]
        argv += ["--volume", f"{volume}:/data:ro", "--entrypoint", look[0], image, *look[1:]]
        return bool(run(argv, timeout=60).stdout.strip())

    def kept_databases(self, volume: str, service: Mapping[str, Any]) -> Kept | None:
        """Return what a volume holds for PostgreSQL; None where there is none.

        An image that isn't here is fetched, as it would be by the start that this comes before.
        """
        run = self.environment.runner.capture
        if run(["docker", "volume", "inspect", volume], timeout=30).status != 0:
            return None
        argv = ["docker", "run", "--rm", "--network", "none", "--user", "0"]
        argv += ["--volume", f"{volume}:/data:ro", "--entrypoint", "sh", str(service["image"])]
        done = run([*argv, "-c", databases.LOOK, "sh", "/data"])
        if done.status != 0:
            raise failed(done)
        return databases.seen(done.stdout)

    def declared_volumes(self, images: Sequence[str]) -> dict[str, list[str]]:
        """Return the paths at which images say that they keep data; those that are here."""
        if not images:
            return {}
        form = "{{json .RepoTags}}\t{{json .Config.Volumes}}"
        argv = ["docker", "image", "inspect", "--format", form, *images]
        found: dict[str, list[str]] = {}
        # It fails for those that are missing, and writes the others, or an empty line for none.
        lines = self.environment.runner.capture(argv, timeout=30).stdout.splitlines()
        for line in filter(None, lines):
            tags, volumes = map(json.loads, line.split("\t"))
            found |= {tag: sorted(volumes or ()) for tag in tags or ()}
        return found

    def logs(self, container: Container, lines: int) -> str:
        """Return the last lines that a container wrote, both streams in order."""
        argv = ["docker", "logs", "--tail", str(lines), container.id]
        done = self.environment.runner.capture(argv, timeout=30)
        return (done.stdout + done.stderr).rstrip()

    def health_output(self, container: Container) -> str:
        """Return what a container's last health probe wrote, empty where there is none."""
        raw = self._inspect([container.id])
        if not raw:
            return ""
        log = (raw[0]["State"].get("Health") or {}).get("Log") or []
        return str(log[-1]["Output"]).strip() if log else ""

    def do(self, *words: str, timeout: float | None = None) -> None:
        """Have the engine do something, as `docker WORDS…` would, in so many seconds at most.

        Raises GangwayError where it fails.
        """
        done = self.environment.runner.capture(["docker", *words], timeout=timeout)
        if done.status != 0:
            raise failed(done)

    def _inspect(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        if not ids:
            return []
        done = self.environment.runner.capture(["docker", "inspect", *ids], timeout=30)
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
            started=datetime.fromisoformat(state["StartedAt"]).timestamp(),
            out_of_memory=state["OOMKilled"],
        )

    def _lines(self, argv: Sequence[str]) -> list[str]:
        done = self.environment.runner.capture(argv, timeout=30)
        if done.status != 0:
            raise self.unreachable(done.stderr)
        return [line for line in done.stdout.splitlines() if line.strip()]
