"""The tests of the apps, run in a throw-away copy of the stack."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.operations import calls, diagnosis, down, image_builds, preflight, runner_words
from gangway.operations.project import Project
from gangway.operations.start import StartOptions, watched

RUNNER = runner_words.RUNNER
_PREFIX = "apps/"
# What pytest, and unittest since Python 3.12, end with where there is nothing to run.
_NO_TESTS = 5


@dataclass(frozen=True)
class TestOptions:
    """What to run, and how: `paths` as seen from here, the checkout or where the tests run.

    A path below an app that has a runner of its own goes to that one, which works in the app's
    folder `tests`, unless it is Python's. An expression, coverage and `arguments` are pytest's (or
    TEST_COMMAND's), and so is the run that has them.
    """

    paths: tuple[str, ...] = ()
    expression: str = ""
    coverage: bool = False
    keep: bool = False
    arguments: tuple[str, ...] = ()


def run(project: Project, options: TestOptions) -> int:
    """Bring a fresh stack up, run its tests, take it down; return the first exit status but 0.

    The stack goes down whatever happens, Ctrl-C included, unless `keep` is set.
    """
    once = ("--progress", "quiet", "run", "--rm", "--no-deps", *calls.no_terminal())
    with project.changing("run"):
        # Another checkout may be testing at the same time: nobody needs to know these ports.
        project, left = preflight.prepare(project, (RUNNER,), auto_ports=True)
        chosen = runners(project, options)
        image_builds.refresh(project, list(project.model.services))
        services = needed(project)
        # What only has to be started goes on starting while the first tests run: those that need
        # it wait for it themselves.
        enough = tuple(name for name, when in services.items() if when != "service_started")
        with taken_down(project, left, keep=options.keep):
            started = StartOptions(tuple(services), enough=enough)
            watched(project, started, "up", "--detach", *services)
            runs = [(*once, *words) for words in chosen]
            statuses = [project.engine.call(*words) for words in runs if project.announce(*words)]
            if statuses[:1] == [_NO_TESTS] and chosen[0][0] == RUNNER:
                say(runner_words.nothing_found(project, options.paths, options.expression))
            if diagnosis.KILLED in statuses:
                hungry = chosen[statuses.index(diagnosis.KILLED)][0]
                say(diagnosis.was_killed(project.engine, hungry))
            return next(filter(None, statuses), 0)


def runners(project: Project, options: TestOptions) -> list[list[str]]:
    """Return the services that run the tests which are asked for, each with its words.

    Raises GangwayError for a path that isn't there, and where pytest's options leave no test to
    run.
    """
    others = project.environment.tests
    chosen: dict[str, list[str]] = {}
    here = Path.cwd()
    for path in (runner_words.typed(project.root, here, each) for each in options.paths):
        app, _, inside = os.path.normpath(path).removeprefix(_PREFIX).partition("/")
        own, folder, python = f"{app}-tests", not Path(path).suffix, ".py" in path
        if own in others and not python:
            chosen.setdefault(own, []).extend([] if folder else [inside.removeprefix("tests/")])
        if own not in others or folder or python:
            chosen.setdefault(RUNNER, []).append(path)
    if not options.paths:
        chosen = {RUNNER: [], **{name: [] for name in others}}
    for_pytest = options.expression or options.coverage or options.arguments
    if for_pytest and RUNNER not in chosen:
        raise GangwayError(
            f"-k, --cov and what stands after -- are pytest's, and {' and '.join(chosen)} is not",
            fix="leave them out, or name a folder or a file of Python tests",
        )
    words = runner_words.Wanted(options.expression, options.coverage, options.arguments)
    return [
        [name, *(runner_words.command(project, paths, words) if name == RUNNER else paths)]
        for name, paths in sorted(chosen.items(), key=lambda item: item[0] != RUNNER)
        if name == RUNNER or not for_pytest
    ]


def needed(project: Project) -> dict[str, str]:
    """Return the services that the tests need, each with Compose's condition for it."""
    services = project.model.services
    wanted = services[RUNNER].get("depends_on") or {}
    return {name: entry["condition"] for name, entry in wanted.items() if name in services}


@contextlib.contextmanager
def taken_down(project: Project, left: Sequence[object], *, keep: bool) -> Iterator[None]:
    """Begin without the containers `left` by an earlier run; leave nothing when the block ends.

    Nothing in this stack outlives it, so it is killed rather than stopped.
    """
    at_once = ("--volumes", "--timeout", "0")
    if left:
        say("removing what an earlier run left")
        down.take_down(project, *at_once)
    try:
        yield
    finally:
        if keep:
            say(f"kept: invoke {project.name}.down --volumes removes it")
        else:
            # A second Ctrl-C while it goes down must not leave half of it.
            with uninterrupted():
                down.take_down(project, *at_once)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C in the block, in this process and those it starts."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
