"""Which checkout a Compose project belongs to, where several on one machine share a plain name."""

from __future__ import annotations

from pathlib import Path

from gangway.base.output import say
from gangway.operations.project import Project, with_settings
from gangway.settings import checkout

_VARIABLE = "COMPOSE_PROJECT_NAME"


def own(project: Project) -> Project:
    """Return the project under this checkout's own name; nothing is written down.

    That is the plain name, unless another checkout's containers or data have it. A name that this
    checkout has started a stack under stays its own until its data is deleted.
    """
    plain = project.environment.get(_VARIABLE)
    suffix = checkout.short_hash(project.root)
    decided = project.environment.variable(_VARIABLE)
    if plain.endswith(f"-{suffix}") or (decided and decided.layer in ("command line", "shell")):
        return project
    kept = _file(project)
    if kept.exists() and kept.read_text().strip() == plain:
        return project
    others = project.engine.owners()
    if not others:
        return project
    name = f"{plain}-{suffix}"
    say(f"{plain} belongs to {others}: this checkout's project is {name}")
    return with_settings(project, {_VARIABLE: name})


def keep(project: Project) -> None:
    """Write down that this checkout has the project's name; called when a stack is started."""
    _file(project).write_text(project.environment.get(_VARIABLE) + "\n")


def drop(project: Project) -> None:
    """Give the name up: nothing of the project is left, and another checkout may take it."""
    _file(project).unlink(missing_ok=True)


def _file(project: Project) -> Path:
    return checkout.state(project.root, f"{project.name}.project")
