"""Opening an environment of a checkout: which engine it has, and what the checkout differs by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gangway.operations import engine_choice
from gangway.operations.project import Project
from gangway.settings import checkout
from gangway.settings.environment import DEFAULT_ENGINE, NATIVE, Environment, load


def open_environment(
    root: Path,
    name: str,
    *,
    stack: str | None = None,
    images: str | None = None,
    engine: str | None = None,
    overrides: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> Project:
    """Return the project for an environment, with this checkout's own settings written down.

    Raises GangwayError as `gangway.settings.environment.load` does.
    """

    def loaded(engine: str | None) -> Environment:
        return load(root, name, stack=stack, images=images, engine=engine, overrides=overrides)

    project = Project(loaded(engine), dry_run=dry_run)
    if project.environment.engine == DEFAULT_ENGINE and engine_choice.falls_to_native(project):
        project = Project(loaded(NATIVE), dry_run=dry_run)
    return project.with_checkout_layer(checkout.facts(project.environment))
