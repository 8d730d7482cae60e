"""Which Python an app is for: what satisfies all that its files say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from gangway.base.errors import GangwayError
from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.tree import Tree, ancestors, join

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
"""The versions that there are images for."""
DEFAULT = "3.13"


@dataclass(frozen=True)
class Python:
    """The version that is taken, and why."""

    version: str
    where: str = ""
    """The place that asks for just this one; empty where it is the default."""
    losses: tuple[Loss, ...] = ()


def pinned(tree: Tree, folder: str) -> list[tuple[str, str]]:
    """Return the versions that files of a folder or above name, the most telling first."""
    found = []
    for each in ancestors(folder):
        for name in (".python-version", "runtime.txt"):
            path = join(each, name)
            match = re.search(r"(?:^|[-\s])(\d+\.\d+)(?:\.\d+)?", tree.text(path))
            if match:
                found.append((match[1], tree.line(path, match[1])))
    return found


def choose(pins: Iterable[tuple[str, str]], asked: Iterable[tuple[str, str]]) -> Python:
    """Choose a version: the first of the pins that the specifiers allow, else the default.

    `pins` are versions, `asked` specifiers, each with its place. Raises GangwayError where an app
    is for Python 2, or where no version that there is an image for will do.
    """
    specifiers = [(_specifier(text), text, where) for text, where in asked]
    versions = list(pins)
    _refuse_python_2(versions, specifiers)
    allowed = [
        version for version in VERSIONS if all(_allows(each, version) for each, _, _ in specifiers)
    ]
    if not allowed:
        every = ", ".join(f"{text} ({where})" for _, text, where in specifiers)
        raise GangwayError(
            f"there is no image for the Python that is asked for: {every}",
            where=specifiers[0][2],
            fix=f"there are images for {VERSIONS[0]} to {VERSIONS[-1]}: allow one of them",
        )
    losses: list[Loss] = []
    for version, where in versions:
        short = ".".join(version.split(".")[:2])
        if short in allowed:
            return Python(short, where, tuple(losses))
        if short in VERSIONS:
            other = next(place for each, _, place in specifiers if not _allows(each, short))
            do = f"{other} doesn't allow it: make them say the same"
        else:
            do = f"images are for {VERSIONS[0]} to {VERSIONS[-1]}: run the tests on the nearest"
        losses.append(Loss(f"Python {version}", where, do))
    if losses:
        nearest = min(allowed, key=lambda each: abs(_minor(each) - _minor(versions[0][0])))
        return Python(nearest, "", tuple(losses))
    if DEFAULT in allowed:
        return Python(DEFAULT)
    best = allowed[0] if _minor(allowed[0]) > _minor(DEFAULT) else allowed[-1]
    return Python(best, next((where for _, _, where in specifiers), ""))


def _minor(version: str) -> int:
    return int(version.split(".")[1])


def _specifier(text: str) -> SpecifierSet:
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        return SpecifierSet()


def _allows(specifier: SpecifierSet, version: str) -> bool:
    # `>=3.13.2` and `==3.13.4` are satisfied by some 3.13 there is.
    return any(specifier.contains(f"{version}.{patch}") for patch in range(40))


def _refuse_python_2(
    versions: Iterable[tuple[str, str]], specifiers: Iterable[tuple[SpecifierSet, str, str]]
) -> None:
    for version, where in versions:
        if version.startswith("2"):
            raise python_2(where, f"it asks for Python {version}")
    for specifier, text, where in specifiers:
        if str(specifier) and specifier.contains("2.7") and not _any_3(specifier):
            raise python_2(where, f"it asks for Python {text}")


def _any_3(specifier: SpecifierSet) -> bool:
    return any(specifier.contains(f"3.{minor}.0") for minor in range(20))


def python_2(where: str, why: str) -> GangwayError:
    """Return the error for an app on Python 2."""
    return GangwayError(
        f"the app is for Python 2: {why}",
        where=where,
        fix=f"port it to Python {VERSIONS[0]} or later (docs.python.org/3/howto/pyporting.html)",
    )
