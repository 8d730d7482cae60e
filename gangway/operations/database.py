"""The database's migrations and example data."""

from __future__ import annotations

import shlex

from gangway.base.output import say
from gangway.operations import calls, diagnosis, image_builds, preflight
from gangway.operations.project import Project


def one_off(project: Project, *command: str) -> int:
    """Run a database command in a new container of `migrate`, once the database answers."""
    preflight.check_files(project, ["migrate"])
    image_builds.refresh(project, project.model.wanted(["migrate"]))
    status = calls.run(project, "run", "--rm", *calls.no_terminal(), "migrate", *command)
    if status == diagnosis.KILLED:
        say(diagnosis.was_killed(project.engine, "migrate"))
    return status


def migration_tool(project: Project, variable: str, **values: str) -> int:
    """Run the command that a variable of the stack names, with `{key}` in its words replaced."""
    from gangway.settings import contract

    words = shlex.split(contract.needed(variable, project.environment))
    for key, value in values.items():
        words = [word.replace(f"{{{key}}}", value) for word in words]
    return one_off(project, "wait-for-db", "--", *words)
