"""The lock of Pipenv."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from typing import Any

from packaging.utils import canonicalize_name

from gangway.base.errors import GangwayError
from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.locks.lock import GIT_DO, TESTERS, Lock, stale
from gangway.operations.adoption.look.tree import Tree, join, parent


def read(tree: Tree, path: str) -> Lock:
    """Return a Pipfile.lock.

    Raises GangwayError where it can't be read, or was made before the Pipfile was changed.
    """
    folder, lock = parent(path), Lock("pipenv", path)
    pipfile = join(folder, "Pipfile")
    try:
        content = json.loads(tree.text(path))
        asked = tomllib.loads(tree.text(pipfile))
    except ValueError as error:
        raise GangwayError(f"cannot read it: {error}", where=path, fix="run: pipenv lock") from None
    noted = content.get("_meta", {}).get("hash", {}).get("sha256")
    if asked.get("source") and noted != pipfile_hash(asked):
        raise stale(path, f"{pipfile} was changed since", "pipenv lock", folder)
    for part in ("default", "develop"):
        for name, entry in content.get(part, {}).items():
            _add(tree, lock, name, entry)
    lock.groups = ("develop",) if content.get("develop") else ()
    lock.testers = lock.has(*TESTERS)
    requires = asked.get("requires", {})
    if version := requires.get("python_full_version", requires.get("python_version")):
        every = ".*" if version.count(".") == 1 else ""
        lock.pythons.append((f"=={version}{every}", tree.line(pipfile, "python_")))
    return lock


def _add(tree: Tree, lock: Lock, name: str, entry: Mapping[str, Any]) -> None:
    normal = canonicalize_name(name)
    lock.versions[normal] = entry.get("version", "").removeprefix("==")
    lock.extras[normal] = frozenset(entry.get("extras", ()))
    source = str(entry.get("git") or entry.get("path") or entry.get("file") or "")
    inside = join(parent(lock.path), source)
    if not source or source in (".", "./"):
        return
    if inside in tree.folders:
        lock.beside += (inside,)
    else:
        where = tree.line(lock.path, f'"{name}"')
        lock.losses.append(Loss(f"{normal} comes from {source}", where, GIT_DO))
        lock.elsewhere += (normal,)


def pipfile_hash(pipfile: Mapping[str, Any]) -> str:
    """Return the hash that Pipenv notes of a Pipfile in its lock."""
    known = ("source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv")
    content: dict[str, Any] = {
        "_meta": {"sources": pipfile["source"], "requires": pipfile.get("requires", {})},
        "default": pipfile.get("packages", {}),
        "develop": pipfile.get("dev-packages", {}),
    }
    content.update((name, part) for name, part in pipfile.items() if name not in known)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
