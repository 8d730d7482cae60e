"""Which engine runs an environment where nobody has chosen: one that answers, else none."""

from __future__ import annotations

from gangway.base.errors import GangwayError
from gangway.operations.session import Session, say


def falls_to_native(session: Session) -> bool:
    """Say whether `auto` means local processes: they run already, or no container engine answers.

    Development and test only; production waits for a container engine, and its tasks say so.
    """
    if session.environment.kind == "prod":
        return False
    if session.processes.running():
        return True
    if answers(session):
        return False
    say(
        f"no container engine answers: {session.name} runs natively, as local processes "
        "(docs/native.md; --engine docker says what is wrong with the engine)"
    )
    return True


def answers(session: Session) -> bool:
    """Say whether a container engine answers; a dry run asks none, and takes it from one's CLI."""
    if not session.has_docker():
        return False
    if session.dry_run:
        return True
    try:
        session.engine.first_look(session.project)
    except GangwayError:
        return False
    return True


def refuse_two(session: Session) -> None:
    """Refuse to start what the other engine runs: both would change their own copy of the data.

    Raises GangwayError with the way to end the other.
    """
    name = session.name
    if session.native:
        from gangway.engines.docker.engine import Engine

        if not session.has_docker():
            return
        try:
            there = Engine(session.runner).containers(session.project)
        except GangwayError:
            return
        if any(container.state == "running" for container in there):
            raise GangwayError(
                f"{name} runs in containers already",
                fix=f"invoke {name}.down --engine docker ends them, or go on with --engine docker",
            )
    elif session.processes.running():
        raise GangwayError(
            f"{name} runs natively already",
            fix=f"invoke {name}.down --engine native ends it, or go on with --engine native",
        )
