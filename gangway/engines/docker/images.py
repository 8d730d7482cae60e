"""Building images, and whether they are older than what they are made of."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from gangway.base.output import say
from gangway.engines.docker import failure
from gangway.engines.docker.client import Client
from gangway.model.model import Model
from gangway.settings import checkout
from gangway.settings.environment import DEFAULT_STACK, Environment

# A fault of BuildKit with steps that images share, gone with the next try: moby/buildkit#2303.
_LOST = re.compile(r"inconsistent graph state|failed to get state for index")
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
    first = {model.services[name].get("image", name): name for name in reversed(services)}
    return [name for name in services if name in first.values()]


def _build(environment: Environment, words: Sequence[str]) -> tuple[int, Sequence[str]]:
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
    began = time.time()
    status, said = _build(environment, words)
    if status and any(map(_LOST.search, said)):
        say("BuildKit lost track of a step that two images share; building again")
        status, said = _build(environment, words)
    if status:
        raise failure.compose_failed(client, said, status)
    if set(built_here(environment, model)) <= set(words):
        mark = stamp(environment)
        mark.touch(mode=0o600)
        os.utime(mark, (began, began))
    return 0


def show_step(line: str) -> None:
    """Show a line of BuildKit's plain progress where it begins a step or tells of its work."""
    if _STEP.match(line):
        say(f"  {line[:160]}")


def outdated(environment: Environment, model: Model, services: Sequence[str]) -> str:
    """Return why the services' images should be built now, for people; empty for no reason."""
    if not any("build" in model.services[name] for name in services):
        return ""
    try:
        built = stamp(environment).stat().st_mtime
    except FileNotFoundError:
        return "the images haven't been built here yet"
    for path in dict.fromkeys(inputs(model, services)):
        for file in checkout.files(path):
            if file.stat().st_mtime > built:
                shown = os.path.relpath(file, environment.root)
                return f"{shown} changed after the images were built"
    return ""


def stamp(environment: Environment) -> Path:
    """Return the file whose time says when the stack's images were last built."""
    stack = "" if environment.stack == DEFAULT_STACK else f"-{environment.stack}"
    return checkout.state(environment.root, f"{environment.name}{stack}.built")


def inputs(model: Model, services: Sequence[str]) -> Iterator[Path]:
    """Yield what the services' images are made of, as their `rebuild` watch rules say it."""
    for name in services:
        service = model.services[name]
        if "build" in service:
            for rule in (service.get("develop") or {}).get("watch") or ():
                if rule["action"] == "rebuild":
                    yield Path(rule["path"])
