"""Text for people: plain lines, with colour only where somebody looks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

from gangway.base.errors import GangwayError

_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_STATES: Final = {
    "waiting": "dim",
    "created": "dim",
    "started": "cyan",
    "healthy": "green",
    "done": "green",
    "unhealthy": "yellow",
    "failed": "red",
}

MASK: Final = "********"


def wants_colour(stream: TextIO, environ: Mapping[str, str] | None = None) -> bool:
    """Say whether `stream` is a terminal that shows colour and nobody asked for none."""
    variables = os.environ if environ is None else environ
    if variables.get("NO_COLOR") or variables.get("TERM") == "dumb":
        return False
    return stream.isatty()


def state_colours(stream: TextIO) -> dict[str, str] | None:
    """Return the escape sequence for each state of a service; None where there is no colour."""
    if not wants_colour(stream):
        return None
    return {state: f"\x1b[{_CODES[colour]}m" for state, colour in _STATES.items()}


def mask(value: str) -> str:
    """Return what stands for a secret: the same for every value, nothing for an empty one."""
    return MASK if value else ""


def table(rows: Sequence[Sequence[str]], headers: Sequence[str] = ()) -> str:
    """Return the rows in aligned columns, two spaces apart; no trailing spaces or newline.

    A line break or other control character is shown as its escape, so that a row stays a line.
    """
    lines = [[printable(cell) for cell in row] for row in ([headers] if headers else [])]
    lines += [[printable(cell) for cell in row] for row in rows]
    if not lines:
        return ""
    count = max(len(line) for line in lines)
    widths = [max(len(line[i]) for line in lines if i < len(line)) for i in range(count)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip()
        for line in lines
    )


def printable(text: str) -> str:
    """Return `text` as one line: a control character becomes its escape."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


def nobody_reads() -> None:
    """Have Python itself no longer write to standard output, whose reader has gone (`| head`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str = "") -> None:
    """Write a line for people: standard error, so that standard output stays the command's."""
    print(text, file=sys.stderr, flush=True)


def confirm(what: str, *, yes: bool) -> None:
    """Ask before something is destroyed; `what` names it.

    Raises GangwayError where the answer is no, or nobody can answer and `yes` wasn't given.
    """
    if yes:
        return
    if not sys.stdin.isatty() or os.environ.get("CI") is not None:
        raise GangwayError(f"{what}: not confirmed", fix="add --yes, there is nobody to ask here")
    answer = input(f"{what}. Go on? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise GangwayError("nothing was changed")
