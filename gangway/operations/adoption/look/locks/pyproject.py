"""What a pyproject.toml asks for: dependencies, groups, Python, packages in the repository."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from gangway.base.errors import GangwayError
from gangway.operations.adoption.look.locks.lock import TESTERS
from gangway.operations.adoption.look.tree import Tree, join, within

_FOR_DEVELOPERS = re.compile(r"dev|develop|development|test|tests|testing|local")


def table_of(tree: Tree, folder: str) -> dict[str, Any]:
    """Return the pyproject.toml of a folder, empty where there is none.

    Raises GangwayError where it isn't TOML.
    """
    path = join(folder, "pyproject.toml")
    try:
        return tomllib.loads(tree.text(path))
    except tomllib.TOMLDecodeError as error:
        raise GangwayError(f"not TOML: {error}", where=path, fix="mend the file") from None


def name_of(table: Mapping[str, Any]) -> str:
    """Return a project's normal name; empty where it has none."""
    return canonicalize_name(str(table.get("project", {}).get("name", "")))


def is_for_developers(group: str) -> bool:
    """Say whether a group's name says that it is for development or tests."""
    return _FOR_DEVELOPERS.fullmatch(group) is not None


def workspace(tree: Tree, folder: str) -> dict[str, Any]:
    """Return what a folder's pyproject.toml says of a workspace; empty where there is none."""
    found = table_of(tree, folder).get("tool", {}).get("uv", {}).get("workspace", {})
    return found if isinstance(found, dict) else {}


def is_member(tree: Tree, folder: str, project: str) -> bool:
    """Say whether a project is a member of the workspace of a folder."""
    found = workspace(tree, folder)
    if not found or not within(folder, project):
        return False
    seen = project[len(folder) :].lstrip("/")
    matches = partial(_glob, seen)
    return any(map(matches, found.get("members", ()))) and not any(
        map(matches, found.get("exclude", ()))
    )


def _glob(path: str, pattern: str) -> bool:
    parts = [
        ".*" if part == "**" else re.escape(part).replace(r"\*", "[^/]*")
        for part in pattern.strip("/").split("/")
    ]
    return re.fullmatch("/".join(parts), path) is not None


def siblings(tree: Tree, table: Mapping[str, Any], project: str, top: str) -> Iterator[str]:
    """Yield the folders of packages in the repository that a project takes by path or workspace.

    `top` is the folder of the workspace, or the project's own.
    """
    waiting, seen = [(project, table)], {project}
    members = {
        name_of(table_of(tree, each)): each
        for each in tree.folders
        if tree.has(join(each, "pyproject.toml")) and is_member(tree, top, each)
    }
    shared = _sources(table_of(tree, top))
    while waiting:
        here, content = waiting.pop()
        wanted = names(content.get("project", {}).get("dependencies", ()))
        for name, (folder, source) in {
            **{name: (top, source) for name, source in shared.items()},
            **{name: (here, source) for name, source in _sources(content).items()},
        }.items():
            other = members.get(name, "") if source.get("workspace") else ""
            if "path" in source:
                other = join(folder, str(source["path"]))
            if name in wanted and other in tree.folders and other not in {"", *seen}:
                seen.add(other)
                yield other
                waiting.append((other, table_of(tree, other)))


def _sources(table: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = table.get("tool", {}).get("uv", {}).get("sources", {})
    return {canonicalize_name(name): each for name, each in found.items() if isinstance(each, dict)}


def names(entries: Iterable[Any]) -> set[str]:
    """Return the normal names of the packages that a list asks for."""
    return {canonicalize_name(each.name) for each in asked(entries)}


def asked(entries: Iterable[Any]) -> Iterator[Requirement]:
    """Yield the requirements of a list; what can't be read is left out."""
    for each in entries:
        if isinstance(each, str):
            try:
                yield Requirement(each)
            except InvalidRequirement:
                continue


def groups(table: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """Return the groups for development and tests, and whether pytest is among all.

    An extra with pytest is one of them where no group has it.
    """
    found = {name: names(whole_group(table, name)) for name in table.get("dependency-groups", {})}
    if old := table.get("tool", {}).get("uv", {}).get("dev-dependencies"):
        found["dev"] = found.get("dev", set()) | names(old)
    wanted = [name for name, each in found.items() if each & TESTERS or is_for_developers(name)]
    project = table.get("project", {})
    every = names(project.get("dependencies", ())).union(*(found[name] for name in wanted))
    if every & TESTERS:
        return tuple(wanted), True
    for name, entries in project.get("optional-dependencies", {}).items():
        if names(entries) & TESTERS:
            return (*wanted, name), True
    return tuple(wanted), False


def whole_group(table: Mapping[str, Any], name: str, depth: int = 0) -> Iterator[Any]:
    """Yield the entries of a dependency group, those of the groups that it includes among them."""
    for each in table.get("dependency-groups", {}).get(name, ()):
        if isinstance(each, dict) and "include-group" in each and depth < 10:
            yield from whole_group(table, each["include-group"], depth + 1)
        else:
            yield each


def requires(tree: Tree, table: Mapping[str, Any], folder: str) -> Iterator[tuple[str, str]]:
    """Yield what is said of Python's version, as specifiers, each with its place."""
    path = join(folder, "pyproject.toml")
    if wanted := table.get("project", {}).get("requires-python"):
        yield str(wanted), tree.line(path, "requires-python")
    python = table.get("tool", {}).get("poetry", {}).get("dependencies", {}).get("python")
    if isinstance(python, str):
        yield _from_poetry(python), tree.line(path, "python", python)


def _from_poetry(text: str) -> str:
    """Return Poetry's `^3.11` and `~3.11` as specifiers."""
    parts = []
    for part in re.split(r"\s*,\s*", text.strip()):
        match = re.fullmatch(r"([\^~])\s*(\d+)(?:\.(\d+))?(?:\.(\d+))?", part)
        if not match:
            parts.append(f"=={part}" if re.fullmatch(r"\d+\.\d+(\.\d+|\.\*)?", part) else part)
            continue
        sign, major, minor, patch = match[1], match[2], match[3] or "0", match[4]
        low = f"{major}.{minor}" + (f".{patch}" if patch else "")
        high = f"{int(major) + 1}" if sign == "^" else f"{major}.{int(minor) + 1}"
        parts.append(f">={low},<{high}")
    return ",".join(part for part in parts if part != "*")
