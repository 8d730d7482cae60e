"""The plain command behind a task, as it is printed."""

from __future__ import annotations

from collections.abc import Sequence

from gangway.base.output import say
from gangway.settings.environment import Environment


def plain(environment: Environment, argv: Sequence[str]) -> str:
    """Return a command as it can be pasted, no secret of the command line in it."""
    if not environment.overrides:
        return environment.plain(argv)
    from gangway.settings import contract

    return environment.plain(argv, is_secret=contract.load(environment.root).is_secret)


def announce(environment: Environment, argv: Sequence[str], *, dry_run: bool) -> bool:
    """Print the plain command; return whether to run it.

    A dry run prints nothing else, and so on standard output.
    """
    shown = plain(environment, argv)
    if dry_run:
        print(shown)
    else:
        say(f"$ {shown}")
    return not dry_run
