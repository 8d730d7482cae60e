"""The files of a build's context: what is there, but for what .dockerignore keeps out."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

# What tools keep beside the sources, and change by themselves.
_NEVER: Final = frozenset({".git", ".gangway", "__pycache__"})


class Ignored:
    """What the lines of a .dockerignore keep out, of paths as seen from the context."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Read the lines: the last one that matches a path, or a folder above it, counts."""
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
        self._let_in: list[list[str]] = []
        for line in lines:
            pattern = line.strip()
            if not pattern or pattern.startswith("#"):
                continue
            inverted = pattern.startswith("!")
            pattern = os.path.normpath(pattern.removeprefix("!").strip()).strip("/")
            self._rules.append((inverted, re.compile(_expression(pattern))))
            if inverted:
                self._let_in.append(pattern.split("/"))

    def __call__(self, path: str) -> bool:
        """Say whether a path is kept out."""
        found = (inverted for inverted, rule in reversed(self._rules) if rule.fullmatch(path))
        return not next(found, True)

    def wholly(self, folder: str) -> bool:
        """Say whether a folder is kept out with all that is below it."""
        return self(folder) and not any(_may_be_below(folder, each) for each in self._let_in)


def ignored(context: Path, dockerfile: Path) -> Ignored:
    """Return what is kept out of a context for a Dockerfile, which may have a list of its own."""
    for path in (
        dockerfile.with_name(f"{dockerfile.name}.dockerignore"),
        context / ".dockerignore",
    ):
        try:
            return Ignored(path.read_text(encoding="utf-8", errors="replace").splitlines())
        except OSError:
            continue
    return Ignored(())


def files(
    context: Path, taken: Iterable[str], rules: Ignored, hidden: Collection[str] = ()
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield each file that the paths `taken` mean, seen from the context, and its state.

    Of those that `rules` keep out, only whole folders are left out here: most files need no second
    look. What is below the absolute paths `hidden` is left out, too.
    """
    top = str(context)
    for pattern in taken:
        for start in sorted(context.glob(pattern)) if pattern != "." else (context,):
            yield from _below(top, str(start)[len(top) :].strip("/"), rules, frozenset(hidden))


def _below(
    top: str, start: str, rules: Ignored, hidden: frozenset[str]
) -> Iterator[tuple[str, os.stat_result]]:
    first = Path(top, start)
    if any(first.is_relative_to(each) for each in hidden):
        return
    if not first.is_dir():
        yield start, first.lstat()
        return
    todo = [start]
    while todo:
        folder = todo.pop()
        prefix = f"{folder}/" if folder else ""
        with os.scandir(f"{top}/{folder}") as entries:
            for entry in entries:
                path = prefix + entry.name
                if entry.name in _NEVER or (hidden and f"{top}/{path}" in hidden):
                    continue
                if not entry.is_dir(follow_symlinks=False):
                    yield path, entry.stat(follow_symlinks=False)
                elif not rules.wholly(path):
                    todo.append(path)


def _expression(pattern: str) -> str:
    """Return the regular expression of a .dockerignore's pattern, with all that is below it."""
    parts = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    found = re.split(r"(\*\*/|/\*\*|\*\*|\*|\?|\[[^]]*\]|\\.)", pattern)
    text = "".join(
        parts.get(part) or (part if part[:1] in ("[", "\\") else re.escape(part)) for part in found
    )
    return f"{text}(?:/.*)?"


def _may_be_below(folder: str, pattern: list[str]) -> bool:
    for name, part in zip(folder.split("/"), pattern, strict=False):
        if "**" in part:
            return True
        if not fnmatchcase(name, part):
            return False
    return True
