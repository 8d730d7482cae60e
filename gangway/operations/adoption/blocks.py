"""Entries cut out of YAML text: the order, the comments and the layout of the rest stay."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_KEY: Final = re.compile(r"""( *)(["']?)([^\s:#"'][^:"']*)\2:(\s|$)""")


def without(text: str, *path: str) -> str:
    """Return the text without the entry at that path of keys, and the comment right above it.

    The entry must be in block style (a key at the beginning of a line). Raises KeyError where
    there is none.
    """
    lines = text.splitlines(keepends=True)
    start, end = entry(lines, path)
    indent = _indent(lines[start])
    while start and _is_comment(lines[start - 1]) and _indent(lines[start - 1]) == indent:
        start -= 1
    # One blank line between what is left, and none at the end.
    blank_below = end == len(lines) or not lines[end].strip()
    if start and not lines[start - 1].strip() and blank_below:
        start -= 1
    return "".join(lines[:start] + lines[end:])


def entry(lines: Sequence[str], path: Sequence[str]) -> tuple[int, int]:
    """Return the first line of an entry, and the one after its last, both counted from 0."""
    low, high = 0, len(lines)
    found = low, high
    for key in path:
        start = _find(lines, low, high, key)
        if start is None:
            raise KeyError(".".join(path))
        found = start, _end(lines, start, high)
        low, high = start + 1, found[1]
    return found


def _find(lines: Sequence[str], low: int, high: int, key: str) -> int | None:
    indents = [_indent(lines[number]) for number in range(low, high) if _has_text(lines[number])]
    for number in range(low, high):
        match = _KEY.match(lines[number])
        if match and match[3] == key and len(match[1]) == indents[0]:
            return number
    return None


def _end(lines: Sequence[str], start: int, high: int) -> int:
    indent = _indent(lines[start])
    end = start + 1
    for number in range(start + 1, high):
        if not _has_text(lines[number]):
            continue
        if _indent(lines[number]) <= indent:
            break
        end = number + 1
    return end


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _has_text(line: str) -> bool:
    return bool(line.strip()) and not _is_comment(line)
