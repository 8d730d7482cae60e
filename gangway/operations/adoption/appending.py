"""Entries put into somebody's YAML and env files as text: all that is there stays as it is."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from gangway.base.errors import GangwayError
from gangway.operations.adoption import blocks
from gangway.settings import envfile


def with_entry(
    text: str, path: Sequence[str], block: str, *, file: str, apart: bool = False
) -> str:
    """Return YAML with one entry more, the last of the mapping at that path of keys.

    `block` is the entry's text, its key at the beginning of the first line; mappings of the path
    that are missing are made. `apart` has a blank line around it. Raises GangwayError, naming
    `file`, for a mapping that is written in one line where the entry takes several.
    """
    lines = text.splitlines(keepends=True)
    newline = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += newline
    depth = _depth(lines, path)
    for key in reversed(path[depth:]):
        block = f"{key}:\n{textwrap.indent(block, '  ')}"
    there = path[:depth]
    start, end = blocks.entry(lines, there) if there else (-1, _last(lines))
    if there and depth == len(path) and "\n" not in block.rstrip("\n"):
        found = re.fullmatch(r"(\s*[^:]+:\s+\{.*[^\s{])\s*\}(\s*(?:#.*)?)", lines[start], re.DOTALL)
        if found:
            lines[start] = f"{found[1]}, {block.strip()}}}{found[2]}"
            return "".join(lines)
    indent = _indent_below(lines, start, end)
    if there:
        lines[start] = _opened(lines[start], there, f"{file}:{start + 1}")
        # A comment that stands as deep as what is in the last entry is about that.
        while end < len(lines) and lines[end].startswith(f"{indent} ") and "#" in lines[end]:
            end += 1
    added = textwrap.indent(block.rstrip("\n"), indent).splitlines()
    if (apart or depth < len(path)) and end > start + 1:
        added = ["", *added]
    if end < len(lines) and lines[end].strip() and (apart or not there):
        added = [*added, ""]
    return "".join([*lines[:end], *(f"{line}{newline}" for line in added), *lines[end:]])


def with_profile(text: str, profile: str, *, file: str) -> str:
    """Return a stack's env file with one more profile in COMPOSE_PROFILES, at its end."""
    assignments = envfile.parse(text.encode(), file)
    there = next((each for each in assignments if each.name == "COMPOSE_PROFILES"), None)
    if there is None:
        newline = "" if text.endswith("\n") or not text else "\n"
        return f"{text}{newline}COMPOSE_PROFILES=${{COMPOSE_PROFILES}},{profile}\n"
    lines = text.splitlines(keepends=True)
    number = there.line - 1
    head, equals, value = lines[number].partition("=")
    more = re.sub(
        r"""^([ \t]*["']?)([^\s"']*)""",
        lambda found: found[1] + ",".join(filter(None, [found[2], profile])),
        value,
    )
    lines[number] = f"{head}{equals}{more}"
    return "".join(lines)


def with_setting(text: str, name: str, value: str, about: str) -> str:
    """Return an env file with one more variable at its end, and what it is above it."""
    newline = "\r\n" if "\r\n" in text else "\n"
    end = "" if not text or text.endswith("\n") else newline
    lines = ["", f"# {about}", f"{name}={envfile.quote(value)}", ""]
    return text + end + newline.join(lines)


def _depth(lines: Sequence[str], path: Sequence[str]) -> int:
    """Return how many keys of the path are there."""
    for depth in range(len(path)):
        try:
            blocks.entry(lines, path[: depth + 1])
        except KeyError:
            return depth
    return len(path)


def _opened(line: str, path: Sequence[str], where: str) -> str:
    """Return the line of a mapping's key with room for entries below it."""
    found = re.fullmatch(r"([^:]*:)[ \t]*(\{\s*\}|null|~|&\S+)?([ \t]+#.*)?(\r?\n)", line)
    if not found:
        raise GangwayError(
            f"{'.'.join(path)} is written in one line: nothing can be added to it as text",
            where=where,
            fix="write each of its entries in a line of its own, below the key",
        )
    key, value, comment, end = found.groups(default="")
    return f"{key}{' ' + value if value.startswith('&') else ''}{comment}{end}"


def _indent_below(lines: Sequence[str], start: int, end: int) -> str:
    """Return what the entries below a mapping's key are indented by."""
    below = (line for line in lines[start + 1 : end] if re.match(r"\s*[^#\s]", line))
    own = _indent(lines[start]) + "  " if start >= 0 else ""
    return next((_indent(line) for line in below), own)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]


def _last(lines: Sequence[str]) -> int:
    """Return the number of lines without the empty ones at the end."""
    texts = [number for number, line in enumerate(lines, start=1) if line.strip()]
    return max(texts, default=0)
