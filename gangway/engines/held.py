"""Who changes what runs somewhere, so that nobody else does at the same time."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import NamedTuple

from gangway.base import user
from gangway.base.errors import GangwayError


class Holder(NamedTuple):
    """A task at work: `who` is `user@host`, `process` a number and when that began."""

    task: str
    who: str
    process: str
    since: str


def me(task: str) -> Holder:
    """Return this process at work on a task."""
    return Holder(
        task, user.at_host(), _process(os.getpid()), time.strftime("%F %T UTC", time.gmtime())
    )


def require_gone(holder: Holder, project: str, task: str, remove: str) -> None:
    """Refuse to go on with `task` beside a holder, unless that was a process here that is gone.

    `remove` is the command that removes its mark, for one that was elsewhere.
    """
    number, _, _ = holder.process.partition(" ")
    here = holder.who.partition("@")[2] == socket.gethostname()
    if not here or (number.isdecimal() and _process(int(number)) == holder.process):
        raise GangwayError(
            f"{project} is being changed by invoke {holder.task} "
            f"({holder.who}, since {holder.since})",
            fix=f"wait until that has ended, then run invoke {task} again"
            + ("" if here else f"; if it is dead: {remove}"),
        )


def _process(number: int) -> str:
    """Return a process' number and when it started, which no other process has; else the number."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return f"{number} {fields[19]}"
