"""A deploy on one machine: new replicas beside the old, and one step from these to those.

See `gangway.engines.releases.Rollout`. The containers are Compose's own, so that it knows them by
their labels as ever. Which slot, blue or green, a service's replicas are in is a name of theirs
that the proxy finds them by.
"""

from __future__ import annotations

import contextlib
import copy
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.base.files import replace
from gangway.base.process import Completed
from gangway.engines import front, required
from gangway.engines.docker import replicas, secrets
from gangway.engines.docker.client import Client, failed
from gangway.engines.docker.plan import Plan, planned
from gangway.engines.docker.proxy_swap import Swap
from gangway.engines.docker.records import VolumeRecords
from gangway.engines.docker.replicas import Replica
from gangway.engines.docker.starting import DockerStart
from gangway.engines.releases import Answer, Target
from gangway.model import moves
from gangway.model.model import Model
from gangway.model.moves import LABEL, PROXY
from gangway.model.release import STATE, Release, running
from gangway.model.released import accept_newer, filled
from gangway.settings import checkout
from gangway.settings.environment import Environment
from gangway.settings.plain import announce

# Seconds between the proxy's last request and the signal: what it has sent has arrived by then.
_PAUSE: Final = 0.5


def begun(client: Client, target: Target, state: Mapping[str, Any]) -> DockerRollout:
    """Return the deploy of a release, with nothing changed yet.

    Raises GangwayError where a secret is missing.
    """
    release = target.release
    _require(client, release)
    delivery = secrets.prepare(client, release.model)
    raw = copy.deepcopy(dict(filled(delivery.model, required.values(client.environment, release))))
    if PROXY in raw["services"]:
        raw["services"][PROXY].setdefault("environment", {})["PROXY_SLOTS"] = "on"
    accept_newer(Model(raw))
    digests = {
        name: moves.digest(service, delivery.digests.get(name, ""), is_proxy=name == PROXY)
        for name, service in raw["services"].items()
    }
    there = replicas.found(client)
    plan = planned(Model(raw), digests, target, there, state)
    return DockerRollout(client, _marked(raw, digests, plan), plan, delivery)


def _require(client: Client, release: Release) -> None:
    """Refuse a release whose images aren't all here as it was made of them."""
    there = client.images(image.ref for image in release.images.values())
    gone = [
        service
        for service, image in release.images.items()
        if there.get(image.ref, ("", 0.0))[0] != image.id
    ]
    required.refuse_gone(client.environment, release, gone)


def resumed(client: Client, journal: Mapping[str, Any]) -> DockerRollout:
    """Return a deploy whose process has gone; it can be ended or taken back."""
    return DockerRollout(client, Model(journal["model"]), Plan(**journal["plan"]), None)


def compose(client: Client, *words: str) -> list[str]:
    """Return a call of Compose with the model that was started last."""
    file = f"{checkout.DIRECTORY}/{_file(client.environment)}"
    # The folder is a label of the containers, which says whose they are.
    return ["docker", "compose", "--project-directory", ".", "--file", file,
            "--project-name", client.project, *words]  # fmt: skip


def services(client: Client) -> frozenset[str]:
    """Return the services of that model; only where there is one."""
    path = checkout.state(client.environment.root, _file(client.environment))
    return frozenset(json.loads(path.read_text(encoding="utf-8"))["services"])


def is_there(client: Client) -> bool:
    """Say whether a release runs, and have its model here for `compose`."""
    environment = client.environment
    if environment.kind != "prod":
        return False
    if checkout.state(environment.root, _file(environment)).exists():
        return True
    files = VolumeRecords(client).read()
    release = running(files)
    if release is None:
        return False
    begun(client, Target(release), json.loads(files[STATE])).keep()
    return True


def _file(environment: Environment) -> str:
    return f"{environment.name}.release.json"


def _marked(raw: dict[str, Any], digests: Mapping[str, str], plan: Plan) -> Model:
    """Return the model with what tells its containers from others, and the slots of the new."""
    services = raw["services"]
    for name, service in services.items():
        service.setdefault("labels", {})[LABEL] = digests[name]
        if name in plan.numbers and "deploy" in service:
            service["deploy"]["replicas"] = plan.numbers[name]
    if PROXY in services:
        shared = services[PROXY].get("networks") or {}
        for name, slot in plan.switched.items():
            networks = services[name].get("networks") or {}
            for network in networks.keys() & shared.keys():
                entry = networks[network] = dict(networks[network] or {})
                entry["aliases"] = [*(entry.get("aliases") or ()), f"{name}-{slot}"]
    return Model(raw)


def run_front(client: Client, words: Sequence[str]) -> None:
    """Run the proxy's own program in its container.

    Raises GangwayError where there is none, and where it refuses.
    """
    _tell(client, _running_proxy(client), words)


def _tell(client: Client, proxy: Replica, words: Sequence[str], text: str = "") -> None:
    front.checked(_front(client, proxy, words, text), client.environment.name)


def _front(client: Client, proxy: Replica, words: Sequence[str], text: str = "") -> Completed:
    argv = ["docker", "exec", *(["--interactive"] if text else []), proxy.id, "front", *words]
    return client.environment.runner.capture(argv, text=text, timeout=120)


def _running_proxy(client: Client) -> Replica:
    if proxy := _proxy(client):
        return proxy
    name = client.environment.name
    raise GangwayError(f"{PROXY} doesn't run", fix=f"invoke {name}.up starts it")


def _proxy(client: Client) -> Replica | None:
    there = (each for each in replicas.found(client) if each.service == PROXY and each.running)
    return next(there, None)


@dataclass
class DockerRollout:
    """See `gangway.engines.releases.Rollout`."""

    client: Client
    model: Model
    plan: Plan
    delivery: secrets.Delivery | None

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
        return {"model": self.model.raw, "plan": vars(self.plan)}

    # ---- the steps

    @contextlib.contextmanager
    def ground(self) -> Iterator[DockerStart | None]:
        self.keep()
        if self.delivery:
            self.delivery.put()
        names = self.plan.of("data")
        if self._old(names):
            self._prepare(names)
        with self._in_turn(names) if self._old(names) else self._up(names) as start:
            yield start

    def once(self, words: Sequence[str]) -> Completed:
        name = next(name for name, way in self.plan.ways.items() if way == "once")
        argv = compose(self.client, "run", "--rm", "--no-deps", "--no-TTY", name, *words)
        return self.client.environment.runner.capture(argv)

    @contextlib.contextmanager
    def migrate(self) -> Iterator[DockerStart | None]:
        with self._up(self.plan.once, "--force-recreate") as start:
            yield start

    @contextlib.contextmanager
    def beside(self) -> Iterator[DockerStart | None]:
        self._remove([each.id for each in self._dead()])
        after = self.plan.of("after")
        self._prepare([name for name in after if self.plan.old[name]])
        first = [name for name in after if not self.plan.old[name]]
        names = [*self.plan.of("beside"), *first]
        with self._up([name for name in names if self.plan.numbers[name]]) as start:
            yield start

    def ask(self, service: str, path: str) -> Sequence[Answer]:
        self._connect_proxy()
        proxy = self._proxy()
        port = moves.behind(self.model).get(service)
        if not proxy or not port or not _has_slots(proxy):
            return []
        found = []
        for replica in self._new(service):
            network = next(iter(proxy.addresses.keys() & replica.addresses.keys()), None)
            if network is None:
                found.append(Answer(service, replica.id[:12], 0, "no network with the proxy"))
                continue
            words = ("ask", f"{replica.addresses[network]}:{port}", path)
            done = _front(self.client, proxy, words)
            status, _, body = done.stdout.partition("\n")
            number = int(status) if status.isdecimal() else 0
            found.append(Answer(service, replica.id[:12], number, body or done.stderr))
        return found

    def switch(self) -> None:
        self._route(self.plan.switched)

    @contextlib.contextmanager
    def follow(self) -> Iterator[DockerStart | None]:
        if self.plan.settings:
            self._set_proxy(moves.settings(self.model))
        names = [name for name in self.plan.of("after") if self.plan.old[name]]
        swap = self._swap() if PROXY in names else None
        if swap:
            swap.prepare()
        with self._in_turn(names, but=swap.old.id if swap else "") as start:
            yield start
        if swap:
            swap.take_over()
        if names:
            self._route(self.plan.switched)

    def end(self) -> None:
        if any(self.plan.old[name] for name in self.plan.of("beside")) or self.plan.gone:
            time.sleep(_PAUSE)
        self._finish([*self._old(self._replaced()), *self.plan.gone])
        if self.delivery:
            # The next deploy does what this can't.
            with contextlib.suppress(GangwayError):
                self.delivery.tidy()

    def take_back(self) -> None:
        there = {each.id: each for each in replicas.found(self.client)}
        stopped = [
            number
            for name in self.plan.of("after", "data")
            for number in self.plan.old[name]
            if number in there and not there[number].running
        ]
        names = self._replaced()
        old = {number for name in names for number in self.plan.old[name]}
        new = [each for each in there.values() if each.service in names and each.id not in old]
        # One at a time: what must not run twice, the data's volume and the proxy's port.
        alone = [each.id for each in new if self.plan.ways[each.service] != "beside"]
        swap = self._swap() if PROXY in names else None
        if stopped or swap:
            self._stop(alone)
        if stopped:
            self.client.do("start", *stopped)
        if swap and any(each.id == swap.new.id and each.running for each in new):
            swap.take_back()
        self._route(self.plan.slots)
        if self.plan.settings:
            # Where it refuses them, it goes on as it is, and so do requests.
            with contextlib.suppress(GangwayError):
                self._set_proxy(self.plan.front)
        if any(each.running for each in new):
            time.sleep(_PAUSE)
        self._finish([each.id for each in new])
        self._remove([each.id for each in there.values() if _failed_once(self.plan, each)])

    def state(self) -> Mapping[str, Any]:
        proxy = self._proxy()
        taken_up = {proxy.id: moves.settings(self.model)} if proxy else {}
        return {"slots": dict(self.plan.switched), "proxy": taken_up}

    # ---- containers

    def _replaced(self) -> list[str]:
        """Return the services with new containers."""
        return self.plan.of("beside", "after", "data")

    def _old(self, names: Sequence[str]) -> list[str]:
        return [number for name in names for number in self.plan.old[name]]

    def _new(self, service: str, *, running: bool = True) -> list[Replica]:
        old = self.plan.old.get(service, ())
        return [
            each
            for each in replicas.found(self.client)
            if each.service == service and each.id not in old and (each.running or not running)
        ]

    def _dead(self) -> list[Replica]:
        """Return what of the old has ended: Compose would start it again beside the new."""
        beside = self._old(self.plan.of("beside"))
        return [e for e in replicas.found(self.client) if e.id in beside and not e.running]

    def _proxy(self) -> Replica | None:
        return _proxy(self.client)

    def _connect_proxy(self) -> None:
        """Have the proxy reach the new ones, where they are on a network that is new to it."""
        proxy = self._proxy()
        if not proxy or not self.plan.of("beside"):
            return
        there = self.client.networks()
        for name in self.model.networks(PROXY):
            if name not in proxy.addresses and name in there:
                self.client.do("network", "connect", "--alias", PROXY, name, proxy.id)

    # ---- the proxy

    def _route(self, slots: Mapping[str, str]) -> None:
        proxy = self._proxy()
        if proxy and slots and _has_slots(proxy):
            words = [f"{name}={slot}" for name, slot in slots.items()]
            _tell(self.client, proxy, ["route", *words])

    def _set_proxy(self, environment: Mapping[str, str]) -> None:
        text = "".join(f"{name}={value}\n" for name, value in environment.items())
        _tell(self.client, _running_proxy(self.client), ["settings"], text)

    # ---- calls

    @contextlib.contextmanager
    def _up(self, names: Sequence[str], *flags: str) -> Iterator[DockerStart | None]:
        if not names:
            yield None
            return
        how = flags or ("--no-recreate", *self._numbers(names))
        argv = compose(self.client, "up", "--detach", "--no-deps", *how, *names)
        announce(self.client.environment, argv, dry_run=False)
        with self._watching(names, argv) as start:
            yield start

    def _swap(self) -> Swap | None:
        """Return the proxy's swap for its new container; None where either is missing."""
        old = [e for e in replicas.found(self.client) if e.id in self.plan.old.get(PROXY, ())]
        new = self._new(PROXY, running=False)
        return Swap(self.client, self.model, old[0], new[0]) if old and new else None

    def _prepare(self, names: Sequence[str]) -> None:
        """Make the containers that take others' place; what is wrong with them is seen by then."""
        if names:
            self._compose_call("up", "--no-start", *self._numbers(names), *names)

    @contextlib.contextmanager
    def _in_turn(self, names: Sequence[str], but: str = "") -> Iterator[DockerStart | None]:
        """Stop the old ones of what must not run twice (`but` one), and start the prepared ones."""
        if not names:
            yield None
            return
        self._stop([number for number in self._old(names) if number != but])
        new = [each.id for name in names for each in self._new(name, running=False)]
        argv = ["docker", "start", *new]
        announce(self.client.environment, argv, dry_run=False)
        with self._watching(names, argv) as start:
            yield start

    @contextlib.contextmanager
    def _watching(self, names: Sequence[str], argv: Sequence[str]) -> Iterator[DockerStart]:
        without = self._old([name for name in names if name in self.plan.old])
        start = DockerStart(self.client, self.model, names, scaled=True, without=without)
        with start.under_way(argv) as under_way:
            yield under_way

    def _numbers(self, names: Sequence[str]) -> list[str]:
        """Return Compose's flags for as many new replicas as there are to be beside the old."""
        there = replicas.found(self.client)
        numbers = {
            name: self.plan.numbers[name] + sum(each.service == name for each in there)
            for name in names
        }
        return [word for name in names for word in ("--scale", f"{name}={numbers[name]}")]

    def keep(self) -> None:
        """Write the model down for `compose`."""
        environment = self.client.environment
        replace(checkout.state(environment.root, _file(environment)), json.dumps(self.model.raw))

    def _compose_call(self, *words: str) -> None:
        words = (words[0], "--no-deps", "--no-recreate", *words[1:])
        argv = compose(self.client, *words)
        announce(self.client.environment, argv, dry_run=False)
        done = self.client.environment.runner.capture(argv)
        if done.status != 0:
            raise failed(done)

    def _stop(self, numbers: Sequence[str]) -> None:
        if numbers:
            # Each has its own grace period.
            self.client.do("stop", *numbers)

    def _remove(self, numbers: Sequence[str]) -> None:
        if numbers:
            self.client.do("rm", "--force", "--volumes", *numbers)

    def _finish(self, numbers: Sequence[str]) -> None:
        there = {each.id for each in replicas.found(self.client)}
        left = [number for number in numbers if number in there]
        self._stop(left)
        self._remove(left)


def _has_slots(proxy: Replica) -> bool:
    return proxy.environment.get("PROXY_SLOTS") == "on"


def _failed_once(plan: Plan, replica: Replica) -> bool:
    ended = not replica.running and not replica.ended_well
    return plan.ways.get(replica.service) == "once" and ended
