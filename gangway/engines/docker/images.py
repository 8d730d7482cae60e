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

_STEP = re.compile(r"#\d+ (\[|ERROR|\d+\.\d+ )")


def built_here(environment: Environment, model: Model) -> list[str]:
    """Return the services that have an image built here, but not those for who asks by name."""
    optional = set(environment.optional)
    return [
        name
        for name, service in model.services.items()
        if "build" in service and not optional.intersection(service.get("profiles") or ())
    ]


def build(client: Client, model: Model, words: Sequence[str]) -> int:
    """Run a `build` call, showing each step; return 0.

    Raises GangwayError when it fails, after showing what it said last.
    """
    environment = client.environment
    began = time.time()
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
    if program.returncode != 0:
        raise failure.compose_failed(client, said, program.returncode)
    if set(built_here(environment, model)) <= set(words):
        mark = stamp(environment.root, label(environment))
        mark.touch(mode=0o600)
        os.utime(mark, (began, began))
    return 0


def show_step(line: str) -> None:
    """Show a line of BuildKit's plain progress where it begins a step or tells of its work."""
    if _STEP.match(line):
        say(f"  {line[:160]}")


def outdated(environment: Environment, model: Model, services: Sequence[str]) -> str:
    """Return why the services' images should be built now, for people; empty for no reason."""
    changed = stale(environment.root, label(environment), model, services)
    if changed is None:
        return ""
    if changed == stamp(environment.root, label(environment)):
        return "the images haven't been built here yet"
    return f"{os.path.relpath(changed, environment.root)} changed after the images were built"


def label(environment: Environment) -> str:
    """Return what tells the images of one environment and stack from those of another."""
    stack = environment.stack
    return environment.name if stack == DEFAULT_STACK else f"{environment.name}-{stack}"


def stamp(root: Path, environment: str) -> Path:
    """Return the file whose time says when the environment's images were last built."""
    return checkout.state(root, f"{environment}.built")


def inputs(model: Model, services: Sequence[str]) -> Iterator[Path]:
    """Yield what the services' images are made of, as their `rebuild` watch rules say it."""
    for name in services:
        service = model.services[name]
        if "build" in service:
            for rule in (service.get("develop") or {}).get("watch") or ():
                if rule["action"] == "rebuild":
                    yield Path(rule["path"])


def stale(root: Path, environment: str, model: Model, services: Sequence[str]) -> Path | None:
    """Return a file that changed after the last build of the environment's images.

    Returns the stamp itself where nothing was built yet, None where all images are up to date, or
    none of the services has one that is built here.
    """
    if not any("build" in model.services[name] for name in services):
        return None
    mark = stamp(root, environment)
    try:
        built = mark.stat().st_mtime
    except FileNotFoundError:
        return mark
    for path in dict.fromkeys(inputs(model, services)):
        for file in checkout.files(path):
            if file.stat().st_mtime > built:
                return file
    return None
