"""The tests of the apps, run in a throw-away copy of the stack."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from gangway import builds, operations, preflight, up
from gangway.session import Session, say

RUNNER = "test-runner"
_PREFIX = "apps/"


@dataclass(frozen=True)
class Wish:
    """What to run: `paths` as seen from the checkout, `arguments` for pytest as they are."""

    paths: tuple[str, ...] = ()
    expression: str = ""
    coverage: bool = False
    keep: bool = False
    arguments: tuple[str, ...] = ()


def run(session: Session, wish: Wish) -> int:
    """Bring a fresh stack up, run pytest in it, take it down; return pytest's exit status.

    The stack goes down whatever happens, Ctrl-C included, unless `keep` is set.
    """
    # A container's /tmp is its own; here it is everybody's.
    cache = session.root / ".gangway" / "native" / "pytest-cache"
    options = ["-o", f"cache_dir={cache}"] if session.native else []
    options += ["-o", f"testpaths={' '.join(folders(session))}"]
    if "api" not in session.environment.apps:
        # The fixtures that the apps share are the api's: its tables, its cache.
        options += ["--confcutdir", session.environment.apps[0]]
    words = command(wish, *options)
    pytest = ["run", "--rm", "--no-deps", *operations.no_terminal(), RUNNER, *words]
    if session.dry_run:
        session.announce(session.command("up", "--detach", *needed(session)))
        return session.run(*pytest)
    with session.changing("run"):
        # Another checkout may be testing at the same time: nobody needs to know these ports.
        session = preflight.prepare(session, (RUNNER,), auto_ports=True)
        builds.refresh(session, list(session.model.services))
        services = needed(session)
        first = [name for name, condition in services.items() if condition != "service_started"]
        with (
            taken_down(session, keep=wish.keep),
            up.beside(session, up.Wish(tuple(services)), first),
        ):
            session.announce(session.command("--progress", "quiet", *pytest))
            return session.call("--progress", "quiet", *pytest)


def folders(session: Session) -> list[str]:
    """Return where the tests of the stack's apps are, as seen from `apps/`."""
    found = (f"{app}/tests" for app in session.environment.apps)
    return [folder for folder in found if (session.root / _PREFIX / folder).is_dir()]


def needed(session: Session) -> dict[str, str]:
    """Return the services that the tests need, each with Compose's condition for it.

    What only has to be started goes on starting while the first tests run: those that need it
    wait for it themselves.
    """
    services = session.model.services
    wanted = services[RUNNER].get("depends_on") or {}
    return {name: entry["condition"] for name, entry in wanted.items() if name in services}


@contextlib.contextmanager
def taken_down(session: Session, *, keep: bool) -> Iterator[None]:
    """Begin with nothing of an earlier run, and leave nothing when the block ends.

    Nothing in this stack outlives it, so it is killed rather than stopped.
    """
    at_once = ("--volumes", "--timeout", "0")
    if session.engine.containers(session.project):
        say("removing what an earlier run left")
        operations.take_down(session, *at_once)
    try:
        yield
    finally:
        if keep:
            say(f"kept: invoke {session.name}.down --volumes removes it")
        else:
            # A second Ctrl-C while it goes down must not leave half of it.
            with uninterrupted():
                operations.take_down(session, *at_once)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C in the block, in this process and those it starts."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def command(wish: Wish, *options: str) -> list[str]:
    """Return pytest's command line inside the runner, where `apps/` is the working directory."""
    words = ["python", "-m", "pytest", *options]
    words += [path.removeprefix("./").removeprefix(_PREFIX) for path in wish.paths]
    if wish.expression:
        words += ["-k", wish.expression]
    if wish.coverage:
        words += ["--cov", "--cov-report=term-missing:skip-covered"]
    return [*words, *wish.arguments]
