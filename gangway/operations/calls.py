"""Calls of `docker compose` or of its native counterpart, for one environment."""

from __future__ import annotations

from collections.abc import Sequence

from gangway.base.errors import GangwayError, unknown
from gangway.operations import project_name, stacks
from gangway.operations.native import commands
from gangway.operations.project import Project


def call(project: Project, *args: str) -> int:
    """Run `docker compose ARGS…`, or its native counterpart; return its exit status."""
    if project.native:
        return commands.run(project, args)
    return project.runner.run(project.command(*args))


def run(project: Project, *args: str, needs_engine: bool = True) -> int:
    """Print and run a call on this terminal; return its exit status.

    Raises GangwayError where the call `needs_engine` and none answers.
    """
    found = answering(project) if needs_engine else project
    return call(found, *args) if found.announce(found.command(*args)) else 0


def answering(project: Project) -> Project:
    """Return the project under its own project's name; raises GangwayError for no engine.

    A dry run asks no engine.
    """
    if project.dry_run:
        return project
    project.engine.first_look(project.compose_name)
    return project_name.own(project)


def check_services(project: Project, names: Sequence[str]) -> None:
    """Refuse names that aren't services of this stack, and say which stack has them."""
    known = list(project.model.services)
    for name in names:
        if name not in known:
            raise _elsewhere(project, name) or unknown("service", name, known)


def _elsewhere(project: Project, name: str) -> GangwayError | None:
    """Return the error for a service that only other stacks have; None where none has it."""
    service = project.render("--profile", "*").services.get(name)
    if service is None:
        return None
    others = stacks.having(project.environment, service.get("profiles") or ())
    fix = " or ".join(f"--stack {stack}" for stack in others)
    return GangwayError(
        f"the {project.environment.stack} stack has no {name}",
        fix=fix or f"a stack with the profile {service['profiles'][0]}: docs/stacks.md",
    )
