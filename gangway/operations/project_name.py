"""Which checkout a Compose project belongs to, where several on one machine share a plain name."""

from __future__ import annotations

from pathlib import Path

from gangway.operations.project import Project, say
from gangway.settings import checkout


def own(project: Project) -> Project:
    """Return the project under this checkout's own project name; nothing is written down.

    That is the plain name, unless another checkout's containers or data have it. A name that this
    checkout has started a stack under stays its own until its data is deleted.
    """
    plain = project.compose_name
    suffix = checkout.short_hash(project.root)
    if project.native:
        # Its state is in this checkout's own folder.
        return project
    decided = project.environment.variable("COMPOSE_PROJECT_NAME")
    if plain.endswith(f"-{suffix}") or (decided and decided.layer in ("command line", "shell")):
        return project
    claim = _file(project)
    if claim.exists() and claim.read_text().strip() == plain:
        return project
    others = other_owners(project)
    if not others:
        return project
    name = f"{plain}-{suffix}"
    say(f"{plain} belongs to {others}: this checkout's project is {name}")
    return project.with_checkout_layer({"COMPOSE_PROJECT_NAME": name})


def keep(project: Project) -> None:
    """Write down that this checkout has the project's name; called when a stack is started."""
    _file(project).write_text(project.compose_name + "\n")


def drop(project: Project) -> None:
    """Give the name up: nothing of the project is left, and another checkout may take it."""
    _file(project).unlink(missing_ok=True)


def _file(project: Project) -> Path:
    return checkout.state(project.root, f"{project.name}.project")


def other_owners(project: Project) -> str:
    """Return who else has the project's project, for people; empty where nobody has."""
    there = project.engine.first_look(project.compose_name)
    directories = {container.directory for container in there if container.directory}
    others = directories - {str(project.root.resolve())}
    if others:
        return ", ".join(sorted(others))
    # Volumes alone are the data of a checkout that is down, and that one isn't this.
    if not directories and project.engine.volumes(project.compose_name):
        return "data of another checkout"
    return ""
