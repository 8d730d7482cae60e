"""A deploy in a Swarm: new replicas proven beside the old, then all services changed at once.

See `gangway.engines.releases.Rollout`. One new replica of each service comes first, under a name
that nobody asks for: until all of these are healthy and have answered, nothing of what runs is
touched. Then the services themselves get the release, start-first, and Swarm takes each old replica
out of its name some two seconds before it tells it to stop. Whatever fails there brings all of them
back to what they were.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gangway.base.output import say
from gangway.base.process import Completed
from gangway.engines import required
from gangway.engines.releases import Answer, Target
from gangway.engines.swarm import deploying, files, jobs, spread
from gangway.engines.swarm.cluster import Json, Swarm, newest
from gangway.engines.swarm.labels import ONE_OFF
from gangway.engines.swarm.plan import Plan, planned, replicas
from gangway.engines.swarm.starting import SwarmStart, is_of
from gangway.model import moves, released
from gangway.model.model import Model
from gangway.model.model import replicas as current
from gangway.model.moves import PROXY

_TICK: Final = 0.3
# Seconds that old containers may take to be gone: a grace period, and some.
_ENDED: Final = 120.0
_NEXT: Final = "-next"
# A request as the proxy makes it, by a shell alone: every image of ours has that.
_ASK: Final = """
exec 3<>"/dev/tcp/$1/$2"
printf 'GET %s HTTP/1.0\\r\\nHost: localhost\\r\\nX-Forwarded-For: 127.0.0.1\\r\\n' "$3" >&3
printf 'X-Forwarded-Proto: http\\r\\n\\r\\n' >&3
head -c 65536 <&3
"""


def begun(swarm: Swarm, target: Target) -> SwarmRollout:
    """Return the deploy of a release, with nothing changed yet.

    Raises GangwayError where a secret, a variable or an image is missing, or where a Swarm can't
    run it.
    """
    values = required.values(swarm.environment, target.release)
    model = Model(copy.deepcopy(dict(released.filled(target.release.model, values))))
    released.accept_newer(model)
    on = model.wanted(target.only)
    specs = deploying.prepared(swarm, model, on, put=False)
    spread.require(swarm, target.release)
    for name in on:
        number = target.numbers.get(name, current(model.services[name]))
        specs[name] = deploying.scaled(specs[name], number)
    there = swarm.services()
    tasks = newest(swarm.tasks(there))
    healthy = {
        name: sum(task.service == name and task.state == "running" for task in tasks)
        for name in there
    }
    well = frozenset(t.service for t in tasks if t.state == "complete" and t.exit_code == 0)
    plan = planned(model, target, specs, there, healthy, well)
    return SwarmRollout(swarm, model, plan, target)


def resumed(swarm: Swarm, journal: Mapping[str, Any]) -> SwarmRollout:
    """Return a deploy whose process has gone; it can be ended or taken back."""
    return SwarmRollout(swarm, Model(journal["model"]), Plan(**journal["plan"]), None)


@dataclass
class SwarmRollout:
    """See `gangway.engines.releases.Rollout`."""

    swarm: Swarm
    model: Model
    plan: Plan
    target: Target | None
    filled: dict[str, Json] = field(default_factory=dict)

    @property
    def moves(self) -> Mapping[str, str]:
        return self.plan.why

    @property
    def runs_once(self) -> Sequence[str]:
        return self.plan.once

    @property
    def left(self) -> Mapping[str, str]:
        return self.plan.left

    def journal(self) -> Mapping[str, Any]:
        # The secrets are in the Swarm, and a variable's value is in the specs alone.
        return {"model": self._shape(), "plan": vars(self.plan)}

    # ---- the steps

    @contextlib.contextmanager
    def ground(self) -> Iterator[SwarmStart | None]:
        self._remove_next()
        self._fill()
        with self._start(self.plan.of("data"), anew=True) as start:
            yield start

    def once(self, words: Sequence[str]) -> Completed:
        self._fill()
        name = next(name for name, way in self.plan.ways.items() if way == "once")
        job = jobs.job(self._numbered[name], name, words)
        return jobs.captured(self.swarm, job, ["run", name, *words])

    @contextlib.contextmanager
    def migrate(self) -> Iterator[SwarmStart | None]:
        for name in self.plan.once:
            if found := self.swarm.services().get(name):
                self.swarm.api.delete(f"/services/{found['ID']}")
        with self._start(self.plan.once) as start:
            yield start

    @contextlib.contextmanager
    def beside(self) -> Iterator[SwarmStart | None]:
        candidates = {name: _candidate(self._numbered[name], name) for name in self.plan.changing()}
        new = {
            name: self._numbered[name]
            for name in self.plan.of("beside", "after")
            if name not in self.plan.before
        }
        if not candidates and not new:
            yield None
            return
        yield SwarmStart(self.swarm, self.model, {**candidates, **new})

    def ask(self, service: str, path: str) -> Sequence[Answer]:
        port = moves.behind(self.model).get(service)
        if service not in self.plan.changing() or not port or PROXY not in self._numbered:
            return []
        words = ["-c", _ASK, "ask", f"{service}{_NEXT}", str(port), path]
        job = jobs.job(self._numbered[PROXY], PROXY, words, entrypoint="bash")
        job["TaskTemplate"]["Placement"] = {}
        done = jobs.captured(self.swarm, job, ["ask", f"{service}:{port}", path])
        head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
        number = head.split(" ", 2)[1] if head.startswith("HTTP/") else ""
        status = int(number) if number.isdecimal() else 0
        return [Answer(service, f"{service}{_NEXT}", status, body if status else done.stderr)]

    def switch(self) -> None:
        for name in self.plan.of("beside"):
            deploying.apply(self.swarm, self._numbered[name], force=name in self.plan.anew)

    @contextlib.contextmanager
    def follow(self) -> Iterator[SwarmStart | None]:
        with self._start(self.plan.of("beside", "after"), anew=True) as start:
            yield start

    def end(self) -> None:
        self._remove_next()
        there = self.swarm.everything()
        for name in self.plan.gone:
            if name in there:
                self.swarm.api.delete(f"/services/{there[name]['ID']}")
        self._wait_for_the_old()
        files.clean(self.swarm.api, self.swarm.project)
        self.swarm.clear()

    def take_back(self) -> None:
        self._remove_next()
        for name in self.plan.of("beside", "after"):
            found = self.swarm.services().get(name)
            before = self.plan.before.get(name)
            if found and before is None:
                self.swarm.api.delete(f"/services/{found['ID']}")
            elif found and before and found["Spec"] != before:
                deploying.update(self.swarm, found, before)
        self._wait_until_as_before()
        files.clean(self.swarm.api, self.swarm.project)

    def state(self) -> Mapping[str, Any]:
        return {}

    # ---- services

    def _fill(self) -> None:
        """Have the Swarm have what the services need, and put its numbers in their specs."""
        if self.target is None or self.filled:
            return
        wanted = [*self.plan.why, *self.plan.once, *([PROXY] if PROXY in self.plan.specs else [])]
        names = list(dict.fromkeys(wanted))
        places = spread.places(self.swarm, self.target.release)
        pulled = spread.images(
            self.swarm, spread.of(self.plan.specs[name] for name in names), places
        )
        whole = deploying.prepared(self.swarm, self.model, names)
        self.filled = {
            name: spread.placed({**spec, "Mode": self.plan.specs[name]["Mode"]}, pulled)
            for name, spec in whole.items()
        }

    @property
    def _numbered(self) -> Mapping[str, Json]:
        self._fill()
        return self.filled

    @contextlib.contextmanager
    def _start(self, names: Sequence[str], *, anew: bool = False) -> Iterator[SwarmStart | None]:
        if not names:
            yield None
            return
        specs = {name: self._numbered[name] for name in names}
        # What was changed a moment ago is not changed once more.
        renewed = [n for n in self.plan.anew if anew and n in names and self._is_as_before(n)]
        yield SwarmStart(self.swarm, self.model, specs, renewed=renewed)

    def _is_as_before(self, name: str) -> bool:
        found, before = self.swarm.services().get(name), self.plan.before.get(name)
        return bool(found and found["Spec"] == before)

    def _remove_next(self) -> None:
        for name, each in self.swarm.everything().items():
            if name.endswith(_NEXT) and ONE_OFF in each["Spec"]["Labels"]:
                self.swarm.api.delete(f"/services/{each['ID']}")

    def _wait_for_the_old(self) -> None:
        """Wait until every container that was told to stop has ended."""
        names = self.plan.of("beside", "after")
        self._wait(
            lambda: any(
                task.desired == "shutdown" and task.state in ("running", "starting")
                for task in self.swarm.tasks()
                if task.service in names and self._answers(task.node)
            )
        )

    def _wait_until_as_before(self) -> None:
        """Wait until as many replicas serve as did, of what they were."""
        names = [name for name in self.plan.of("beside", "after") if name in self.plan.before]
        self._wait(lambda: not self._serves(names))

    def _serves(self, names: Sequence[str]) -> bool:
        services = self.swarm.services()
        tasks = newest(self.swarm.tasks(services))
        for name in names:
            found = services.get(name)
            if found is None or (found.get("UpdateStatus") or {}).get("State") == "updating":
                return False
            running = [t for t in tasks if t.service == name and t.state == "running"]
            if sum(is_of(task, found) for task in running) < replicas(found["Spec"]):
                return False
        return True

    def _wait(self, going_on: Callable[[], bool]) -> None:
        until = time.monotonic() + _ENDED
        while going_on():
            if time.monotonic() > until:
                say(f"note: some containers haven't ended after {_ENDED:g} s; the Swarm goes on")
                return
            time.sleep(_TICK)

    def _answers(self, node: str) -> bool:
        return any(each.id == node and each.ready for each in self.swarm.nodes())

    def _shape(self) -> Mapping[str, Any]:
        """Return what of the model a deploy is ended or taken back by: its services' names."""
        services: dict[str, Any] = {name: {} for name in self.model.services}
        return {"name": self.model.project, "services": services}


def _candidate(spec: Json, service: str) -> Json:
    """Return the spec of one new replica of a service, under a name of its own."""
    task = spec["TaskTemplate"]
    networks = [{**each, "Aliases": [f"{service}{_NEXT}"]} for each in task["Networks"]]
    once = {"Condition": "none"}
    return {
        **spec,
        "Name": f"{spec['Name'][: 63 - len(_NEXT)]}{_NEXT}",
        "Labels": {**spec["Labels"], ONE_OFF: service},
        "TaskTemplate": {**task, "Networks": networks, "RestartPolicy": once},
        "Mode": {"Replicated": {"Replicas": 1}},
        "EndpointSpec": {"Mode": "dnsrr"},
    }
