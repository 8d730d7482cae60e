"""What a deploy does to the containers that there are: decided here, with nothing done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gangway.engines.docker.replicas import Replica
from gangway.engines.releases import Target
from gangway.model import moves
from gangway.model.model import Model, replicas
from gangway.model.moves import PROXY, Way

OTHER = {"blue": "green", "green": "blue"}


@dataclass(frozen=True)
class Plan:
    """Each service that something is done to, by name.

    `why` is the reason, for people; `old` are the ids of the containers that are there, `numbers`
    how many new ones there are to be. `once` are those to be run before: what ran already, the same
    and well, need not be. `left` should be replaced and isn't. `slots` are those of the services
    behind the proxy before, `switched` those after.
    """

    why: Mapping[str, str]
    left: Mapping[str, str]
    old: Mapping[str, Sequence[str]]
    numbers: Mapping[str, int]
    ways: Mapping[str, Way]
    once: Sequence[str]
    gone: Sequence[str]
    slots: Mapping[str, str]
    switched: Mapping[str, str]
    front: Mapping[str, str] = field(default_factory=dict)
    """The settings of the proxy as they were."""

    @property
    def settings(self) -> bool:
        """Whether the proxy takes up what has changed while it runs."""
        return bool(self.of("settings"))

    def of(self, *ways: Way) -> list[str]:
        """Return the services that get the release in one of these ways."""
        return [name for name in self.why if self.ways.get(name) in ways]


def planned(
    model: Model,
    digests: Mapping[str, str],
    target: Target,
    there: Sequence[Replica],
    state: Mapping[str, Any],
) -> Plan:
    """Return what to do for `model` to be what runs.

    `digests` tell what each service is started with. `there` are all containers, `state` is what
    the records say.
    """
    built = list(target.release.images)
    on = model.wanted(target.only)
    ways = {name: moves.way(model, built, name) for name in model.services}
    numbers = {name: target.numbers.get(name, replicas(model.services[name])) for name in on}
    by_service: dict[str, list[Replica]] = {}
    for replica in there:
        by_service.setdefault(replica.service, []).append(replica)
    why, left, once = dict[str, str](), dict[str, str](), list[str]()
    for name in on:
        found = by_service.get(name, [])
        if ways[name] == "once":
            if not any(e.ended_well and e.config == digests[name] for e in found):
                once.append(name)
            continue
        if reason := _reason(name, model, digests, target, found, numbers[name]):
            data = ways[name] == "data" and any(each.running for each in found)
            if data and name not in target.replace:
                # What was not started by a deploy has nothing to be compared with.
                if found[0].config:
                    left[name] = reason
                continue
            why[name] = reason
    front = dict[str, str]()
    proxy = by_service.get(PROXY, []) if PROXY in on else []
    if running := [each for each in proxy if each.running]:
        wanted = moves.settings(model)
        front = dict(state.get("proxy") or {}).get(running[0].id) or {
            name: running[0].environment.get(name, "") for name in wanted
        }
        if PROXY not in why and front != wanted:
            ways[PROXY] = "settings"
            why[PROXY] = "its settings have changed: it takes them up as it runs"
    names = moves.behind(model)
    slots = {name: str((state.get("slots") or {}).get(name, "blue")) for name in names}
    switched = {
        name: OTHER[slot] if name in why and _alive(by_service.get(name, [])) else slot
        for name, slot in slots.items()
    }
    return Plan(
        why=why,
        left=left,
        old={name: [each.id for each in by_service.get(name, [])] for name in why},
        numbers={name: numbers[name] for name in why},
        ways=ways,
        once=[name for name in on if ways[name] == "once"]
        if any(ways[name] == "data" for name in why)
        else once,
        gone=[
            each.id
            for name, found in by_service.items()
            for each in found
            if not target.only and (name not in model.services or (name not in on and each.config))
        ],
        slots=slots,
        switched=switched,
        front=front,
    )


def _reason(
    name: str,
    model: Model,
    digests: Mapping[str, str],
    target: Target,
    found: Sequence[Replica],
    number: int,
) -> str:
    """Return why a service is to be replaced; nothing where it is as it should be."""
    alive = _alive(found)
    if not alive:
        return "it isn't there yet" if number else ""
    image = str(model.services[name].get("image"))
    other = next((each.image for each in alive if each.image != image), image)
    sick = sum(not each.healthy for each in alive)
    reasons = {
        "asked for": name in target.anew,
        f"its image: {image} for {other}": other != image,
        "its settings or secrets have changed": any(e.config != digests[name] for e in alive),
        f"{number} for {len(alive)}": len(alive) != number,
        f"{sick} of {len(alive)} not healthy": sick > 0,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _alive(found: Sequence[Replica]) -> list[Replica]:
    return [each for each in found if each.running]
