"""`python -m backup WORD …`: the words are COMMANDS."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from backup import commands, past, settings
from backup.errors import Failed, Refused
from backup.settings import Settings

Words = Sequence[str]
Command = Callable[[Settings, Words], int]

COMMANDS: dict[str, Command] = {
    "make": commands.make,
    "list": commands.listing,
    "healthy": commands.healthy,
    "prove": commands.again,
    "check": commands.check,
    "prepare": commands.prepare,
    "put": commands.put,
    "swap": commands.swapped,
    "back": commands.back,
    "kept": commands.kept,
    "forget": commands.forget,
    "serve": commands.serve,
    "log": past.log,
    "log-healthy": past.log_healthy,
    "log-end": past.log_end,
    "log-away": past.log_away,
    "log-fetch": past.log_fetch,
    "base": past.base,
    "base-away": past.base_away,
    "moments": past.shown,
    "moment": past.moment,
    "look": past.look,
    "recover": past.recovered,
}
"""What there is to be called, by its word."""


def main(words: Words) -> int:
    """Do what the first word says and return the exit status: 1 it went wrong, 2 it was refused."""
    # A container that is told to end takes down what it put up.
    signal.signal(signal.SIGTERM, _end)
    name = words[0] if words else ""
    try:
        return _command(name)(settings.load(os.environ), words[1:])
    except Refused as error:
        fix = f" ({error.fix})" if error.fix else ""
        print(f"backup: {error.message}{fix}", file=sys.stderr)
        return error.status
    except OSError as error:
        print(f"backup: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return Failed.status
    except KeyboardInterrupt:
        return 130


def _command(name: str) -> Command:
    if name not in COMMANDS:
        raise Refused(f"there is no {name or 'word'}", fix=f"one of: {', '.join(COMMANDS)}")
    return COMMANDS[name]


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
