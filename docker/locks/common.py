"""What the kinds of lock files have in common."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Mistake(Exception):
    """Why a lock can't be used, for its owner."""


@dataclass(frozen=True)
class Line:
    """One requirement; `file` is where it was read, `constraint` one that installs nothing."""

    text: str
    file: Path
    number: int = 0
    constraint: bool = False

    @property
    def has_hash(self) -> bool:
        """Whether what is installed is checked."""
        return "--hash" in self.text

    @property
    def is_option(self) -> bool:
        """Whether it is about all requirements, such as an index."""
        return self.text.startswith("-")

    @property
    def where(self) -> str:
        """The place for people."""
        return f"{self.file}:{self.number}" if self.number else str(self.file)

    @property
    def name(self) -> str:
        """The package's name as indexes write it; empty for an option or an address alone."""
        found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.text)
        return normal(found[0]) if found and not re.match(r"[\w+]+://", self.text) else ""


class Lock(Protocol):
    """A lock file, with the extras and groups that are wanted of it."""

    @property
    def whole(self) -> bool:
        """Whether what the packages need is among the lines, so that nothing is to be found out."""

    def files(self) -> Iterator[Path]:
        """Yield the files that it is read from, those that are there."""

    def requires(self) -> Iterator[tuple[str, Path]]:
        """Yield the versions of Python that it is for, and where that is said."""

    def lines(self) -> Iterator[Line]:
        """Yield what to install; raises Mistake for what can't be."""

    def local(self) -> Iterator[tuple[str, Path]]:
        """Yield each package of the checkout that the app needs, besides itself, and its folder."""

    def projects(self) -> Iterator[Path]:
        """Yield the pyproject.toml of each project of the checkout that would be installed, too."""


@dataclass(frozen=True)
class Wish:
    """What is wanted of an app besides its main dependencies.

    `extras` are wanted everywhere, `groups` for development and tests; either names extras, groups
    or requirements files. What `from_source` names may come from a repository.
    """

    package: str = ""
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    from_source: frozenset[str] = frozenset()

    def named(self) -> Iterator[tuple[str, str]]:
        """Yield each name with the variable that has it, but for files."""
        for variable, names in (("API_EXTRAS", self.extras), ("API_GROUPS", self.groups)):
            for name in names:
                if not is_file(name):
                    yield name, variable

    def requirements_files(self) -> list[Path]:
        """Return the requirements files among the names."""
        return [Path(name) for name in (*self.extras, *self.groups) if is_file(name)]


def check_inside(lock: Lock, app: Path) -> None:
    """Refuse a package of the checkout that lies outside the app's folder; raises Mistake."""
    for name, folder in lock.local():
        if not folder.is_relative_to(app):
            both = Path(os.path.commonpath([Path.cwd() / app, Path.cwd() / folder]))
            source = os.path.relpath(both)
            raise Mistake(
                f"{name} comes from a path, {folder}, and an image has {app} alone:"
                f" API_SOURCE={source} in the stack's file takes both in, with"
                f" API_WORKDIR={os.path.relpath(app, both)} and"
                f" API_PYTHONPATH={os.path.relpath(folder, app)} (its folder to import from)"
            )


def is_file(name: str) -> bool:
    """Say whether a name is that of a requirements file, and not of a group."""
    return "/" in name or name.endswith((".txt", ".in"))


def normal(name: str) -> str:
    """Return a package's or group's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read(path: Path) -> dict[str, Any]:
    """Return a TOML file's content; raises Mistake."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Mistake(f"{path}: cannot read it: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Mistake(f"{path}: not TOML: {error}") from None


def unknown(name: str, variable: str, known: Iterable[str], project: Path) -> Mistake:
    """Return the mistake of a name that is neither an extra nor a group."""
    has = ", ".join(sorted(set(known))) or "none"
    return Mistake(
        f"{variable} names {name}, which is no group or extra of {project} ({has}) and no file"
    )


def without_hash(name: str, source: str, where: Path) -> Mistake:
    """Return the mistake of a package that nothing is locked by."""
    return Mistake(
        f"{where}: {name} comes from a {source} source, which has no hashes:"
        f" API_FROM_SOURCE={name} takes it all the same (git belongs in API_BUILD_PACKAGES then);"
        " or publish it to an index"
    )
