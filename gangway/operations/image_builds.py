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
    words = project.engine.building(services, no_cache=no_cache)
    if project.announce(*words):
        began = time.monotonic()
        project.engine.call(*words)
        say(f"built in {time.monotonic() - began:.1f} s")


def refresh(project: Project, services: Sequence[str]) -> None:
    """Build all where what the services run from is out of date.

    In production only missing images are built without --build.
    """
    if project.environment.kind == "prod":
        return
    if reason := project.engine.outdated(services):
        say(reason)
        build(project)
