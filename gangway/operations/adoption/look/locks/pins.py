"""Requirements files: what they ask for, what they include, and what is not locked in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from gangway.operations.adoption.look.tree import Tree, join, parent

_INCLUDE = re.compile(r"(?:-r|--requirement)[ =]?\s*(\S+)")
_ELSEWHERE = re.compile(
    r"(?:^|@\s*)(git\+|hg\+|svn\+|bzr\+|https?://|file:)|^(?:-e|--editable)\b|^\.{0,2}/"
)


@dataclass(frozen=True)
class Pin:
    """One line of a requirements file."""

    name: str
    """The package's normal name; empty where it can't be told."""
    text: str
    where: str
    version: str = ""
    """The version, where there is exactly one."""
    hashed: bool = False
    elsewhere: bool = False
    """Whether it comes from a repository, a path or an address, and not from an index."""
    extras: frozenset[str] = frozenset()


def pins(tree: Tree, path: str, seen: frozenset[str] = frozenset()) -> Iterator[Pin]:
    """Yield what a requirements file asks for, the files that it includes first in their place."""
    if path in seen:
        return
    for line, text in _lines(tree.text(path)):
        if match := _INCLUDE.match(text):
            yield from pins(tree, join(parent(path), match[1]), seen | {path})
        elif _ELSEWHERE.search(text):
            name = re.search(r"#egg=([\w.-]+)", text) or re.match(r"([\w.-]+)(?:\[.*\])?\s*@", text)
            known = canonicalize_name(name[1]) if name else ""
            yield Pin(known, text, f"{path}:{line}", elsewhere=True)
        elif not text.startswith("-") and (found := _pin(text, f"{path}:{line}")):
            yield found


def _pin(text: str, where: str) -> Pin | None:
    plain = re.split(r"\s+--hash|\s+--\w", text, maxsplit=1)[0].strip()
    try:
        asked = Requirement(plain)
    except InvalidRequirement:
        return None
    exact = [each.version for each in asked.specifier if each.operator in ("==", "===")]
    version = exact[0] if len(exact) == 1 and "*" not in exact[0] else ""
    return Pin(
        canonicalize_name(asked.name),
        plain,
        where,
        version,
        "--hash" in text,
        extras=frozenset(asked.extras),
    )


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a requirements file, continued ones joined, comments gone."""
    whole, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        part = re.sub(r"(^|\s)#.*", "", line).strip()
        if part.endswith("\\"):
            whole += part[:-1] + " "
            continue
        whole = (whole + part).strip()
        if whole:
            yield first, whole
        whole, first = "", 0
    if whole.strip():
        yield first, whole.strip()
