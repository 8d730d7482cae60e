"""Starting native services in the order of their dependencies, watched like containers."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from gangway.base.errors import GangwayError
from gangway.engines.container import Container
from gangway.engines.native.local import localized
from gangway.engines.native.processes import Processes, container
from gangway.engines.native.service import Place, Supervised, spec, stop
from gangway.engines.timeline import Timeline
from gangway.model.model import Model
from gangway.settings.checkout import files

# Bytes that are as good as none.
_FULL = 1024**2
_TICK = 0.01


class NativeStart:
    """One start under way; see `gangway.engines.interface.Start`."""

    fetching = False

    def __init__(
        self,
        processes: Processes,
        place: Place,
        model: Model,
        wanted: Sequence[str],
        *,
        renewed: Collection[str] = (),
        builds: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare to start what doesn't run as the model has it, and the `renewed` in any case.

        `builds` is what tells one set of a service's libraries from another.
        """
        self._processes = processes
        self.services = localized(model)
        self._specs: dict[str, dict[str, Any]] = {}
        for name in wanted:
            made = spec(place, name, self.services[name], build=(builds or {}).get(name, ""))
            ports = [p.port for p in model.published() if p.service == name]
            self._specs[name] = made | {"ports": ports}
        self._waiting = dict.fromkeys(wanted)
        self._one_shots = model.one_shots()
        self._renewed = frozenset(renewed)
        self.timeline = Timeline.of(model, wanted)

    def done(self) -> bool:
        return not self._waiting

    def poll(self) -> bool:
        able = [name for name in self._waiting if self._may_start(self.services[name])]
        for name in able:
            del self._waiting[name]
        try:
            # Side by side: each takes a moment.
            begun = [started for name in able if (started := self._start(name))]
            for service, monitor in begun:
                service.begun(monitor)
        except GangwayError:
            self._check_disk()
            raise
        changed = self.timeline.settle(self.containers(), time.time())
        if self.timeline.failed():
            self._check_disk()
        if not changed:
            time.sleep(_TICK)
        return changed

    def give_up(self, seconds: float = 0.0) -> None:
        return

    def containers(self) -> list[Container]:
        there = [name for name in self._specs if name not in self._waiting]
        return [container(self._processes.supervised(name)) for name in there]

    def _check_disk(self) -> None:
        """Refuse a full disk: what a service said of it has found no room in its log."""
        for folder in (self._processes.state, self._processes.data):
            if folder.exists() and shutil.disk_usage(folder).free < _FULL:
                raise GangwayError(
                    "the disk is full: no space left on device",
                    where=str(folder.resolve()),
                    fix="free some (df -h shows how much there is), then try again",
                )

    def _may_start(self, service: Mapping[str, Any]) -> bool:
        for name, entry in (service.get("depends_on") or {}).items():
            if name not in self._specs:
                continue
            state = self.timeline.state(name)
            done = name not in self._waiting
            match entry["condition"]:
                case "service_started":
                    done = done and state != "waiting"
                case "service_healthy":
                    done = done and state == "healthy"
                case _:
                    done = done and state == "done"
            if not done:
                return False
        return True

    def _still_done(self, name: str) -> bool:
        """Say whether a one-shot's last run still counts.

        It does until a service that it depends on has started again, or a file of its sources
        has changed; `run` in its place makes it forget (see `commands`).
        """
        service = self._processes.supervised(name)
        # In this order: the state of a run goes before the spec of the next one comes.
        if service.read("spec.json") != self._specs[name]:
            return False
        state = service.read("state.json")
        # Its end is a monitor's last word, true whether that has let go of the lock by now or not.
        if state.get("exit_code") != 0 or not (ended := state.get("ended")):
            return False
        for needed in self.services[name].get("depends_on") or ():
            started = self._processes.supervised(needed).read("state.json").get("started")
            if not started or started > ended:
                return False
        mounts = self.services[name].get("volumes") or ()
        sources = [Path(mount["source"]) for mount in mounts if mount["type"] == "bind"]
        return all(file.stat().st_mtime < ended for source in sources for file in files(source))

    def _start(self, name: str) -> tuple[Supervised, subprocess.Popen[bytes]] | None:
        service, wanted = self._processes.supervised(name), self._specs[name]
        if name in self._one_shots and name not in self._renewed and self._still_done(name):
            return None
        state, runs = service.seen()
        if runs:
            same = service.read("spec.json") == wanted
            # Not one that an interrupted `down` has told to stop.
            up_already = state.get("state") == "running" and name not in self._one_shots
            if same and up_already and name not in self._renewed and service.attended():
                return None
            stop([service])
        return service, service.launch(wanted)
