"""The apps of the release that runs, started anew beside themselves, as their secrets change."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.releases import Target
from gangway.model import moves
from gangway.model.model import Model
from gangway.model.release import Release
from gangway.operations import calls
from gangway.operations.project import Project, with_settings
from gangway.operations.release_records import load
from gangway.operations.rollout import deploy, transaction
from gangway.operations.rollout.transaction import How
from gangway.settings import checkout


class Change(NamedTuple):
    """A variable of the apps that has the value `before`, and is to have `after`."""

    name: str
    before: str
    after: str


Move = Callable[[str, Change | None], None]
"""Moves the apps, for a reason that is shown, with one variable changed in all that have it so."""


@contextmanager
def moving(project: Project, task: str) -> Iterator[Move]:
    """Let nobody else change what runs in the block, and yield what moves the apps in it."""
    with project.changing(task):
        found = calls.answering(project)
        with transaction.alone(found, task) as known:
            deploy.running_release(found, known)
            yield lambda why, change: _move(found, task, why, change)


def _move(project: Project, task: str, why: str, change: Change | None) -> None:
    # The secrets' files may be others by now.
    project = with_settings(project, checkout.facts(project.environment))
    known = load(project.engine.production.records)
    release = changed(deploy.running_release(project, known), change)
    say(f"the apps {why}")
    target = Target(release, deploy.wanted_numbers(project, release))
    transaction.run(project, known, target, How(task, migrate=False))


def changed(release: Release, change: Change | None) -> Release:
    """Return a release with a variable of its apps changed, wherever it has the value of before.

    Raises GangwayError where no app has it.
    """
    if not change:
        return release
    name, before, after = (text.replace("$", "$$") for text in change)
    model, raw = Model(release.model), copy.deepcopy(dict(release.model))
    values = set()
    for service, entry in raw["services"].items():
        variables = entry.get("environment") or {}
        keeps = moves.way(model, list(release.images), service) in ("data", "once")
        if variables.get(name) == before and not keeps:
            variables[name] = after
        values.add("" if keeps else variables.get(name))
    if after not in values:
        raise GangwayError(
            f"no app of {release.name} has {change.name}={change.before}: nobody could be moved",
            fix=f"give {change.name} to those that read the secret, in their `environment`",
        )
    return replace(release, model=raw)
