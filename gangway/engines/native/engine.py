"""What the tasks ask of an engine, answered from the folders of the native services."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.base.process import Runner
from gangway.engines.container import Container
from gangway.engines.native import tools
from gangway.engines.native.service import Place, Supervised, unescaped
from gangway.model.model import Model
from gangway.settings.environment import DEFAULT_APPS

DIRECTORY: Final = Path(".gangway") / "native"
# A service whose monitor was killed together with it.
_KILLED: Final = 137


@dataclass(frozen=True)
class NativeEngine:
    """The services of one environment of the checkout at `root`, as local processes.

    `project` is the Compose project's name, `shell` the environment variables of the caller,
    `apps` the folders under apps/ whose libraries the services have.
    """

    root: Path
    project: str
    shell: Mapping[str, str]
    apps: tuple[str, ...] = DEFAULT_APPS

    @property
    def state(self) -> Path:
        """The folder of everything that the project keeps here."""
        return self.root / DIRECTORY / self.project

    @property
    def data(self) -> Path:
        """The folder of the services' data."""
        return self.state / "volumes"

    @cached_property
    def place(self) -> Place:
        """Where the services run."""
        return Place(self.root, self.state, tools.programs(self.root, self.apps), self.shell)

    def supervised(self, service: str) -> Supervised:
        """Return the way to a service's monitor."""
        return Supervised(self.state / "services" / service)

    def present(self) -> list[Supervised]:
        """Return every service that was started and not taken down."""
        try:
            folders = sorted((self.state / "services").iterdir())
        except FileNotFoundError:
            return []
        # What was run once has a folder, too, for its temporary files.
        return [Supervised(folder) for folder in folders if (folder / "spec.json").exists()]

    def running(self) -> bool:
        """Say whether any service of the project runs."""
        return any(service.runs() for service in self.present())

    # -- what Engine has, too ---------------------------------------------------------------------

    def check(self) -> None:
        """Refuse a machine that lacks what the services need."""
        tools.require()

    def check_compose(self) -> None:
        """Refuse a Compose that can't merge the files."""
        tools.compose(Runner(self.root, self.shell))

    def first_look(self, project: str) -> Sequence[str]:  # noqa: ARG002
        """Return no container: there are none, and no other engine has to answer."""
        return ()

    def lost(self, text: str) -> bool:  # noqa: ARG002
        """Say whether the engine went away: this one doesn't."""
        return False

    def unreachable(self, stderr: str) -> GangwayError:
        """Return the error for an engine that went away."""
        return GangwayError(f"the native engine failed: {stderr.strip()}")

    def containers(self, project: str) -> list[Container]:  # noqa: ARG002
        """Return every service that was started, as a container engine would show it."""
        return [container(service) for service in self.present()]

    def volumes(self, project: str) -> list[str]:
        """Return the names of the project's volumes, as Compose would call them."""
        try:
            return sorted(f"{project}_{path.name}" for path in self.data.iterdir())
        except FileNotFoundError:
            return []

    def publisher(self, port: int) -> str | None:  # noqa: ARG002
        """Return the container that publishes a host port: there is none."""
        return None

    def logs(self, container: Container, lines: int) -> str:
        """Return the last lines that a service wrote."""
        found = [line.partition(" ")[2] for line in log_lines(self.supervised(container.service))]
        return "\n".join(found[-lines:])

    def health_output(self, container: Container) -> str:
        """Return what the last health check said."""
        log = self.supervised(container.service).read("state.json").get("health_log") or []
        return str(log[-1]["output"]) if log else ""


def services(model: Model) -> Mapping[str, Mapping[str, Any]]:
    """Return the model's services as they are meant: with `$` where Compose writes `$$`."""
    found: Mapping[str, Mapping[str, Any]] = unescaped(model.services)
    return found


def container(service: Supervised) -> Container:
    """Return a service in the words of a container engine."""
    return shown(service, *service.seen())


def shown(service: Supervised, state: Mapping[str, Any], runs: bool) -> Container:
    """Return what `seen` says of a service in the words of a container engine."""
    what, health = str(state.get("state", "created")), str(state.get("health", ""))
    code = int(state.get("exit_code") or 0)
    if what == "stopping":
        what = "running"
    # Where there is no state, no monitor has come yet.
    if state and what in ("created", "running", "restarting") and not runs:
        what, health, code = "exited", "", _KILLED
    ports = frozenset(service.read("spec.json").get("ports") or ()) if what == "running" else None
    return Container(service.name, service.name, what, health, code, ports or frozenset())


def log_lines(service: Supervised) -> list[str]:
    """Return all that is kept of what a service wrote, each line with its time."""
    found: list[str] = []
    for name in ("log.1", "log"):
        try:
            found += (service.folder / name).read_text(errors="replace").splitlines()
        except FileNotFoundError:
            continue
    return found


def run_quietly(argv: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> int:
    """Run a command on this terminal and return its exit status; Ctrl-C reaches it."""
    try:
        with subprocess.Popen(argv, cwd=cwd, env=dict(environment)) as program:
            try:
                return program.wait()
            except KeyboardInterrupt:
                program.wait()
                raise
    except FileNotFoundError as error:
        missing = error.filename or argv[0]
        raise GangwayError(
            f"there is no program {missing!r} on this machine",
            fix="install it, or use a container engine: --engine docker",
        ) from None
