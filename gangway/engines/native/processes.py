"""The native services of a project, as their folders tell of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gangway.engines.container import Container
from gangway.engines.native.service import Supervised
from gangway.engines.native.tools import DIRECTORY

# A service whose monitor was killed together with it.
_KILLED: Final = 137


@dataclass(frozen=True)
class Processes:
    """The services of one environment of the checkout at `root`, as local processes.

    `project` is the Compose project's name.
    """

    root: Path
    project: str

    @property
    def state(self) -> Path:
        """The folder of everything that the project keeps here."""
        return self.root / DIRECTORY / self.project

    @property
    def data(self) -> Path:
        """The folder of the services' data."""
        return self.state / "volumes"

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

    def containers(self) -> list[Container]:
        """Return every service that was started, as a container engine would show it."""
        return [container(service) for service in self.present()]


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
    started = float(state.get("started") or 0)
    return Container(service.name, service.name, what, health, code, ports or frozenset(), started)


def log_lines(service: Supervised) -> list[str]:
    """Return all that is kept of what a service wrote, each line with its time."""
    found: list[str] = []
    for name in ("log.1", "log"):
        try:
            found += (service.folder / name).read_text(errors="replace").splitlines()
        except FileNotFoundError:
            continue
    return found
