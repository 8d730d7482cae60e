"""Every environment x stack x image source, and the model that a real Compose renders of each.

No daemon is needed. What a checkout or a shell adds of its own (`env/local.env`, `.gangway/`,
exported variables) is left out: the repository's files alone are under test.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from dataclasses import dataclass, replace
from typing import Any, Final

from gangway.model.render import TASK_PROFILES
from gangway.settings import environment
from gangway.settings.environment import DEFAULT_IMAGES, DEFAULT_STACK, Kind
from tests.unit.conftest import ROOT, compose_programs

BASE: Final = "docker-compose.yml"

# What a source of images must be told.
NEEDS: Final = {"mirror": {"IMAGE_MIRROR": "mirror.example.com/hub"}}


@dataclass(frozen=True)
class Case:
    """What one model is rendered from; `files` instead of the environment's own COMPOSE_FILE."""

    environment: str
    stack: str = DEFAULT_STACK
    images: str = DEFAULT_IMAGES
    files: str = ""

    def __str__(self) -> str:
        """Return the name that the test's report shows."""
        return "-".join(filter(None, (self.environment, self.stack, self.images, self.files)))

    @property
    def kind(self) -> Kind:
        """Return whose rules hold: production's hold in staging too."""
        return environment.kind_of(ROOT, self.environment)

    @property
    def env_files(self) -> list[str]:
        """Return the files for `--env-file`, lowest layer first; defaults need none."""
        found = [f"env/{self.environment}.env"]
        if self.images != DEFAULT_IMAGES:
            found.append(f"env/images/{self.images}.env")
        if self.stack != DEFAULT_STACK:
            found.append(environment.stack_file(self.stack))
        return found


def cases() -> list[Case]:
    """Return every environment x stack x image source that the repository has."""
    return [
        replace(case, images=images)
        for case in combinations()
        for images in environment.image_sources(ROOT)
    ]


def combinations() -> list[Case]:
    """Return every stack in every environment that it is meant for."""
    found = [
        Case(name, stack)
        for name in environment.environments(ROOT)
        for stack in environment.stacks(ROOT)
    ]
    return [case for case in found if case.kind in loaded(case).meant_for]


def loaded(case: Case) -> environment.Environment:
    """Return what the env files say, without what a checkout or a shell adds."""
    return environment.load(
        ROOT,
        case.environment,
        stack=case.stack,
        images=case.images,
        shell=NEEDS.get(case.images, {}),
    )


# Production without any overlay: whoever uses the base file alone must be safe as well.
BASE_ALONE: Final = Case("prod", files=BASE)


def render(case: Case) -> dict[str, Any]:
    """Return the merged model of the stack, by the first Compose that is found."""
    return render_files(case, tuple(case.env_files))


@functools.cache
def render_files(case: Case, env_files: tuple[str, ...], compose: str = "") -> dict[str, Any]:
    """Return the merged model from these env files, by the plugin or the standalone Compose."""
    found = compose_programs()
    assert found, "no Compose here: install the development requirements"
    program = found[compose] if compose else next(iter(found.values()))
    shell = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    shell |= NEEDS.get(case.images, {})
    if case.files:
        shell["COMPOSE_FILE"] = case.files
    flags = [word for file in env_files for word in ("--env-file", file)]
    here = loaded(case)
    for profile in (*here.profiles, *here.optional, *TASK_PROFILES):
        flags += ["--profile", profile]
    done = subprocess.run(
        [*program, *flags, "config", "--format", "json"],
        cwd=ROOT, env=shell, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    model: dict[str, Any] = json.loads(done.stdout)
    return model
