"""The lock of Poetry 2.

Poetry 2 writes beside each package in poetry.lock the groups and the conditions that it is for,
so that nothing has to be resolved again, and neither Poetry nor its export plugin is needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from locks.common import Line, Mistake, Wish, normal, read, unknown, without_hash

_MAIN = "main"
# What Poetry hashes of pyproject.toml (`content-hash`).
_PROJECT_KEYS = ("requires-python", "dependencies", "optional-dependencies")
_POETRY_KEYS = ("dependencies", "source", "extras", "dev-dependencies", "group")


@dataclass(frozen=True)
class PoetryLock:
    """See `Lock`."""

    path: Path
    wish: Wish
    whole: bool = True

    def files(self) -> Iterator[Path]:
        yield self.path
        if self._project.is_file():
            yield self._project

    def requires(self) -> Iterator[tuple[str, Path]]:
        tables = self._tables
        own = tables.get("tool", {}).get("poetry", {}).get("dependencies", {}).get("python")
        wanted = tables.get("project", {}).get("requires-python") or own
        noted = self._lock["metadata"].get("python-versions", "*")
        yield (wanted, self._project) if wanted else (noted, self.path)

    def lines(self) -> Iterator[Line]:
        if self._tables and not is_fresh(self._lock, self._tables):
            print(
                f"install-dependencies: warning: {self._project} was changed after the lock was"
                " made: poetry lock",
                file=sys.stderr,
            )
        groups, extras = self._chosen()
        for package in self._lock.get("package", ()):
            of = [group for group in package["groups"] if group in groups]
            source = package.get("source", {})
            kind = source.get("type", "legacy")
            # What lies in the checkout is found by its path.
            if not of or kind == "directory":
                continue
            condition = _condition(package.get("markers", ""), of, extras)
            yield Line(self._requirement(package, source, kind, condition), self.path)

    def local(self) -> Iterator[tuple[str, Path]]:
        groups, _ = self._chosen()
        for package in self._lock.get("package", ()):
            source = package.get("source", {})
            if source.get("type") == "directory" and groups.intersection(package["groups"]):
                folder = os.path.normpath(self.path.parent / source["url"])
                yield package["name"], Path(folder)

    def projects(self) -> Iterator[Path]:
        if self._project.is_file():
            yield self._project

    def _requirement(
        self, package: dict[str, Any], source: dict[str, str], kind: str, condition: str
    ) -> str:
        name, version = package["name"], package["version"]
        # Hashes of another index's files are checked like those of the usual one.
        if kind == "legacy":
            hashes = sorted({file["hash"] for file in package.get("files", ())})
            if not hashes:
                raise Mistake(
                    f"{self.path}: {name} {version} has no hashes in it;"
                    " run: poetry lock --regenerate"
                )
            return " ".join(
                [f"{name}=={version}{condition}", *(f"--hash={each}" for each in hashes)]
            )
        if normal(name) not in self.wish.from_source or kind == "file":
            raise without_hash(name, kind, self.path)
        at = f"@{source['resolved_reference']}" if kind == "git" else ""
        return f"{name} @ {'git+' if kind == 'git' else ''}{source['url']}{at}{condition}"

    def _chosen(self) -> tuple[set[str], set[str]]:
        """Return the groups and the extras that are wanted; raises Mistake for one unknown."""
        poetry, project = self._tables.get("tool", {}).get("poetry", {}), self._tables
        extras = {
            *self._lock.get("extras", {}),
            *poetry.get("extras", {}),
            *project.get("project", {}).get("optional-dependencies", {}),
        }
        groups = {*poetry.get("group", {}), *project.get("dependency-groups", {})}
        groups |= {"dev"} if "dev-dependencies" in poetry else set()
        for package in self._lock.get("package", ()):
            groups.update(package["groups"])
        wanted: dict[str, set[str]] = {"groups": {_MAIN}, "extras": set()}
        known = {"groups": groups - {_MAIN}, "extras": extras}
        for name, variable in self.wish.named():
            kinds = ("groups", "extras") if variable == "API_GROUPS" else ("extras", "groups")
            for kind in kinds:
                found = [each for each in known[kind] if normal(each) == normal(name)]
                if found:
                    wanted[kind].update(found)
                    break
            else:
                raise unknown(name, variable, (*known["groups"], *extras), self._project)
        return wanted["groups"], {normal(name) for name in wanted["extras"]}

    @cached_property
    def _lock(self) -> dict[str, Any]:
        """Refuse the lock of a Poetry that did not write the groups down."""
        lock = read(self.path)
        version = str(lock.get("metadata", {}).get("lock-version", "none"))
        major, _, minor = version.partition(".")
        if not (major == "2" and minor.isdecimal() and int(minor) >= 1):
            raise Mistake(
                f"{self.path}: its format is {version}, and 2.1 or a later 2.x is needed;"
                " run Poetry 2: poetry lock"
            )
        return lock

    @property
    def _project(self) -> Path:
        return self.path.with_name("pyproject.toml")

    @cached_property
    def _tables(self) -> dict[str, Any]:
        return read(self._project) if self._project.exists() else {}


def _condition(markers: str | dict[str, str], of: Sequence[str], extras: set[str]) -> str:
    # One for all groups, or one for each that has any: what one of them wants, is wanted.
    texts = [markers] if isinstance(markers, str) else [markers.get(group, "") for group in of]
    if "" in texts:
        return ""

    # Whoever installs evaluates it, and knows no extras there: what is wanted always holds.
    def known(extra: re.Match[str]) -> str:
        return 'python_version >= "3"' if normal(extra[1]) in extras else extra[0]

    texts = [re.sub(r'extra == "([^"]*)"', known, text) for text in texts]
    return (
        f" ; {texts[0]}" if len(texts) == 1 else f" ; {' or '.join(f'({each})' for each in texts)}"
    )


def is_fresh(lock: dict[str, Any], project: dict[str, Any]) -> bool:
    """Say whether the lock was made from this pyproject.toml, as Poetry 2 tells it."""
    noted = lock["metadata"].get("content-hash")
    # Before 2.3, the groups of PEP 735 weren't part of it.
    return any(noted == _content_hash(project, groups=groups) for groups in (True, False))


def _content_hash(project: dict[str, Any], *, groups: bool) -> str:
    standard = project.get("project", {})
    content = {"project": {key: standard[key] for key in _PROJECT_KEYS if key in standard}}
    content["dependency-groups"] = project.get("dependency-groups", {}) if groups else {}
    content = {name: table for name, table in content.items() if table}
    own = project.get("tool", {}).get("poetry", {})
    if content:
        content["tool"] = {"poetry": {key: own[key] for key in _POETRY_KEYS if key in own}}
    else:
        content = {key: own.get(key) for key in _POETRY_KEYS if key in own or key != "group"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
