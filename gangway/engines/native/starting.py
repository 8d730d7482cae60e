"""Starting native services in the order of their dependencies, watched like containers."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from gangway.base.errors import GangwayError
from gangway.base.process import interrupts_later
from gangway.engines.container import Container
from gangway.engines.native import tools
from gangway.engines.native.engine import NativeEngine, container, services
from gangway.engines.native.service import Supervised, spec, stop
from gangway.engines.timeline import Timeline
from gangway.model.model import Model
from gangway.settings.checkout import files

# Bytes that are as good as none.
_FULL = 1024**2
# How nice services are to the tests that start beside them, whose own imports take longest; and
# those that the first tests don't wait for.
_NICE, _NICEST = 5, 15


class Start:
    """One start under way, a step at a time: the caller looks at its timeline after each."""

    def __init__(
        self,
        engine: NativeEngine,
        model: Model,
        wanted: Sequence[str],
        *,
        first: Collection[str] = (),
        renew: bool = False,
    ) -> None:
        """Prepare to start what doesn't run as the model has it; `renew`: all of it.

        With `first` it is enough that those are ready and the others have started.
        """
        self._engine, self._first = engine, first
        self.services = services(model)
        one_shots = model.one_shots()
        build = tools.stamp(engine.root, engine.apps)
        self._specs: dict[str, dict[str, Any]] = {}
        patient = set(wanted).difference(model.wanted(first))
        for name in wanted:
            nice = (_NICEST if name in patient else _NICE) if first else 0
            made = spec(engine.place, name, self.services[name], build=build, nice=nice)
            ports = [p.port for p in model.published() if p.service == name]
            self._specs[name] = made | {"ports": ports}
        self._waiting = dict.fromkeys(wanted)
        self._one_shots = one_shots
        self._renew = renew
        self._held: dict[str, Supervised] = {}
        self._worth_holding = longest_imports(self._specs, max(1, (os.cpu_count() or 1) - 1))
        self.timeline = Timeline(
            wanted,
            probed=[name for name in wanted if self._specs[name]["healthcheck"]],
            one_shots=one_shots,
            began=time.time(),
        )

    def ready(self) -> bool:
        """Say whether all is as it should be, or with `first` enough of it."""
        pending = self.timeline.pending()
        if self._first:
            return not self._waiting and not set(self._first).intersection(pending)
        return not pending

    def step(self) -> bool:
        """Start what can be started; return whether that, or the rest, has got on.

        Raises GangwayError where a monitor can't be started.
        """
        able = [name for name in self._waiting if self._may_start(self.services[name])]
        for name in able:
            del self._waiting[name]
        try:
            # Side by side: each takes a moment.
            begun = [started for name in able if (started := self._start(name))]
            # Whoever waits at a gate must be known, so that it can be turned away.
            with interrupts_later():
                begun += [held for name in self._worth_holding if (held := self._hold(name))]
                for service, monitor in begun:
                    service.begun(monitor)
        except GangwayError:
            self.check_disk()
            raise
        return self.timeline.settle(self.containers(), time.time())

    def containers(self) -> list[Container]:
        """Return what has been started; what waits at its gate has not."""
        there = [name for name in self._specs if name not in self._waiting]
        return [container(self._engine.supervised(name)) for name in there]

    def check_disk(self) -> None:
        """Refuse a full disk: what a service said of it has found no room in its log."""
        for folder in (self._engine.state, self._engine.data):
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
        service = self._engine.supervised(name)
        # In this order: the state of a run goes before the spec of the next one comes.
        if service.read("spec.json") != self._specs[name]:
            return False
        state = service.read("state.json")
        # Its end is a monitor's last word, true whether that has let go of the lock by now or not.
        if state.get("exit_code") != 0 or not (ended := state.get("ended")):
            return False
        for needed in self.services[name].get("depends_on") or ():
            started = self._engine.supervised(needed).read("state.json").get("started")
            if not started or started > ended:
                return False
        mounts = self.services[name].get("volumes") or ()
        sources = [Path(mount["source"]) for mount in mounts if mount["type"] == "bind"]
        return all(file.stat().st_mtime < ended for source in sources for file in files(source))

    def _hold(self, name: str) -> tuple[Supervised, subprocess.Popen[bytes]] | None:
        """Start a service that can wait at its gate: what it imports meanwhile is there then."""
        service, wanted = self._engine.supervised(name), self._specs[name]
        if name not in self._waiting or name in self._held or service.runs():
            return None
        self._held[name] = service
        return service, service.launch(wanted, held=True)

    def turn_away(self) -> None:
        """End what still waits at its gate: nobody will let it in."""
        stop([service for name, service in self._held.items() if name in self._waiting])

    def _start(self, name: str) -> tuple[Supervised, subprocess.Popen[bytes]] | None:
        service, wanted = self._engine.supervised(name), self._specs[name]
        if service.runs() and wanted["gate"]:
            # Held by this start, or by one that was killed.
            service.let_in()
            if name in self._held:
                return None
        if name in self._one_shots and not self._renew and self._still_done(name):
            return None
        state, runs = service.seen()
        if runs:
            same = service.read("spec.json") == wanted
            # Not one that an interrupted `down` has told to stop.
            up_already = state.get("state") == "running" and name not in self._one_shots
            if same and up_already and not self._renew and service.attended():
                return None
            stop([service])
        return service, service.launch(wanted)


def longest_imports(specs: Mapping[str, Mapping[str, Any]], most: int) -> list[str]:
    """Return which services are worth being held: those that imported most last time, in order.

    `most` is the number of CPUs less the one for what the gate waits for: with more at it they
    take turns, and the longest, which all wait for in the end, is late.
    """
    imported = {
        name: Path(spec["environment"]["RELOAD_MEMORY"])
        for name, spec in specs.items()
        if spec["gate"]
    }
    sizes = {name: file.stat().st_size if file.exists() else 0 for name, file in imported.items()}
    return sorted(sizes, key=lambda name: -sizes[name])[:most]
