"""Which checkout a Compose project belongs to, where several on one machine share a plain name."""

from __future__ import annotations

from pathlib import Path

from gangway.operations.session import Session, say
from gangway.settings import project


def own(session: Session) -> Session:
    """Return the session under this checkout's own project name; nothing is written down.

    That is the plain name, unless another checkout's containers or data have it. A name that this
    checkout has started a stack under stays its own until its data is deleted.
    """
    plain = session.project
    suffix = project.short_hash(session.root)
    if session.native:
        # Its state is in this checkout's own folder.
        return session
    decided = session.environment.variable("COMPOSE_PROJECT_NAME")
    if plain.endswith(f"-{suffix}") or (decided and decided.layer in ("command line", "shell")):
        return session
    claim = _file(session)
    if claim.exists() and claim.read_text().strip() == plain:
        return session
    others = other_owners(session)
    if not others:
        return session
    name = f"{plain}-{suffix}"
    say(f"{plain} belongs to {others}: this checkout's project is {name}")
    return session.with_checkout_layer({"COMPOSE_PROJECT_NAME": name})


def keep(session: Session) -> None:
    """Write down that this checkout has the project's name; called when a stack is started."""
    _file(session).write_text(session.project + "\n")


def drop(session: Session) -> None:
    """Give the name up: nothing of the project is left, and another checkout may take it."""
    _file(session).unlink(missing_ok=True)


def _file(session: Session) -> Path:
    return project.state(session.root, f"{session.name}.project")


def other_owners(session: Session) -> str:
    """Return who else has the session's project, for people; empty where nobody has."""
    directories = set(session.engine.first_look(session.project))
    others = directories - {str(session.root.resolve())}
    if others:
        return ", ".join(sorted(others))
    # Volumes alone are the data of a checkout that is down, and that one isn't this.
    if not directories and session.engine.volumes(session.project):
        return "data of another checkout"
    return ""
