"""Building what services run from, and whether that is due."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gangway.base.output import say
from gangway.operations import calls
from gangway.operations.project import Project


def build(project: Project, services: Sequence[str] = (), *, no_cache: bool = False) -> None:
    """Build what the named services run from, or all, showing each step.

    Raises GangwayError when a build fails, after showing what it said last.
    """
    calls.check_services(project, services)
    if not project.dry_run:
        project.engine.reach()
    run(project, project.engine.building(services, no_cache=no_cache))


def run(project: Project, words: Sequence[str]) -> None:
    """Print and make a call that builds, and say how long it took."""
    if project.announce(*words):
        began = time.monotonic()
        project.engine.call(*words)
        say(f"built in {time.monotonic() - began:.1f} s")


def refresh(project: Project, services: Sequence[str]) -> None:
    """Build what the services run from, as far as it isn't there or is out of date.

    Production only gets what is missing: what is out of date is said, and what makes it anew.
    """
    production = project.environment.kind == "prod"
    if production and project.dry_run:
        return  # it asks no engine
    due = project.engine.due(services)
    if due.missing or due.outdated:
        say(due.why)
    if production and due.outdated:
        name = project.name
        say(f"  {name} runs the images as they are; invoke {name}.up --build makes new ones")
    names = (*due.missing, *(() if production else due.outdated))
    if names:
        build(project, names)
