"""An environment of a checkout, opened: what every operation is given."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gangway.base import lock
from gangway.base.output import say
from gangway.settings import checkout, environment, identity, overlay
from gangway.settings.environment import DEFAULT_ENGINE, Environment, load
from gangway.settings.plain import announce

# Every listing of the tasks imports this module, and only a task needs an engine.
if TYPE_CHECKING:
    from gangway.engines.interface import Engine
    from gangway.model.model import Model


@dataclass(frozen=True)
class Project:
    """An environment, its merged model and its engine; `dry_run` prints what it would do."""

    environment: Environment
    engine: Engine
    dry_run: bool = False

    @property
    def name(self) -> str:
        """The environment's name, which its tasks begin with: `dev`."""
        return self.environment.name

    @property
    def root(self) -> Path:
        """The checkout's top folder."""
        return self.environment.root

    @property
    def model(self) -> Model:
        """The merged model of the stack."""
        return self.engine.model

    def announce(self, *words: str) -> bool:
        """Print the engine's plain command for a call; return whether to do it."""
        return announce(self.environment, self.engine.command(*words), dry_run=self.dry_run)

    def changing(self, task: str) -> AbstractContextManager[None]:
        """Hold the environment's lock for the task (`up`, `down`, …)."""
        path = checkout.state(self.root, f"{self.name}.lock")
        return lock.held(path, self.name, f"{self.name}.{task}")


def opened(environment: Environment, *, dry_run: bool = False) -> Project:
    """Return a loaded environment with its engine; the model is rendered when it is asked for."""
    from gangway.engines import choice

    return Project(environment, choice.engine_of(environment), dry_run)


def open_project(
    root: Path,
    name: str,
    *,
    stack: str | None = None,
    images: str | None = None,
    engine: str | None = None,
    overrides: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> Project:
    """Return an environment of a checkout as a task has it, the checkout's settings written down.

    Raises GangwayError as `gangway.settings.environment.load` does, and where the shell would make
    another environment of it.
    """
    loaded = load(root, name, stack=stack, images=images, engine=engine, overrides=overrides)
    identity.require_own(loaded)
    for finding in environment.misnamed(root):
        say(f"note: {finding}")
    project = opened(loaded, dry_run=dry_run)
    if loaded.engine == DEFAULT_ENGINE:
        from gangway.engines import choice

        other = choice.instead(project.engine, dry_run=dry_run)
        if other:
            project = with_choices(project, engine=other)
    return with_settings(project, checkout.facts(project.environment))


def with_settings(project: Project, changes: Mapping[str, str]) -> Project:
    """Record settings for this checkout only, and return the project that has them."""
    if not changes:
        return project
    checkout.record(project.root, project.name, changes)
    return with_choices(project)


def with_overlay(
    project: Project, services: overlay.Services, ports_before: Mapping[str, Any]
) -> Project:
    """Have this checkout add exactly this to the stack's services; return the project that does.

    Raises GangwayError, with nothing changed, where COMPOSE_FILE is said elsewhere.
    """
    env = project.environment
    overlay.refuse_unjoined(env)
    checkout.own_folder(env.root)
    overlay.write(env, services, ports_before)
    checkout.record(env.root, env.name, checkout.facts(env))
    again = with_choices(project)
    own, files = overlay.file(env), again.environment.compose_files
    if own in files or not overlay.read(env):
        return again
    # On the command line: before what the tasks themselves add there.
    place = len(files) - files[-1].startswith(f"{checkout.DIRECTORY}/")
    joined = env.separator.join([*files[:place], own, *files[place:]])
    return with_choices(again, overrides={"COMPOSE_FILE": joined})


def with_choices(
    project: Project, *, engine: str | None = None, overrides: Mapping[str, str] | None = None
) -> Project:
    """Return the project opened again, with another engine, or with more overrides."""
    env = project.environment
    again = load(
        env.root, env.name, stack=env.stack, images=env.images, engine=engine or env.engine,
        overrides={**env.overrides, **(overrides or {})}, shell=env.shell,
    )  # fmt: skip
    return opened(again, dry_run=project.dry_run)
