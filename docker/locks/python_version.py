"""Whether a Python is one that a project is for."""

from __future__ import annotations

import re

_CLAUSE = re.compile(r"(\^|~=|~|===|==|!=|<=|>=|<|>|=)?\s*v?(\d[\w.*+!-]*|\*)")


def satisfies(version: tuple[int, ...], wanted: str) -> bool:
    """Say whether a version is in a range as PEP 440 or Poetry writes it (`>=3.11,<4`, `^3.11`)."""
    return any(
        all(_holds(version, *clause) for clause in _CLAUSE.findall(choice))
        for choice in wanted.split("||")
    )


def _holds(version: tuple[int, ...], operator: str, text: str) -> bool:
    numbers = tuple(int(part) for part in re.findall(r"\d+", re.split(r"[a-z*]", text)[0]))
    # As far as it is written out: whoever says 3.12 means every 3.12.
    same = version[: len(numbers)]
    held = {
        ">=": version >= numbers,
        ">": version > numbers,
        "<": version < numbers,
        "<=": same <= numbers,
        # `!=3.13` leaves out 3.13.0 alone.
        "!=": same != numbers if "*" in text else version != (*numbers, 0, 0)[:3],
        "^": version >= numbers and version[:1] == numbers[:1],
        "~": version >= numbers and version[:2] == numbers[:2],
        "~=": version >= numbers and version[: len(numbers) - 1] == numbers[:-1],
    }
    return held.get(operator, same == numbers)
