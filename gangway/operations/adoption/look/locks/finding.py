"""What an app's libraries are locked by: requirements files, uv, Poetry, Pipenv, or nothing yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from packaging.utils import canonicalize_name

from gangway.base.errors import GangwayError
from gangway.operations.adoption.look.locks import pipenv, poetry, pyproject, requirements, uv
from gangway.operations.adoption.look.locks.lock import Lock
from gangway.operations.adoption.look.tree import Tree, ancestors, join


def find(tree: Tree, project: str, installed: Iterable[str]) -> Lock:
    """Return the lock of the app in a folder; `installed` are files that a Dockerfile installs.

    Raises GangwayError for a lock that doesn't match its project, and where nothing says which
    libraries the app needs.
    """
    top = _top(tree, project)
    for folder in dict.fromkeys((project, top)):
        if tree.has(join(folder, "uv.lock")):
            return uv.read(tree, folder, project)
    if tree.has(path := join(project, "poetry.lock")):
        return poetry.read(tree, path)
    if tree.has(path := join(project, "Pipfile.lock")):
        return pipenv.read(tree, path)
    path = requirements.file_of(tree, project, list(installed))
    if path and (lock := requirements.read(tree, path, project)):
        return lock
    table = pyproject.table_of(tree, project)
    if table.get("project"):
        return _to_be_made(tree, table, project, top)
    raise _nothing(tree, table, project)


def _top(tree: Tree, project: str) -> str:
    """Return the folder of the workspace that a project is a member of, or its own."""
    above = (each for each in ancestors(project) if pyproject.is_member(tree, each, project))
    return next(above, project)


def _to_be_made(tree: Tree, table: Mapping[str, Any], project: str, top: str) -> Lock:
    """Return the lock that `uv lock` is going to make."""
    lock = Lock("uv", join(top, "uv.lock"), missing=True)
    lock.package = pyproject.name_of(table) if top != project else ""
    lock.beside = tuple(pyproject.siblings(tree, table, project, top))
    lock.groups, lock.testers = pyproject.groups(table)
    lock.pythons += pyproject.requires(tree, table, project)
    for each in pyproject.asked(table["project"].get("dependencies", ())):
        lock.extras[canonicalize_name(each.name)] = frozenset(each.extras)
    groups = (pyproject.names(pyproject.whole_group(table, group)) for group in lock.groups)
    lock.versions = dict.fromkeys(set(lock.extras).union(*groups), "")
    return lock


def _nothing(tree: Tree, table: Mapping[str, Any], project: str) -> GangwayError:
    """Return the error for an app without a lock, and what makes one."""
    there = f" (in {project})" if project else ""
    if table.get("tool", {}).get("poetry", {}).get("dependencies"):
        path = join(project, "pyproject.toml")
        return GangwayError(
            "there is no poetry.lock beside it", where=path, fix=f"run: poetry lock{there}"
        )
    if tree.has(path := join(project, "Pipfile")):
        return GangwayError(
            "there is no Pipfile.lock beside it", where=path, fix=f"run: pipenv lock{there}"
        )
    for name in ("setup.py", "setup.cfg", "requirements.in"):
        if tree.has(path := join(project, name)):
            command = f"uv pip compile {name} --generate-hashes -o requirements.txt"
            return GangwayError(
                "nothing locks what it asks for", where=path, fix=f"run: {command}{there}"
            )
    return GangwayError(
        "nothing says which libraries the app needs",
        where=project or ".",
        fix="add a requirements.txt, or a pyproject.toml with [project] dependencies",
    )
