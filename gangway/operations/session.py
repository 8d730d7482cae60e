"""One environment of one checkout, ready to be worked on: what every operation is given."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gangway.base import lock
from gangway.base.errors import GangwayError, unknown
from gangway.base.process import Runner
from gangway.engines.docker.engine import Engine
from gangway.model import rendered
from gangway.model.model import Model
from gangway.operations import choice, claim
from gangway.settings import project
from gangway.settings.environment import DEFAULT_ENGINE, NATIVE, Environment, load

if TYPE_CHECKING:
    from gangway.engines.native.engine import NativeEngine

# What belongs to every stack, and is started by a task of its own alone.
TASK_PROFILES: Final = ("test-runner",)


def say(text: str = "") -> None:
    """Write a line for people: standard error, so that standard output stays the command's."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Session:
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
        return NativeEngine(self.root, self.project, shell, environment.apps)

    @cached_property
    def model(self) -> Model:
        """The merged model of the stack, rendered by Compose (no engine needed)."""
        here = self.environment
        profiles = [*here.profiles, *here.optional, *here.tests, *TASK_PROFILES]
        return self.render(*(word for profile in profiles for word in ("--profile", profile)))

    @property
    def project(self) -> str:
        """The Compose project's name."""
        return self.environment.get("COMPOSE_PROJECT_NAME")

    def command(self, *args: str) -> list[str]:
        """Return the `docker compose` call for this environment, or its native counterpart."""
        if not self.native:
            return self.environment.compose_command(*args)
        return ["python", "-m", "gangway.operations.native", *self.environment.env_files, *args]

    def compose(self, *args: str) -> list[str]:
        """Return a call of Compose itself, which merges the files in any case."""
        if not self.native and choice.installed(self):
            return self.environment.compose_command(*args)
        from gangway.engines.native import tools

        return [*tools.compose(self.runner), *self.environment.env_files, *args]

    def call(self, *args: str) -> int:
        """Run `docker compose ARGS…`, or its native counterpart; return its exit status."""
        if not self.native:
            return self.runner.run(self.command(*args))
        if args[0] == "config":
            # Compose's own, with all of its options.
            return self.runner.run(self.compose(*args))
        from gangway.operations.native import commands

        return commands.run(self, args)

    def render(self, *flags: str) -> Model:
        """Return the model as Compose merges it; `flags` go before `config`.

        Raises GangwayError with Compose's own message where it can't.
        """
        argv = self.compose(*flags, "config", "--format", "json")
        made_of = rendered.ingredients(self.environment, argv)
        if found := rendered.kept(self.environment, made_of):
            return Model(found, frozenset(self.environment.profiles))
        done = self.runner.capture(argv)
        if done.status != 0:
            said = done.stderr.strip().splitlines()
            raise GangwayError(
                "the Compose files can't be merged: " + (said[-1] if said else "no reason given"),
                where=self.environment.get("COMPOSE_FILE"),
                mend=f"see the whole message: {self.plain(done.argv[:-2])}",
            )
        model = json.loads(done.stdout)
        rendered.keep(self.environment, made_of, model)
        return Model(model, frozenset(self.environment.profiles))

    def plain(self, argv: Sequence[str]) -> str:
        """Return a command as it can be pasted, no secret of the command line in it."""
        if not self.environment.overrides:
            return self.environment.plain(argv)
        from gangway.settings import spec

        return self.environment.plain(argv, is_secret=spec.load(self.root).is_secret)

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

    def run(self, *args: str, needs_engine: bool = True) -> int:
        """Print and run a `docker compose` call on this terminal; return its exit status.

        Raises GangwayError where the call `needs_engine` and none answers.
        """
        session = self.answering() if needs_engine else self
        return session.call(*args) if session.announce(session.command(*args)) else 0

    def answering(self) -> Session:
        """Return the session under its own project's name; raises GangwayError for no engine.

        A dry run asks no engine.
        """
        if self.dry_run:
            return self
        self.engine.first_look(self.project)
        return claim.own(self)

    def tell(self, text: str) -> None:
        """Write a line for people."""
        say(text)

    def changing(self, task: str) -> AbstractContextManager[None]:
        """Hold the environment's lock for the task (`up`, `down`, …)."""
        path = project.state(self.root, f"{self.name}.lock")
        return lock.held(path, self.name, f"{self.name}.{task}")

    def check_services(self, names: Sequence[str]) -> None:
        """Refuse names that aren't services of this stack, and say which stack has them."""
        known = list(self.model.services)
        for name in names:
            if name not in known:
                raise self._elsewhere(name) or unknown("service", name, known)

    def _elsewhere(self, name: str) -> GangwayError | None:
        """Return the error for a service that only other stacks have; None where none has it."""
        from gangway.operations import presets

        service = self.render("--profile", "*").services.get(name)
        if service is None:
            return None
        stacks = presets.having(self.environment, service.get("profiles") or ())
        mend = " or ".join(f"--stack {stack}" for stack in stacks)
        return GangwayError(
            f"the {self.environment.stack} stack has no {name}",
            mend=mend or f"a stack with the profile {service['profiles'][0]}: docs/stacks.md",
        )

    def with_checkout_layer(self, changes: Mapping[str, str]) -> Session:
        """Record what this checkout must differ by, and return the session that has it."""
        if not changes:
            return self
        project.record(self.root, self.name, changes)
        return replace(self, environment=reload(self.environment))


def open_environment(
    root: Path,
    name: str,
    *,
    stack: str | None = None,
    images: str | None = None,
    engine: str | None = None,
    overrides: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> Session:
    """Return the session for an environment, with what this checkout must differ by written down.

    Raises GangwayError as `gangway.environment.load` does.
    """

    def loaded(engine: str | None) -> Environment:
        return load(root, name, stack=stack, images=images, engine=engine, overrides=overrides)

    session = Session(loaded(engine), dry_run=dry_run)
    if session.environment.engine == DEFAULT_ENGINE and choice.falls_to_native(session):
        session = Session(loaded(NATIVE), dry_run=dry_run)
    return session.with_checkout_layer(project.facts(session.environment))


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
        raise GangwayError(f"{what}: not confirmed", mend="add --yes, there is nobody to ask here")
    answer = input(f"{what}. Go on? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise GangwayError("nothing was changed")
