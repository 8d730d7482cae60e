"""Bringing a project's services to what a model says: what they need, then each by itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gangway.base.errors import FindingsError, GangwayError
from gangway.base.output import say
from gangway.engines import delivered
from gangway.engines.swarm import credentials, encryption, files, labels, mounts, translation
from gangway.engines.swarm.cluster import Swarm, image_of
from gangway.engines.swarm.labels import MADE_OF
from gangway.model.model import Model
from gangway.model.moves import PROXY

Json = dict[str, Any]


def prepared(
    swarm: Swarm, model: Model, services: Sequence[str], *, put: bool = True
) -> dict[str, Json]:
    """Return the specs of services, the Swarm's own numbers for what they need in them.

    With `put`, what isn't there of that is made: networks, secrets, configs, and a node for the
    data of each volume; else what isn't there yet has no number. Raises FindingsError for what a
    Swarm can't keep, with nothing changed.
    """
    check(model, services)
    contents = files.read(swarm.environment, model, swarm.model, services)
    names = files.names(model, contents)
    steady = delivered.steady(model.raw)
    made = {
        name: _marked(translation.spec(model, name, names), steady=name in steady)
        for name in services
    }
    if not put:
        return made
    proxy = made.get(PROXY) or next(iter(made.values()))
    networks = put_networks(swarm, model, services, image_of(proxy))
    numbers = files.put(swarm.api, swarm.project, contents)
    place_data(swarm, model, services)
    return {
        name: translation.numbered(spec, numbers["secrets"], numbers["configs"], networks)
        for name, spec in made.items()
    }


def check(model: Model, services: Iterable[str]) -> None:
    """Refuse what of these services a Swarm can't keep, all of it at once."""
    wrong = [finding for name in services for finding in translation.complaints(model, name)]
    if wrong:
        raise FindingsError(
            dict.fromkeys(wrong), summary="a Swarm can't run this as the Compose files have it"
        )


def mark(service: Mapping[str, Any]) -> str:
    """Return what tells what a service was made of from anything else."""
    return str((service["Spec"].get("Labels") or {}).get(MADE_OF, ""))


def apply(swarm: Swarm, spec: Json, *, force: bool = False) -> None:
    """Make a service, or change it where it isn't made of this spec.

    `force` has its containers replaced in any case.
    """
    there = swarm.everything().get(spec["Name"])
    if there is None:
        swarm.create(spec)
        return
    before = there["Spec"]
    same = mark(there) == spec["Labels"][MADE_OF] and before.get("Mode") == spec["Mode"]
    if same and not force:
        return
    if "ReplicatedJob" in spec["Mode"]:
        # A job that has run is begun anew as another one.
        swarm.api.delete(f"/services/{there['ID']}")
        swarm.create(spec)
        return
    forced = int(before["TaskTemplate"].get("ForceUpdate") or 0) + force
    update(swarm, there, {**spec, "TaskTemplate": {**spec["TaskTemplate"], "ForceUpdate": forced}})


def scaled(spec: Json, number: int) -> Json:
    """Return a spec with another number of replicas, where it has one."""
    if "Replicated" not in spec["Mode"]:
        return spec
    return {**spec, "Mode": {"Replicated": {"Replicas": number}}}


def update(swarm: Swarm, there: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    """Give a service another spec."""
    version = there["Version"]["Index"]
    headers = credentials.header(swarm.environment, image_of(spec))
    swarm.api.post(f"/services/{there['ID']}/update", spec, headers=headers, version=version)


def put_networks(
    swarm: Swarm, model: Model, services: Iterable[str], tried_with: str
) -> dict[str, str]:
    """Make the networks that services are on and aren't there; return all networks' numbers.

    They are encrypted where the nodes can, which an image is `tried_with`.
    Raises GangwayError where another kind of network has the name.
    """
    used = dict.fromkeys(n for s in services for n in model.services[s].get("networks") or {})
    # A machine's own network may have the name as well.
    found = sorted(swarm.api.find("/networks"), key=lambda each: each["Scope"] == "swarm")
    there = {each["Name"]: each for each in found}
    raw = model.raw.get("networks") or {}
    for name in used:
        own = str(raw[name]["name"])
        if own in there:
            if there[own]["Scope"] != "swarm":
                raise GangwayError(
                    f"the network {own} is there already, and this machine's alone",
                    where=f"networks.{name}",
                    fix="does the project run here in plain containers? "
                    f"invoke {swarm.environment.name}.down --engine docker ends it; "
                    f"what is left goes with: docker network rm {own}",
                )
        elif raw[name].get("external"):
            raise GangwayError(
                f"the network {own} isn't there, and the Compose files call it external",
                where=f"networks.{name}",
                fix=f"docker network create --driver overlay {own}",
            )
        else:
            yes = encryption.encrypted(swarm, tried_with)
            body = translation.network(model, name, encrypted=yes)
            body["Labels"][labels.ENCRYPTED] = "yes" if yes else "no"
            there[own] = {"Id": swarm.api.post("/networks/create", body)["Id"]}
    return {name: str(each["Id"]) for name, each in there.items()}


def place_data(swarm: Swarm, model: Model, services: Iterable[str]) -> None:
    """See to it that each volume with data has a node, which its services then run on.

    That is the node with the volume's label; where no node has it, this one gets it, and that is
    said. Nothing moves it from there by itself.
    """
    wanted = {
        volume: None for name in services for volume in mounts.data(model, model.services[name])
    }
    nodes = swarm.nodes()
    places = {volume: f"{labels.DATA}{volume}" for volume in wanted}
    missing = {
        volume: label
        for volume, label in places.items()
        if not any(node.labels.get(label) == labels.HERE for node in nodes)
    }
    if not missing:
        return
    raw = swarm.api.get(f"/nodes/{swarm.here}")
    spec = raw["Spec"]
    spec["Labels"] = {**(spec.get("Labels") or {})} | dict.fromkeys(missing.values(), labels.HERE)
    swarm.api.post(f"/nodes/{swarm.here}/update", spec, version=raw["Version"]["Index"])
    name = raw["Description"]["Hostname"]
    if len(nodes) > 1:
        say(f"the data of {', '.join(missing)} is on the node {name} from here on (docs/swarm.md)")


def _marked(spec: Json, *, steady: bool) -> Json:
    """Return a spec with a label that tells it from others.

    How many replicas there are is none of it, nor how they are changed; nor are the secrets of the
    `steady`, which keep data and don't move for a new one.
    """
    task = dict(spec["TaskTemplate"])
    if steady:
        task["ContainerSpec"] = {**task["ContainerSpec"], "Secrets": []}
    kept = {key: spec.get(key) for key in ("Name", "EndpointSpec")} | {"Task": task}
    text = json.dumps(kept, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {**spec, "Labels": {**spec["Labels"], MADE_OF: digest}}
