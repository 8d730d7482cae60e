"""Calls of the engine, in `docker compose`'s words, on this terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gangway.base.errors import GangwayError, unknown
from gangway.operations import project_name, stacks
from gangway.operations.project import Project

EVERYTHING = ("--profile", "*")
"""What stands before a call that is about all of the project, whatever is on now."""


def run(project: Project, *words: str, needs_engine: bool = True) -> int:
    """Print and make a call; return its exit status.

    Raises GangwayError where the call `needs_engine` and none answers.
    """
    found = answering(project) if needs_engine else project
    return found.engine.call(*words) if found.announce(*words) else 0


def answering(project: Project) -> Project:
    """Return the project under its own name; raises GangwayError for no engine.

    A dry run asks no engine.
    """
    if project.dry_run:
        return project
    project.engine.reach()
    return project_name.own(project)


def no_terminal() -> list[str]:
    """Return Compose's flag for a command whose input or output is no terminal."""
    return [] if sys.stdin.isatty() and sys.stdout.isatty() else ["--no-TTY"]


def check_services(project: Project, names: Sequence[str]) -> None:
    """Refuse names that aren't services of this stack, and say which stack has them."""
    known = list(project.model.services)
    for name in names:
        if name not in known:
            others = stacks.having(project.environment, name)
            if not others:
                raise unknown("service", name, known)
            raise GangwayError(
                f"the {project.environment.stack} stack has no {name}",
                fix=" or ".join(f"--stack {stack}" for stack in others),
            )
