"""Which engine runs an environment where nobody has chosen: one that answers, else none."""

from __future__ import annotations

from gangway.base.errors import GangwayError
from gangway.operations.project import Project, say


def falls_to_native(project: Project) -> bool:
    """Say whether `auto` means local processes: they run already, or no container engine answers.

    Development and test only; production waits for a container engine, and its tasks say so.
    """
    if project.environment.kind == "prod":
        return False
    if project.processes.running():
        return True
    if answers(project):
        return False
    say(
        f"no container engine answers: {project.name} runs natively, as local processes "
        "(docs/native.md; --engine docker says what is wrong with the engine)"
    )
    return True


def answers(project: Project) -> bool:
    """Say whether a container engine answers; a dry run asks none, and takes it from one's CLI."""
    if not project.has_docker():
        return False
    if project.dry_run:
        return True
    try:
        project.engine.first_look(project.compose_name)
    except GangwayError:
        return False
    return True


def refuse_two(project: Project) -> None:
    """Refuse to start what the other engine runs: both would change their own copy of the data.

    Raises GangwayError with the way to end the other.
    """
    name = project.name
    if project.native:
        from gangway.engines.docker.engine import Engine

        if not project.has_docker():
            return
        try:
            there = Engine(project.runner).containers(project.compose_name)
        except GangwayError:
            return
        if any(container.state == "running" for container in there):
            raise GangwayError(
                f"{name} runs in containers already",
                fix=f"invoke {name}.down --engine docker ends them, or go on with --engine docker",
            )
    elif project.processes.running():
        raise GangwayError(
            f"{name} runs natively already",
            fix=f"invoke {name}.down --engine native ends it, or go on with --engine native",
        )
