"""Calls of `docker compose` or of its native counterpart, for one environment."""

from __future__ import annotations

from collections.abc import Sequence

from gangway.base.errors import GangwayError, unknown
from gangway.operations import project_name, stacks
from gangway.operations.native import commands
from gangway.operations.session import Session


def call(session: Session, *args: str) -> int:
    """Run `docker compose ARGS…`, or its native counterpart; return its exit status."""
    if session.native:
        return commands.run(session, args)
    return session.runner.run(session.command(*args))


def run(session: Session, *args: str, needs_engine: bool = True) -> int:
    """Print and run a call on this terminal; return its exit status.

    Raises GangwayError where the call `needs_engine` and none answers.
    """
    found = answering(session) if needs_engine else session
    return call(found, *args) if found.announce(found.command(*args)) else 0


def answering(session: Session) -> Session:
    """Return the session under its own project's name; raises GangwayError for no engine.

    A dry run asks no engine.
    """
    if session.dry_run:
        return session
    session.engine.first_look(session.project)
    return project_name.own(session)


def check_services(session: Session, names: Sequence[str]) -> None:
    """Refuse names that aren't services of this stack, and say which stack has them."""
    known = list(session.model.services)
    for name in names:
        if name not in known:
            raise _elsewhere(session, name) or unknown("service", name, known)


def _elsewhere(session: Session, name: str) -> GangwayError | None:
    """Return the error for a service that only other stacks have; None where none has it."""
    service = session.render("--profile", "*").services.get(name)
    if service is None:
        return None
    others = stacks.having(session.environment, service.get("profiles") or ())
    fix = " or ".join(f"--stack {stack}" for stack in others)
    return GangwayError(
        f"the {session.environment.stack} stack has no {name}",
        fix=fix or f"a stack with the profile {service['profiles'][0]}: docs/stacks.md",
    )
