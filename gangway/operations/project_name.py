"""Which checkout a Compose project belongs to, where several on one machine share a plain name."""

from __future__ import annotations

from pathlib import Path

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.base.process import Completed
from gangway.operations import release_records as records
from gangway.operations.project import Project, with_settings
from gangway.settings import checkout
from gangway.settings.environment import Environment

_VARIABLE = "COMPOSE_PROJECT_NAME"


def own(project: Project) -> Project:
    """Return the project under this checkout's own name; nothing is written down.

    That is the plain name, unless another checkout's containers or data have it. A production is
    one for all clones of the repository: see `_is_shared`. A name that this
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
    if not others or _is_shared(project):
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


def _is_shared(project: Project) -> bool:
    """Say whether it is this repository's own production, deployed from another clone of it.

    That is so where the revision that runs is known here. A shallow clone, which knows but one,
    takes an engine's of another machine for its own: it was sent there.
    """
    if project.environment.kind != "prod":
        return False
    release = records.load(project.engine.production.records).current
    if release is None or not release.revision:
        return False
    env = project.environment
    return _has(env, release.revision) or (bool(project.engine.host) and _is_shallow(env))


def _has(env: Environment, revision: str) -> bool:
    return _git(env, "cat-file", "-e", f"{revision}^{{commit}}").status == 0


def _is_shallow(env: Environment) -> bool:
    return _git(env, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"


def _git(env: Environment, *words: str) -> Completed:
    argv = ["git", *words]
    try:
        return env.runner.capture(argv)
    except GangwayError as error:
        # There is none, and no history.
        return Completed(tuple(argv), 127, "", error.message)


def _file(project: Project) -> Path:
    return checkout.state(project.root, f"{project.name}.project")
