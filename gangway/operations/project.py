"""One environment of one checkout, ready to be worked on: what every operation is given."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gangway.base import lock
from gangway.base.errors import GangwayError
from gangway.base.process import Runner
from gangway.engines.docker.engine import Engine
from gangway.model import model_cache
from gangway.model.model import Model
from gangway.settings import checkout
from gangway.settings.environment import NATIVE, Environment, load

if TYPE_CHECKING:
    from gangway.engines.native.engine import NativeEngine

# What belongs to every stack, and is started by a task of its own alone.
TASK_PROFILES: Final = ("test-runner",)


def say(text: str = "") -> None:
    """Write a line for people: standard error, so that standard output stays the command's."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Project:
    """An environment with what was asked for on the command line.

    `dry_run` prints commands instead of running them.
    """

    environment: Environment
    dry_run: bool = False

    @property
    def name(self) -> str:
        """The environment's name, such as `dev`."""
        return self.environment.name

    @property
    def root(self) -> Path:
        """The checkout's top folder."""
        return self.environment.root

    @cached_property
    def runner(self) -> Runner:
        """Runs programs in the checkout with this environment's variables."""
        return Runner(self.root, self.environment.process_environment())

    @property
    def native(self) -> bool:
        """Whether the services run as local processes."""
        return self.environment.engine == NATIVE

    @cached_property
    def engine(self) -> Engine | NativeEngine:
        """What runs the services."""
        if self.native:
            return self.processes
        return Engine(self.runner, podman=self.environment.engine == "podman")

    @cached_property
    def processes(self) -> NativeEngine:
        """The services as local processes, whatever runs them now."""
        from gangway.engines.native.engine import NativeEngine

        environment = self.environment
        shell = environment.process_environment()
        return NativeEngine(self.root, self.compose_name, shell, environment.apps)

    @cached_property
    def model(self) -> Model:
        """The merged model of the stack, rendered by Compose (no engine needed)."""
        here = self.environment
        profiles = [*here.profiles, *here.optional, *here.tests, *TASK_PROFILES]
        return self.render(*(word for profile in profiles for word in ("--profile", profile)))

    @property
    def compose_name(self) -> str:
        """The Compose project's name."""
        return self.environment.get("COMPOSE_PROJECT_NAME")

    def command(self, *args: str) -> list[str]:
        """Return the `docker compose` call for this environment, or its native counterpart."""
        if not self.native:
            return self.environment.compose_command(*args)
        return ["python", "-m", "gangway.operations.native", *self.environment.env_files, *args]

    def has_docker(self) -> bool:
        """Say whether there is a program that asks a container engine."""
        path = self.environment.process_environment().get("PATH")
        return bool(shutil.which("docker", path=path))

    def compose(self, *args: str) -> list[str]:
        """Return a call of Compose itself, which merges the files in any case."""
        if not self.native and self.has_docker():
            return self.environment.compose_command(*args)
        from gangway.engines.native import tools

        return [*tools.compose(self.runner), *self.environment.env_files, *args]

    def render(self, *flags: str) -> Model:
        """Return the model as Compose merges it; `flags` go before `config`.

        Raises GangwayError with Compose's own message where it can't.
        """
        argv = self.compose(*flags, "config", "--format", "json")
        made_of = model_cache.ingredients(self.environment, argv)
        if found := model_cache.kept(self.environment, made_of):
            return Model(found, frozenset(self.environment.profiles))
        done = self.runner.capture(argv)
        if done.status != 0:
            said = done.stderr.strip().splitlines()
            raise GangwayError(
                "the Compose files can't be merged: " + (said[-1] if said else "no reason given"),
                where=self.environment.get("COMPOSE_FILE"),
                fix=f"see the whole message: {self.plain(done.argv[:-2])}",
            )
        model = json.loads(done.stdout)
        model_cache.keep(self.environment, made_of, model)
        return Model(model, frozenset(self.environment.profiles))

    def plain(self, argv: Sequence[str]) -> str:
        """Return a command as it can be pasted, no secret of the command line in it."""
        if not self.environment.overrides:
            return self.environment.plain(argv)
        from gangway.settings import contract

        return self.environment.plain(argv, is_secret=contract.load(self.root).is_secret)

    def announce(self, argv: Sequence[str]) -> bool:
        """Print the plain command, as it can be pasted; return whether to run it.

        A dry run prints nothing else, and so on standard output.
        """
        plain = self.plain(argv)
        if self.dry_run:
            print(plain)
        else:
            say(f"$ {plain}")
        return not self.dry_run

    def changing(self, task: str) -> AbstractContextManager[None]:
        """Hold the environment's lock for the task (`up`, `down`, …)."""
        path = checkout.state(self.root, f"{self.name}.lock")
        return lock.held(path, self.name, f"{self.name}.{task}")

    def with_checkout_layer(self, changes: Mapping[str, str]) -> Project:
        """Record settings for this checkout only, and return the project that has it."""
        if not changes:
            return self
        checkout.record(self.root, self.name, changes)
        return replace(self, environment=reload(self.environment))


def reload(environment: Environment) -> Environment:
    """Load an environment again with the same choices, after one of its files changed."""
    return load(
        environment.root,
        environment.name,
        stack=environment.stack,
        images=environment.images,
        engine=environment.engine,
        overrides=environment.overrides,
        shell=environment.shell,
    )


def is_interactive() -> bool:
    """Say whether somebody can answer a question."""
    return sys.stdin.isatty() and os.environ.get("CI") is None


def confirm(what: str, *, yes: bool) -> None:
    """Ask before something is destroyed; `what` names it.

    Raises GangwayError where the answer is no, or nobody can answer and `yes` wasn't given.
    """
    if yes:
        return
    if not is_interactive():
        raise GangwayError(f"{what}: not confirmed", fix="add --yes, there is nobody to ask here")
    answer = input(f"{what}. Go on? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise GangwayError("nothing was changed")
