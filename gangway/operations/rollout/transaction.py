"""A deploy: all of it, or nothing.

Until the new release is the one that serves, whatever goes wrong takes everything new away again.
What is under way is in the records before it is done: so whoever comes after a process that was
killed knows what it left.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from gangway.base import user
from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.base.process import interrupts_later
from gangway.engines.releases import Rollout, Target
from gangway.engines.start import Start
from gangway.model.model import Model
from gangway.model.release import STATE, Release, release_file
from gangway.operations import start
from gangway.operations.project import Project
from gangway.operations.release_records import MOVED, Known, deploys_file, load
from gangway.operations.releases import sign
from gangway.operations.rollout.asking import ask
from gangway.operations.rollout.judging import WELL, judge
from gangway.operations.start import StartOptions

UNDER_WAY = "under_way"


@dataclass(frozen=True)
class How:
    """How a target becomes what runs: by which `task`, in how many seconds at most (0: no limit).

    `allow_destructive` lets migrations break the code that runs; without `migrate` none are run.
    """

    task: str
    timeout: float = 0.0
    allow_destructive: bool = False
    migrate: bool = True


@contextmanager
def alone(project: Project, task: str) -> Iterator[Known]:
    """Let nobody else change what runs in the block; yield what is known, nothing under way.

    Raises GangwayError where somebody else is at it, or where it has moved to another engine.
    """
    records = project.engine.production.records
    with records.held(f"{project.name}.{task}"):
        known = load(records)
        if task != "move":
            _refuse_moved(project, known)
        yield recovered(project, known)


def _refuse_moved(project: Project, known: Known) -> None:
    """Refuse to start beside its own data what has gone to another engine."""
    moved = known.state.get(MOVED)
    if not moved:
        return
    name, to, at = project.name, moved["to"], moved["at"]
    there = f"{to} at {at}" if at else to
    if moved["done"]:
        go_on = f"--engine {to}, or GANGWAY_ENGINE={to} in env/{name}.env"
        raise GangwayError(
            f"{name} has moved to {there}",
            fix=f"go on there: {f'DOCKER_HOST={at}, and ' if at else ''}{go_on}",
        )
    words = f"{to} --at {at}" if at else to
    raise GangwayError(
        f"the move of {name} to {there} was cut short",
        fix=f"invoke {name}.move {words} goes on with it",
    )


def run(project: Project, known: Known, target: Target, how: How) -> bool:
    """Make the target what runs; return whether anything had to be done.

    The caller is `alone`. Raises GangwayError, with the former release serving as ever, when a step
    fails.
    """
    sign.check(project, target.release)
    records = project.engine.production.records
    began = time.monotonic()
    rollout = project.engine.production.rollout(target, known.state)
    for name, reason in rollout.left.items():
        say(f"note: {name} keeps data, and stays as it is: {reason}")
        say(f"  invoke {project.name}.up {name} replaces it, which stops it for a moment")
    release, state = target.release, dict(known.state)
    once = how.migrate and rollout.runs_once
    if not rollout.moves and not once and state.get("current") == release.name:
        say(f"{release.name} runs, and nothing about it has changed")
        return False
    _show(rollout)
    entry: dict[str, Any] = {"when": _now(), "by": user.at_host(), "task": how.task}
    state[UNDER_WAY] = {"release": release.name, "task": how.task, **rollout.journal()}
    records.write({STATE: json.dumps(state), release_file(release.name): release.to_json()})
    try:
        _change(project, known, rollout, release, how, entry)
    except BaseException as error:
        with interrupts_later():
            take_back(project, rollout, known)
        _log(project, known, release, {**entry, "outcome": _outcome(error)})
        raise
    state |= {"current": release.name, "before": _before(known, release)}
    records.write({STATE: json.dumps({**state, UNDER_WAY: {**state[UNDER_WAY], "ending": 1}})})
    with step("the old ones end"):
        if entry.get("pending"):
            entry["at"] = rollout.once(["migrate", "--current"]).stdout.splitlines()
        rollout.end()
    finish(project, rollout, state)
    _log(project, known, release, {**entry, "outcome": WELL})
    say(f"{release.name} runs ({time.monotonic() - began:.1f} s)")
    return True


def recovered(project: Project, known: Known) -> Known:
    """Finish or take back what a process has left that is gone; return what is known then."""
    journal = known.state.get(UNDER_WAY)
    if not journal:
        return known
    rollout = project.engine.production.resumed(journal)
    records, name = project.engine.production.records, journal["release"]
    if journal.get("ending"):
        say(f"the deploy of {name} was cut short at its end: it is brought to that")
        rollout.end()
        finish(project, rollout, known.state)
        return load(records)
    say(f"the deploy of {name} was cut short: it is taken back")
    take_back(project, rollout, known)
    return replace(load(records), undone=name)


def take_back(project: Project, rollout: Rollout, known: Known) -> None:
    """Have what ran before serve, and take note that nothing is under way."""
    with step("taken back"):
        rollout.take_back()
    state = {key: value for key, value in known.state.items() if key != UNDER_WAY}
    project.engine.production.records.write({STATE: json.dumps(state)})


def finish(project: Project, rollout: Rollout, state: Mapping[str, Any]) -> None:
    """Take note of what runs, and that nothing is under way."""
    done = {key: value for key, value in state.items() if key != UNDER_WAY}
    project.engine.production.records.write({STATE: json.dumps({**done, **rollout.state()})})


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say how long a step took, once it has come to its end."""
    began = time.monotonic()
    yield
    say(f"  {what:<24} {time.monotonic() - began:5.1f} s")


def _change(
    project: Project,
    known: Known,
    rollout: Rollout,
    release: Release,
    how: How,
    entry: dict[str, Any],
) -> None:
    """Take all steps up to the one release that serves; `entry` gets what to write down of them."""

    def watched(what: str, start_: AbstractContextManager[Start | None]) -> None:
        with step(what), start_ as under_way:
            if under_way:
                start.follow(project.engine, under_way, StartOptions(timeout=how.timeout))

    watched("data stores", rollout.ground())
    if how.migrate and rollout.runs_once and not _ran_with_it(known, release):
        with step("migrations looked at"):
            allowed = how.allow_destructive
            entry |= judge(known, release, rollout, allow_destructive=allowed)
        watched("migrated", rollout.migrate())
    watched("new replicas healthy", rollout.beside())
    with step("each asked"):
        ask(Model(release.model), rollout)
    with step("switched"), interrupts_later():
        rollout.switch()
    watched("one after the other", rollout.follow())


def _ran_with_it(known: Known, release: Release) -> bool:
    """Say whether this release has run before with the database as it is."""
    current = known.current
    if current is None or release.name == current.name:
        return False
    return bool(now := _found_at(known, current)) and now == _found_at(known, release)


def _found_at(known: Known, release: Release) -> Any:
    """Return where the database was when the release was deployed last."""
    places = [each["at"] for each in known.deploys.get(release.name, ()) if "at" in each]
    return places[-1] if places else None


def _show(rollout: Rollout) -> None:
    width = max(map(len, rollout.moves), default=0)
    for name, reason in rollout.moves.items():
        say(f"  {name:<{width}}  {reason}")


def _log(project: Project, known: Known, release: Release, entry: Mapping[str, Any]) -> None:
    entries = [*known.deploys.get(release.name, ()), entry]
    project.engine.production.records.write({deploys_file(release.name): json.dumps(entries)})


def _before(known: Known, release: Release) -> str | None:
    """Return which release a rollback goes to: the one before, or before that one once more."""
    current = known.state.get("current")
    return known.state.get("before") if current == release.name else current


def _outcome(error: BaseException) -> str:
    return error.message if isinstance(error, GangwayError) else "interrupted"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
