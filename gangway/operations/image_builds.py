"""Building images, and whether they are older than what they are made of."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gangway.engines.native import tools
from gangway.model.model import Model
from gangway.operations import calls, diagnosis
from gangway.operations.project import Project, say
from gangway.settings import checkout
from gangway.settings.environment import DEFAULT_STACK

_STEP = re.compile(r"#\d+ (\[|ERROR|\d+\.\d+ )")


def build(project: Project, services: Sequence[str] = (), *, no_cache: bool = False) -> None:
    """Build the images of the named services, or of all, showing each step.

    Raises GangwayError when a build fails, after showing what it said last.
    """
    flags = ["--no-cache"] if no_cache else []
    every = [
        name
        for name, service in project.model.services.items()
        if "build" in service and not on_demand(project, service)
    ]
    tail = ["build", *flags, *(services or every)]
    if project.native:
        tail = ["build"]
    if not project.announce(project.command(*tail)):
        return
    began = time.time()
    if project.native:
        calls.call(project, *tail)
        say(f"installed in {time.time() - began:.1f} s")
        return
    program = project.runner.start(
        project.command("--progress", "plain", *tail),
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
        raise diagnosis.compose_failed(project, list(said), program.returncode)
    say(f"built in {time.time() - began:.1f} s")
    if not services:
        mark = stamp(project.root, label(project))
        mark.touch(mode=0o600)
        os.utime(mark, (began, began))


def on_demand(project: Project, service: Mapping[str, Any]) -> bool:
    """Say whether a service is one that the stack starts for whoever asks for it by name."""
    return bool(set(project.environment.optional).intersection(service.get("profiles") or ()))


def show_step(line: str) -> None:
    """Show a line of BuildKit's plain progress where it begins a step or tells of its work."""
    if _STEP.match(line):
        say(f"  {line[:160]}")


def refresh(project: Project, services: Sequence[str]) -> None:
    """Build where sources are mounted and the rest of the images is out of date.

    In production only missing images are built without --build.
    """
    if project.environment.kind == "prod":
        return
    if project.native:
        if not tools.current(project.root, project.environment.apps):
            say("the apps' locked libraries aren't installed for native services, or have changed")
            build(project)
        return
    changed = stale(project.root, label(project), project.model, services)
    if changed is None:
        return
    if changed != stamp(project.root, label(project)):
        say(f"{os.path.relpath(changed, project.root)} changed after the images were built")
    build(project)


def label(project: Project) -> str:
    """Return what tells the images of one environment and stack from those of another."""
    stack = project.environment.stack
    return project.name if stack == DEFAULT_STACK else f"{project.name}-{stack}"


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
