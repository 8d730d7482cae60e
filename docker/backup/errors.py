"""How things end that don't end well."""

from __future__ import annotations


class Refused(Exception):
    """What can't be asked for, before anything was changed: exit status 2.

    `message` says what and where, `fix` how to go on.
    """

    status = 2

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class Failed(Refused):
    """What went wrong on the way: exit status 1."""

    status = 1
