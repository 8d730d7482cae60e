"""Which state of the sources is here, as git has it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from gangway.base.errors import GangwayError
from gangway.base.process import Runner

_LOGIN = re.compile(r"^(?:ssh|https?|git)://(?:[^@/]*@)?([^/]+/.+?)(?:\.git)?/?$")
_SCP = re.compile(r"^(?:[\w.-]+@)?([\w.-]+):(?!/)(.+?)(?:\.git)?/?$")


class Revision(NamedTuple):
    """A commit's number, and where the repository is.

    `changed` are the files, seen from the checkout, that differ from it. All is empty where there
    is no git, or no commit.
    """

    number: str = ""
    changed: frozenset[str] = frozenset()
    source: str = ""

    @property
    def dirty(self) -> bool:
        """Whether the sources are others than the commit's."""
        return bool(self.changed)


class Commit(NamedTuple):
    """A commit's number, and its time in seconds since the epoch."""

    number: str
    time: int


def revision(runner: Runner) -> Revision:
    """Return the revision of the checkout in which `runner` runs."""
    try:
        head = runner.capture(["git", "rev-parse", "--verify", "--quiet", "HEAD"])
        if head.status != 0:
            return Revision()
        top = runner.capture(["git", "rev-parse", "--show-prefix"]).stdout.rstrip("\n")
        words = ["--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", "."]
        said = runner.capture(["git", "status", *words]).stdout
        origin = runner.capture(["git", "remote", "get-url", "origin"])
    except GangwayError:
        return Revision()  # no git
    changed = (entry[3:].removeprefix(top) for entry in said.split("\0") if entry)
    return Revision(head.stdout.strip(), frozenset(changed), public(origin.stdout.strip()))


def last_commit(runner: Runner, files: Iterable[str]) -> Commit | None:
    """Return the last commit that changed one of these files; None where no commit has one."""
    argv = ["git", "--literal-pathspecs", "log", "-1", "--format=%H %ct", "--stdin"]
    said = runner.capture(argv, text="\n".join(["HEAD", "--", *files, ""])).stdout.split()
    return Commit(said[0], int(said[1])) if len(said) == 2 else None


def public(url: str) -> str:
    """Return a repository's address as a browser has it, without a user; empty for a folder."""
    if found := _LOGIN.match(url):
        return f"https://{found[1]}"
    if found := _SCP.match(url):
        return f"https://{found[1]}/{found[2]}"
    return ""
