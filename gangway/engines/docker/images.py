"""Building images, and whether they are older than what they are made of."""

from __future__ import annotations

import json
import re
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.base.files import replace
from gangway.base.output import say
from gangway.engines.docker import failure, made_of
from gangway.engines.docker.client import Client
from gangway.engines.interface import Due
from gangway.model.model import Model, unescaped
from gangway.settings import checkout, offline
from gangway.settings.environment import Environment

_NEVER: Final = "the images haven't been built here yet"
# As many changed files as are named.
_NAMED: Final = 4

# Faults of BuildKit with steps that images share, moby/buildkit#2303: gone with the next try, or at
# the latest where no two images are built at a time.
_LOST = re.compile(r"inconsistent graph state|failed to get state for index|no active sessions")
_STEP = re.compile(r"#\d+ (\[|ERROR|\d+\.\d+ )")


def built_here(environment: Environment, model: Model) -> list[str]:
    """Return a service for each image that is built here, but for those for who asks by name."""
    optional = set(environment.optional)
    return one_for_each_image(
        model,
        [
            name
            for name, service in model.services.items()
            if "build" in service and not optional.intersection(service.get("profiles") or ())
        ],
    )


def one_for_each_image(model: Model, services: Sequence[str]) -> list[str]:
    """Return the first of the services that share an image: once is enough to build it."""
    first = {made_of.image_of(model, name): name for name in reversed(services)}
    return [name for name in services if name in first.values()]


def _build(environment: Environment, *words: str) -> tuple[int, Sequence[str]]:
    program = environment.runner.start(
        environment.compose_command("--progress", "plain", *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said: deque[str] = deque(maxlen=400)
    with program:
        for line in program.stdout or ():
            text = line.rstrip()
            said.append(text)
            show_step(text)
    return program.returncode, said


def build(client: Client, model: Model, words: Sequence[str]) -> int:
    """Run a `build` call, showing each step; return 0.

    Raises GangwayError when it fails, after showing what it said last.
    """
    environment = client.environment
    plain = as_it_is(model)
    named = [word for word in words[1:] if word in plain.services] or list(plain.services)
    images = made_of.images(plain, named)
    require_bases(client, images)
    # What changes while it builds isn't in it, perhaps.
    states = {
        image.name: dict(made_of.state(environment.root, plain, image, environment.kind))
        for image in images
    }
    status, said = _build(environment, *words)
    for how in ((), ("--parallel", "1")):
        if status and any(map(_LOST.search, said)):
            say("BuildKit lost track of a step that two images share; building again")
            status, said = _build(environment, *how, *words)
    if status:
        raise failure.compose_failed(client, said, status)
    if environment.kind == "prod":
        for name, (number, _) in client.images(states).items():
            states[name]["id"] = number
    _keep(environment, states)
    forget_untagged(client)
    return 0


def forget_untagged(client: Client) -> None:
    """Remove what earlier builds of the project have left without a name, and nothing runs from."""
    argv = ["docker", "image", "prune", "--force", "--filter", client.label]
    client.environment.runner.capture(argv, timeout=60)


def require_bases(client: Client, images: Sequence[made_of.Image]) -> None:
    """Refuse to build from a base image that is only to be had by being made here, and wasn't.

    Raises GangwayError with the way to make it.
    """
    bases = {
        value: (image.services[0], name)
        for image in reversed(images)
        for name, value in (image.build.get("args") or {}).items()
        if name in _needed(image) and str(value).startswith(offline.REGISTRY)
    }
    there = client.images(bases) if bases else {}
    for base, (service, name) in bases.items():
        if base not in there:
            raise GangwayError(
                f"{service} is built from {base}, which isn't on this machine",
                where=name,
                fix=offline.how_to_have(base),
            )


def _needed(image: made_of.Image) -> set[str]:
    """Return the arguments that name an image which the build begins with."""
    args = image.build.get("args") or {}
    needed = {name for name in args if name.endswith("_IMAGE")}
    # Node is there for an app's assets alone.
    return needed if args.get("ASSETS") or "APP" not in args else needed - {"NODE_IMAGE"}


def show_step(line: str) -> None:
    """Show a line of BuildKit's plain progress where it begins a step or tells of its work."""
    if _STEP.match(line):
        say(f"  {line[:160]}")


def due(client: Client, model: Model, services: Sequence[str]) -> Due:
    """Return which of the services' images are to be built, and why; see `Engine.due`.

    Production asks the engine which images there are: they may have been built by other means, and
    then their time has to tell.
    """
    environment, plain = client.environment, as_it_is(model)
    images = made_of.images(plain, services)
    if not images:
        return Due()
    kept = _kept(environment)
    there = client.images(image.name for image in images) if environment.kind == "prod" else None
    missing, outdated, why = [], [], dict[str, None]()
    for image in images:
        known = kept.get(image.name)
        if (image.name not in there) if there is not None else not known:
            missing.append(image.services[0])
            continue
        number, made = there[image.name] if there else ("", 0.0)
        if known and known.get("id", "") == number:
            found = made_of.changes(environment.root, plain, image, environment.kind, known)
        else:
            found = made_of.since(environment.root, plain, image, environment.kind, made)
        if changes := list(found):
            outdated.append(image.services[0])
            why |= dict.fromkeys(changes)
    return Due(tuple(missing), tuple(outdated), _reason(list(why)) if why else _NEVER)


def _reason(changes: Sequence[str]) -> str:
    # What is more than a file says more.
    ordered = sorted(changes, key=lambda each: not each.startswith("the build's "))
    shown = ", ".join(ordered[:_NAMED])
    if len(ordered) > _NAMED:
        shown += f" and {len(ordered) - _NAMED} more"
    return f"{shown} changed after the images were built"


def as_it_is(model: Model) -> Model:
    """Return a model with `$` for `$$`, which is how Compose writes it."""
    return Model(unescaped(model.raw), model.profiles)


def _file(environment: Environment) -> Path:
    return checkout.state(environment.root, f"{environment.name}.built")


def _kept(environment: Environment) -> dict[str, Any]:
    """Return what each image of an environment was made of when it was built, by its name."""
    try:
        found = json.loads(_file(environment).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def renumber(environment: Environment, numbers: Mapping[str, str]) -> None:
    """Note the number that an image has got since it was built."""
    kept = _kept(environment)
    _keep(environment, {name: {**kept.get(name, {}), "id": each} for name, each in numbers.items()})


def _keep(environment: Environment, states: Mapping[str, Any]) -> None:
    text = json.dumps({**_kept(environment), **states})
    replace(_file(environment), text)
