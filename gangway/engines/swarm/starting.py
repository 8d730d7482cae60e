"""A start in a Swarm: services in the order of what they need, their tasks watched meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.engines.container import Container
from gangway.engines.swarm import deploying
from gangway.engines.swarm.cluster import Json, Swarm, Task, container, newest
from gangway.engines.timeline import Timeline
from gangway.model.model import Model

_TICK: Final = 0.2
# Seconds for a task that was lost with its node to be made up for.
_LOST: Final = 30.0


class SwarmStart:
    """One start under way; see `gangway.engines.start.Start`.

    It is over once every service has as many tasks as it is to have, all of what it is made of.
    """

    fetching = False

    def __init__(
        self,
        swarm: Swarm,
        model: Model,
        specs: Mapping[str, Json],
        *,
        renewed: Collection[str] = (),
    ) -> None:
        """Prepare to start what doesn't run as the specs have it, and the `renewed` in any case."""
        # In the order of the Compose files.
        self.timeline = Timeline.of(model, [name for name in model.services if name in specs])
        self._swarm, self._model, self._specs = swarm, model, specs
        self._waiting = dict.fromkeys(self.timeline.services)
        self._renewed = frozenset(renewed) - model.one_shots()
        self._failed_before = {task.id for task in swarm.tasks(self._there()) if task.failed}
        self._whole = False
        self._paused: dict[str, float] = {}

    def done(self) -> bool:
        return not self._waiting and self._whole

    def poll(self) -> bool:
        able = [name for name in self._waiting if self._may_start(name)]
        for name in able:
            del self._waiting[name]
            deploying.apply(self._swarm, self._specs[name], force=name in self._renewed)
        changed = self.timeline.settle(self.containers(), time.time())
        if not changed:
            time.sleep(_TICK)
        return changed or bool(able)

    def give_up(self, seconds: float = 0.0) -> None:
        return

    def containers(self) -> list[Container]:
        """Return each replica, and what has failed since the start even where another came."""
        services = self._there()
        begun = {name: each for name, each in services.items() if name not in self._waiting}
        tasks = self._swarm.tasks(begun)
        last = newest(tasks)
        now = {task.id: task for task in last if is_of(task, services[task.service])}
        self._whole = self._has_all(begun, Counter(t.service for t in now.values()), last)
        failed = [task for task in tasks if task.failed and task.id not in self._failed_before]
        now |= {task.id: task for task in failed}
        self._refuse_paused(begun)
        return [container(task, services[task.service]) for task in now.values()]

    def _there(self) -> dict[str, Json]:
        found = self._swarm.everything()
        names = {name: spec["Name"] for name, spec in self._specs.items()}
        return {name: found[own] for name, own in names.items() if own in found}

    def _has_all(
        self, services: Mapping[str, Json], there: Mapping[str, int], last: Collection[Task]
    ) -> bool:
        everywhere = Counter(task.service for task in last)
        for name, service in services.items():
            mode = service["Spec"]["Mode"]
            number = (mode.get("Replicated") or {}).get("Replicas")
            if number is None:
                number = max(1, everywhere[name])
            updating = (service.get("UpdateStatus") or {}).get("State") in _UNDER_WAY
            if there.get(name, 0) < number or updating:
                return False
        return len(services) == len(self._specs)

    def _refuse_paused(self, services: Mapping[str, Json]) -> None:
        """Raise GangwayError where the Swarm goes on with a service no more.

        One whose task was lost with a node gets another: that may have been all that was left.
        """
        for name, service in services.items():
            status = service.get("UpdateStatus") or {}
            if status.get("State") not in _GIVEN_UP or self._whole or self.timeline.failed():
                self._paused.pop(name, None)
            elif time.monotonic() - self._paused.setdefault(name, time.monotonic()) > _LOST:
                raise GangwayError(f"the Swarm has given up on {name}: {status.get('Message')}")

    def _may_start(self, name: str) -> bool:
        for needed, how in (self._model.services[name].get("depends_on") or {}).items():
            if needed not in self._specs:
                continue
            if needed in self._waiting:
                return False
            started = how["condition"] == "service_started"
            if not (self.timeline.has_started(needed) if started else self.timeline.ready(needed)):
                return False
        return True


_UNDER_WAY: Final = ("updating", "rollback_started")
_GIVEN_UP: Final = ("paused", "rollback_paused", "rollback_completed")


def is_of(task: Task, service: Mapping[str, Any]) -> bool:
    """Say whether a task is of what its service is, and not of what it was before."""
    wanted = service["Spec"]["TaskTemplate"]
    same = all(task.spec.get(key) == wanted.get(key) for key in ("ContainerSpec", "Resources"))
    return same and task.version == int(wanted.get("ForceUpdate") or 0)
