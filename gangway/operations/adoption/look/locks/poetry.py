"""The lock of Poetry 2."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from packaging.utils import canonicalize_name

from gangway.base.errors import GangwayError
from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.locks import pyproject
from gangway.operations.adoption.look.locks.lock import GIT_DO, TESTERS, Lock, stale
from gangway.operations.adoption.look.locks.uv import blocks_of, is_for_linux, value_of
from gangway.operations.adoption.look.tree import Tree, join, parent


def read(tree: Tree, path: str) -> Lock:
    """Return a poetry.lock.

    Raises GangwayError for the format of an older Poetry, and where it was made before the project
    was changed.
    """
    folder, text = parent(path), tree.text(path)
    lock, table = Lock("poetry", path), pyproject.table_of(tree, folder)
    _check(table, text, path)
    for block in blocks_of(text):
        name = canonicalize_name(value_of(block, "name"))
        lock.versions[name] = value_of(block, "version")
        kind = re.search(r'^\[package\.source\]\n(?:.*\n)*?type = "(\w+)"', block, re.MULTILINE)
        source = value_of(block.partition("[package.source]")[2], "url")
        if not kind or kind[1] == "legacy":
            if not any(map(is_for_linux, re.findall(r'file = "([^"]+\.whl)"', block))):
                lock.from_source += (name,)
        elif join(folder, source) in tree.folders:
            lock.beside += (join(folder, source),)
        else:
            where = tree.line(path, f'name = "{value_of(block, "name")}"')
            lock.losses.append(Loss(f"{name} comes from {source}", where, GIT_DO))
            lock.elsewhere += (name,)
    _add_wishes(table, lock)
    lock.pythons += pyproject.requires(tree, table, folder)
    return lock


def _check(table: Mapping[str, Any], text: str, path: str) -> None:
    tail = "[metadata]" + text.rpartition("\n[metadata]")[2]
    metadata = tomllib.loads(tail).get("metadata", {})
    version = str(metadata.get("lock-version", "none"))
    match = re.fullmatch(r"2\.(\d+)", version)
    if not match or int(match[1]) < 1:
        raise GangwayError(
            f"its format is {version}: Poetry 2 writes 2.1, with the groups of each package",
            where=path,
            fix="run Poetry 2: poetry lock",
        )
    hashes = {content_hash(table, groups=groups) for groups in (True, False)}
    if metadata.get("content-hash") not in hashes:
        project = join(parent(path), "pyproject.toml")
        raise stale(path, f"{project} was changed since", "poetry lock", parent(path))


def _add_wishes(table: Mapping[str, Any], lock: Lock) -> None:
    """Add what the project asks for: extras of packages, groups."""
    poetry = table.get("tool", {}).get("poetry", {})
    for name, asked in poetry.get("dependencies", {}).items():
        extras = asked.get("extras", ()) if isinstance(asked, dict) else ()
        lock.extras[canonicalize_name(name)] = frozenset(extras)
    for each in pyproject.asked(table.get("project", {}).get("dependencies", ())):
        lock.extras[canonicalize_name(each.name)] = frozenset(each.extras)
    groups = {
        name: pyproject.names(group.get("dependencies", {}))
        for name, group in poetry.get("group", {}).items()
    }
    if old := poetry.get("dev-dependencies"):
        groups["dev"] = pyproject.names(old)
    for name in table.get("dependency-groups", {}):
        more = pyproject.names(pyproject.whole_group(table, name))
        groups[name] = groups.get(name, set()) | more
    lock.groups = tuple(
        name
        for name, names in groups.items()
        if names & TESTERS or pyproject.is_for_developers(name)
    )
    every = set(lock.extras).union(*(groups[name] for name in lock.groups))
    lock.testers = bool(every & TESTERS)


# What Poetry hashes of pyproject.toml; docker/locks does the same in the image.
_PROJECT_KEYS = ("requires-python", "dependencies", "optional-dependencies")
_POETRY_KEYS = ("dependencies", "source", "extras", "dev-dependencies", "group")


def content_hash(table: Mapping[str, Any], *, groups: bool) -> str:
    """Return the `content-hash` of a pyproject.toml; `groups` counts those of PEP 735 in."""
    standard = table.get("project", {})
    content: dict[str, Any] = {
        "project": {key: standard[key] for key in _PROJECT_KEYS if key in standard},
        "dependency-groups": table.get("dependency-groups", {}) if groups else {},
    }
    content = {name: part for name, part in content.items() if part}
    own = table.get("tool", {}).get("poetry", {})
    if content:
        content["tool"] = {"poetry": {key: own[key] for key in _POETRY_KEYS if key in own}}
    else:
        content = {key: own.get(key) for key in _POETRY_KEYS if key in own or key != "group"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
