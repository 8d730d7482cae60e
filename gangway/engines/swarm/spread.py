"""Images, on every node that may be asked to run them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines import required
from gangway.engines.swarm.api import Api, Refused
from gangway.engines.swarm.cluster import Json, Swarm, image_of
from gangway.model.release import Release


def require(swarm: Swarm, release: Release) -> None:
    """Refuse a release whose images are neither here as it was made of them, nor in a registry."""
    gone = [
        service
        for service, image in release.images.items()
        if _number(swarm.api, image.ref) != image.id and not (image.digest and _registry(swarm))
    ]
    required.refuse_gone(swarm.environment, release, gone)


def places(swarm: Swarm, release: Release) -> dict[str, str]:
    """Return where nodes get a release's images that a registry has: by digest, for each name."""
    registry = _registry(swarm)
    return {
        image.ref: f"{registry}/{image.ref.rpartition('/')[2].partition(':')[0]}@{image.digest}"
        for image in release.images.values()
        if registry and image.digest
    }


def placed(spec: Json, places: Mapping[str, str]) -> Json:
    """Return a spec whose image is got from where a registry has it."""
    task = spec["TaskTemplate"]
    container = task["ContainerSpec"]
    if container["Image"] not in places:
        return spec
    container = {**container, "Image": places[container["Image"]]}
    return {**spec, "TaskTemplate": {**task, "ContainerSpec": container}}


def of(specs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the images that services are made of."""
    return [str(image_of(spec)) for spec in specs]


def images(swarm: Swarm, refs: Iterable[str], places: Mapping[str, str]) -> Mapping[str, str]:
    """Have the nodes have images; return which they are to pull by themselves, and where.

    A node whose engine answers gets those that it hasn't: from the registry that `places` names,
    else from here. The others pull when they are to run something. What isn't here either, such as
    somebody else's image, every node pulls.
    """
    here = {ref: number for ref in dict.fromkeys(refs) if (number := _number(swarm.api, ref))}
    alone = []
    for node in swarm.nodes():
        if node.id == swarm.here or not node.ready or node.availability == "drain":
            continue
        try:
            engine = swarm.engine_of(node.id)
        except GangwayError as error:
            alone.append(node.name)
            if not places:
                say(f"note: {node.name} must have the images already: {error}")
            continue
        if missing := [ref for ref, number in here.items() if _number(engine, ref) != number]:
            say(f"  {node.name} gets {', '.join(missing)}")
            left = [ref for ref in missing if not _pulled(swarm, engine, ref, places.get(ref))]
            if left:
                _copy(swarm, engine, left)
    return places if alone else {}


def _pulled(swarm: Swarm, engine: Api, ref: str, place: str | None) -> bool:
    """Have an engine pull an image from its place and give it its name; say whether it has."""
    docker = ["docker", "--host", engine.host]
    run = swarm.environment.runner.capture
    return bool(place) and (
        run([*docker, "pull", "--quiet", str(place)]).status == 0
        and run([*docker, "tag", str(place), ref]).status == 0
    )


def _copy(swarm: Swarm, engine: Api, refs: Iterable[str]) -> None:
    runner = swarm.environment.runner
    save = runner.start(["docker", "save", *refs], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    source = save.stdout.fileno() if save.stdout else None
    argv = ["docker", "--host", engine.host, "load", "--quiet"]
    load = runner.start(argv, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if save.stdout:
        save.stdout.close()
    said = load.communicate()[1] or (save.stderr.read() if save.stderr else "")
    if load.returncode or save.wait():
        raise GangwayError(f"images can't be copied to {engine.host}: {said.strip()}")


def _number(engine: Api, ref: str) -> str:
    """Return an engine's number of an image; empty where it hasn't got it."""
    try:
        return str(engine.get(f"/images/{ref}/json")["Id"])
    except Refused:
        return ""


def _registry(swarm: Swarm) -> str:
    return swarm.environment.get("RELEASE_REGISTRY").rstrip("/")
