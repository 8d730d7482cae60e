"""Rendering the model: Compose merges the files of an environment, no engine needed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError
from gangway.model import compose_version, model_cache
from gangway.model.model import Model
from gangway.settings.environment import Environment
from gangway.settings.plain import plain

# What belongs to every stack, and is started by a task of its own alone.
TASK_PROFILES: Final = ("test-runner", "https", "backup")
_ENV_FILE: Final = re.compile(r"env file (\S+) not found")


def compose(environment: Environment, *words: str) -> list[str]:
    """Return a call of Compose itself, which merges the environment's files."""
    return [*compose_version.program(environment.runner), *environment.env_files, *words]


def rendered(environment: Environment) -> Model:
    """Return the stack's whole model: what is on, on demand, or started by a task of its own."""
    profiles = (
        *environment.profiles, *environment.optional, *environment.tests, *TASK_PROFILES,
    )  # fmt: skip
    return render(environment, *(word for name in profiles for word in ("--profile", name)))


def render(environment: Environment, *flags: str) -> Model:
    """Return the model as Compose merges it; `flags` go before `config`.

    Raises GangwayError with Compose's own message where it can't.
    """
    argv = compose(environment, *flags, "config", "--format", "json")
    made_of = model_cache.ingredients(environment, argv)
    model = model_cache.kept(environment, made_of)
    if model is None:
        done = environment.runner.capture(argv)
        if done.status != 0:
            said = done.stderr.strip().splitlines()
            if gone := _ENV_FILE.search(done.stderr):
                raise GangwayError(
                    "an env_file of the Compose files isn't there",
                    where=_shown(environment, gone[1]),
                    fix="write it, or let it be missing: env_file: [{path: …, required: false}]",
                )
            raise GangwayError(
                "the Compose files can't be merged: " + (said[-1] if said else "no reason given"),
                where=environment.get("COMPOSE_FILE"),
                fix=f"see the whole message: {plain(environment, argv[:-2])}",
            )
        model = json.loads(done.stdout)
        model_cache.keep(environment, made_of, model)
    return Model(model, frozenset(environment.profiles))


def _shown(environment: Environment, path: str) -> str:
    top = environment.root.resolve()
    return Path(path).relative_to(top).as_posix() if Path(path).is_relative_to(top) else path
