"""What happens to each service while a stack starts, and how that looks."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from gangway.base.output import printable
from gangway.engines.container import Container
from gangway.model.model import Model

ORDER = ("waiting", "created", "started", "healthy", "done", "unhealthy", "failed")
# Characters of a reminder where there is no terminal to fit into.
_MOST = 200


@dataclass(frozen=True)
class Event:
    """One thing that happened to one container, `at` seconds since the epoch."""

    service: str
    container: str
    action: str
    """create, start, healthy, unhealthy, oom, die or destroy"""
    at: float
    exit_code: int = 0


def parse(line: str) -> Event | None:
    """Read a line of `docker events --format json`; None for what doesn't concern a start."""
    try:
        raw: dict[str, Any] = json.loads(line)
        attributes = raw["Actor"]["Attributes"]
        action = str(raw["Action"])
        service = attributes["com.docker.compose.service"]
    except (ValueError, KeyError, TypeError):
        return None
    if attributes.get("com.docker.compose.oneoff") == "True":
        return None
    if action.startswith("health_status: "):
        action = action.removeprefix("health_status: ")
    if action not in {"create", "start", "healthy", "unhealthy", "oom", "die", "destroy"}:
        return None
    code = int(attributes.get("exitCode") or 0)
    return Event(service, raw["Actor"]["ID"], action, raw["timeNano"] / 1e9, code)


@dataclass
class Progress:
    """Where one container is, and when it got to each state (seconds since the start)."""

    state: str = "waiting"
    reached: dict[str, float] = field(default_factory=dict)
    exit_code: int = 0

    def move(self, state: str, at: float) -> None:
        """Enter a state."""
        self.state = state
        self.reached[state] = max(at, 0.0)


class Timeline:
    """The containers of a starting stack, fed with events and snapshots.

    `probed` are the services with a health check, `one_shots` those that are meant to end.
    """

    def __init__(
        self,
        services: Sequence[str],
        *,
        probed: Iterable[str],
        one_shots: Iterable[str],
        began: float,
    ) -> None:
        """`began` is the time, in seconds since the epoch, that all times are relative to.

        `out_of_memory` are the services that wanted more of it than their limit.
        """
        self.services = list(services)
        self.out_of_memory: set[str] = set()
        self._probed = frozenset(probed)
        self._one_shots = frozenset(one_shots)
        self._began = began
        self._containers: dict[str, dict[str, Progress]] = {name: {} for name in services}

    @classmethod
    def of(cls, model: Model, wanted: Sequence[str]) -> Timeline:
        """Return the timeline of these services of the model, which begins now."""
        checks = {name: model.services[name].get("healthcheck") or {} for name in wanted}
        return cls(
            wanted,
            probed=[
                name
                for name, check in checks.items()
                if check and not check.get("disable") and check.get("test") != ["NONE"]
            ],
            one_shots=model.one_shots(),
            began=time.time(),
        )

    def feed(self, event: Event) -> bool:
        """Take in one event; return whether it changed anything."""
        if event.service not in self._containers:
            return False
        containers = self._containers[event.service]
        if event.action == "destroy":
            return containers.pop(event.container, None) is not None
        # What a container from before does while it is replaced says nothing of this start.
        if event.container not in containers and event.action not in ("create", "start"):
            return False
        progress = containers.setdefault(event.container, Progress())
        if event.action == "oom":
            self.out_of_memory.add(event.service)
            return False
        at = event.at - self._began
        if event.action == "die":
            progress.exit_code = event.exit_code
            ended_well = event.service in self._one_shots and event.exit_code == 0
            progress.move("done" if ended_well else "failed", at)
        else:
            progress.move(
                {"create": "created", "start": "started"}.get(event.action, event.action), at
            )
        return True

    def settle(self, containers: Iterable[Container], at: float) -> bool:
        """Take in the engine's own account, which is right where events and it differ.

        Returns whether anything has changed.
        """
        changed = False
        seen: dict[str, set[str]] = {name: set() for name in self.services}
        for container in containers:
            if container.service not in self._containers:
                continue
            seen[container.service].add(container.id)
            progress = self._containers[container.service].setdefault(container.id, Progress())
            state = self._state_of(container)
            progress.exit_code = container.exit_code
            if container.out_of_memory:
                self.out_of_memory.add(container.service)
            if progress.state != state:
                progress.move(state, at - self._began)
                changed = True
        for name, ids in seen.items():
            for gone in set(self._containers[name]) - ids:
                del self._containers[name][gone]
                changed = True
        return changed

    def _state_of(self, container: Container) -> str:
        match container.state:
            case "created":
                return "created"
            case "running":
                return (
                    container.health if container.health in ("healthy", "unhealthy") else "started"
                )
            case "exited" if container.service in self._one_shots and container.exit_code == 0:
                return "done"
            case _:
                return "failed"

    def count(self, service: str) -> int:
        """Return how many containers of a service are known."""
        return len(self._containers[service])

    def state(self, service: str) -> str:
        """Return the state of the container of a service that is furthest from ready."""
        containers = self._containers[service].values()
        if not containers:
            return "waiting"
        states = {progress.state for progress in containers}
        for bad in ("failed", "unhealthy"):
            if bad in states:
                return bad
        return min(states, key=ORDER.index)

    def has_started(self, service: str) -> bool:
        """Say whether every container of a service has been started."""
        return self.state(service) not in ("waiting", "created")

    def ready(self, service: str) -> bool:
        """Say whether a service is as it should be: healthy, done, or running without a check."""
        state = self.state(service)
        if service in self._one_shots:
            return state == "done"
        return state == ("healthy" if service in self._probed else "started")

    def failed(self) -> list[str]:
        """Return the services that failed or turned unhealthy."""
        return [name for name in self.services if self.state(name) in ("failed", "unhealthy")]

    def pending(self) -> list[str]:
        """Return the services that aren't ready yet."""
        return [name for name in self.services if not self.ready(name)]

    def wait(self, service: str, now: float) -> str:
        """Return how long a service has been starting, or a one-shot has been running."""
        what = "running" if service in self._one_shots else "starting"
        seconds = now - self._began - max(self._latest(service).reached.values(), default=0)
        return f"{what} for {seconds:.0f} s"

    def _latest(self, service: str) -> Progress:
        """Return the container of a service in which something happened last."""
        return max(
            self._containers[service].values(),
            key=lambda progress: max(progress.reached.values(), default=0),
        )

    def row(self, service: str) -> str:
        """Return one line on a service: each state it went through, with its time."""
        containers = self._containers[service]
        if not containers:
            return "waiting"
        slowest = self._latest(service)
        steps = [f"{state} {at:.1f} s" for state, at in slowest.reached.items()]
        if self.state(service) == "failed":
            steps[-1] += f" (exit status {slowest.exit_code})"
        if len(containers) > 1:
            ready = sum(p.state in ("healthy", "done") for p in containers.values())
            steps.append(f"{ready} of {len(containers)} ready")
        return " · ".join(steps)


class View:
    """Shows a timeline: redrawn in place on a terminal, a line per finished service elsewhere."""

    def __init__(self, timeline: Timeline, stream: TextIO, paint: Mapping[str, str] | None) -> None:
        """`paint` maps states to escape sequences; None where there is no colour or terminal."""
        self._timeline = timeline
        self._stream = stream
        self._paint = paint
        self._live = stream.isatty()
        self._drawn = 0
        self._told: dict[str, str] = {}
        # What was last said of a service that takes its time, and the state that it was in.
        self._reminders: dict[str, tuple[str, str]] = {}
        self._width = max((len(name) for name in timeline.services), default=0)

    def update(self) -> None:
        """Show what changed since the last call."""
        if self._live:
            self._redraw()
            return
        for name in self._timeline.services:
            state = self._timeline.state(name)
            final = self._timeline.ready(name) or state in ("failed", "unhealthy")
            if final and self._told.get(name) != state:
                self._told[name] = state
                self._stream.write(f"  {name:<{self._width}}  {self._timeline.row(name)}\n")
        self._stream.flush()

    def remind(self, service: str, words: str, now: float) -> None:
        """Say how long a service has been starting, at `now`, and its last `words`."""
        reminder = self._timeline.wait(service, now)
        if words:
            reminder += f": {printable(words)}"
        self._reminders[service] = (self._timeline.state(service), reminder)
        if self._live:
            self._redraw()
        else:
            self._stream.write(f"  {service:<{self._width}}  {reminder[:_MOST]}\n")
            self._stream.flush()

    def _row(self, service: str, state: str) -> str:
        row = self._timeline.row(service)
        said_in, reminder = self._reminders.get(service, ("", ""))
        return f"{row} · {reminder}" if said_in == state else row

    def _redraw(self) -> None:
        out = [f"\x1b[{self._drawn}A" if self._drawn else ""]
        # A row that the terminal breaks in two would be drawn over the one above it.
        room = max(20, shutil.get_terminal_size().columns - self._width - len("    ") - 1)
        for name in self._timeline.services:
            state = self._timeline.state(name)
            row = self._row(name, state)[:room]
            colour = (self._paint or {}).get(state, "")
            reset = "\x1b[0m" if colour else ""
            out.append(f"\r\x1b[2K  {name:<{self._width}}  {colour}{row}{reset}\n")
        self._drawn = len(self._timeline.services)
        self._stream.write("".join(out))
        self._stream.flush()
