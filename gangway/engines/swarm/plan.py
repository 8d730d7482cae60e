"""What a deploy does to a Swarm's services: decided here, with nothing done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gangway.engines.releases import Target
from gangway.engines.swarm import deploying
from gangway.engines.swarm.cluster import Json
from gangway.model import moves
from gangway.model.model import Model
from gangway.model.moves import Way


@dataclass(frozen=True)
class Plan:
    """Each service that something is done to, by name.

    `why` is the reason, for people. `specs` are what services are to be made of, `before` what
    those are that are there. `once` are those to be run before: what ran already, the same and
    well, need not be. `left` should be replaced and isn't. `gone` are those that the release hasn't
    got, by the Swarm's names.
    """

    why: Mapping[str, str]
    left: Mapping[str, str]
    ways: Mapping[str, Way]
    once: list[str]
    specs: Mapping[str, Json]
    before: Mapping[str, Json]
    anew: list[str]
    gone: list[str]

    def of(self, *ways: Way) -> list[str]:
        """Return the services that get the release in one of these ways."""
        return [name for name in self.why if self.ways.get(name) in ways]

    def changing(self) -> list[str]:
        """Return those whose new replicas are tried first, beside what is there."""
        return [
            name
            for name in self.of("beside")
            if name in self.before and not self.only_number(name) and replicas(self.specs[name])
        ]

    def only_number(self, name: str) -> bool:
        """Say whether all that changes about a service is how many replicas it has."""
        same = deploying.mark({"Spec": self.before[name]}) == deploying.mark(
            {"Spec": self.specs[name]}
        )
        return same and name not in self.anew


def planned(
    model: Model,
    target: Target,
    specs: Mapping[str, Json],
    there: Mapping[str, Json],
    healthy: Mapping[str, int],
    well: frozenset[str],
) -> Plan:
    """Return what to do for `model` to be what runs.

    `specs` are those of the services that are on, `there` are the Swarm's own by name, `healthy`
    how many replicas of each are, and `well` those that ran once and ended well.
    """
    built = list(target.release.images)
    ways = {name: moves.way(model, built, name) for name in model.services}
    why, left, once = dict[str, str](), dict[str, str](), list[str]()
    for name, spec in specs.items():
        found = there.get(name)
        if ways[name] == "once":
            if name not in well or found is None or _mark(found) != _mark({"Spec": spec}):
                once.append(name)
            continue
        if reason := _reason(name, spec, found, target, healthy.get(name, 0)):
            kept = ways[name] == "data" and found and healthy.get(name, 0)
            if kept and name not in target.replace:
                left[name] = reason
            else:
                why[name] = reason
    return Plan(
        why=why,
        left=left,
        ways=ways,
        once=[name for name in specs if ways[name] == "once"]
        if any(ways[name] == "data" for name in why)
        else once,
        specs=specs,
        before={name: each["Spec"] for name, each in there.items()},
        anew=sorted(target.anew),
        gone=[
            each["Spec"]["Name"]
            for name, each in there.items()
            if not target.only and name not in specs
        ],
    )


def replicas(spec: Mapping[str, Any]) -> int:
    """Return how many replicas a spec asks for; one where each node has one."""
    return int((spec["Mode"].get("Replicated") or {}).get("Replicas", 1))


def _reason(
    name: str, spec: Json, found: Mapping[str, Any] | None, target: Target, healthy: int
) -> str:
    """Return why a service is to be changed; nothing where it is as it should be."""
    number = replicas(spec)
    if found is None:
        return "it isn't there yet" if number else ""
    before = found["Spec"]
    changed = _mark(found) != _mark({"Spec": spec})
    image, other = (
        str(each["TaskTemplate"]["ContainerSpec"]["Image"]).partition("@")[0]
        for each in (spec, before)
    )
    reasons = {
        "asked for": name in target.anew,
        # The same image may be got from a registry, too.
        f"its image: {image} for {other}": changed and image != other,
        "its settings or secrets have changed": changed,
        f"{number} for {replicas(before)}": before["Mode"] != spec["Mode"],
        f"{max(0, number - healthy)} of {number} not healthy": healthy < number,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


_mark = deploying.mark
