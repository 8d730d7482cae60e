"""The lock of uv: of a project, or of a workspace with several."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from locks.common import Line, Mistake, Wish, normal, read, unknown, without_hash

_PLACES = ("editable", "virtual", "directory")


@dataclass(frozen=True)
class UvLock:
    """See `Lock`."""

    path: Path
    wish: Wish
    uv: str
    whole: bool = True

    def files(self) -> Iterator[Path]:
        yield self.path
        folders = {Path(), *(Path(place) for place in self._members.values())}
        for folder in sorted(folders):
            project = self._in(folder)
            if project.is_file():
                yield project

    def requires(self) -> Iterator[tuple[str, Path]]:
        project = self._project
        wanted = read(project).get("project", {}).get("requires-python")
        yield (wanted, project) if wanted else (self._lock.get("requires-python", "*"), self.path)

    def lines(self) -> Iterator[Line]:
        self._check_fresh()
        own, top = self._names(self._project), self._names(self._in(Path()))
        words: list[str] = []
        # A group of the workspace as a whole, not of the member.
        shared: list[str] = []
        for name, variable in self.wish.named():
            plain = normal(name)
            kinds = ("groups", "extras") if variable == "API_GROUPS" else ("extras", "groups")
            kind = next((kind for kind in kinds if plain in own[kind]), "")
            if kind:
                words += ["--group" if kind == "groups" else "--extra", own[kind][plain]]
            elif plain in top["groups"]:
                shared += ["--only-group", top["groups"][plain]]
            else:
                known = (*own["groups"], *own["extras"], *top["groups"])
                raise unknown(name, variable, known, self._project)
        package = ["--package", self.wish.package] if self.wish.package else []
        for call in ([*package, "--no-default-groups", *words], shared):
            if call:
                yield from self._exported(call)

    def local(self) -> Iterator[tuple[str, Path]]:
        packages = {normal(each["name"]): each for each in self._lock.get("package", ())}
        wanted = {normal(name) for name in (*self.wish.extras, *self.wish.groups)}
        own = self._package or {}
        needs = list(own.get("dependencies", ()))
        for kind in ("optional-dependencies", "dev-dependencies"):
            for name, more in own.get(kind, {}).items():
                needs += more if normal(name) in wanted else ()
        seen: set[str] = set()
        while needs:
            name = normal(needs.pop()["name"])
            if name not in seen:
                seen.add(name)
                needs += packages.get(name, {}).get("dependencies", ())
                if name in self._members:
                    yield name, self._in(Path(self._members[name])).parent

    def projects(self) -> Iterator[Path]:
        yield from (file for file in self.files() if file != self.path)

    def _exported(self, words: Sequence[str]) -> Iterator[Line]:
        argv = [self.uv, "export", "--project", str(self.path.parent), "--frozen", "--quiet"]
        argv += ["--no-emit-local", "--no-header", "--no-annotate", "--no-python-downloads", *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Mistake(f"{self.path}: {done.stderr.strip().removeprefix('error: ')}")
        for text in re.split(r"(?<!\\)\n", done.stdout):
            line = Line(re.sub(r"\s*\\\n\s*", " ", text).strip(), self.path)
            if not line.has_hash and line.name and line.name not in self.wish.from_source:
                raise without_hash(line.name, "git" if "git+" in line.text else "url", self.path)
            if line.text:
                yield line

    def _check_fresh(self) -> None:
        """Refuse a lock that lacks a dependency: else its import would be the first to say so."""
        wanted = read(self._project).get("project", {}).get("dependencies", ())
        names = {normal(re.split(r"[^\w.-]", text.strip())[0]): text for text in wanted}
        entry = self._package or {}
        locked = entry.get("metadata", {}).get("requires-dist", ())
        known = {normal(each["name"]) for each in locked}
        lacking = [text for name, text in names.items() if name not in known]
        if entry and lacking:
            raise Mistake(
                f"{self.path} is older than {self._project}, which asks for {', '.join(lacking)}:"
                " uv lock"
            )

    @cached_property
    def _lock(self) -> dict[str, Any]:
        return read(self.path)

    @cached_property
    def _members(self) -> dict[str, str]:
        """What lies in the checkout, each with its folder as the lock sees it."""
        found = {}
        for package in self._lock.get("package", ()):
            for kind in _PLACES:
                if kind in package["source"]:
                    found[normal(package["name"])] = package["source"][kind]
        return found

    @property
    def _package(self) -> dict[str, Any] | None:
        """What the lock says of the project that is meant."""
        project = read(self._project).get("project", {})
        name = normal(self.wish.package or project.get("name", ""))
        packages = self._lock.get("package", ())
        return next((each for each in packages if normal(each["name"]) == name), None)

    @property
    def _project(self) -> Path:
        """The project that is meant, by its file."""
        if not self.wish.package:
            return self._in(Path())
        name = normal(self.wish.package)
        if name not in self._members:
            known = ", ".join(sorted(self._members)) or "none"
            raise Mistake(
                f"API_PACKAGE names {self.wish.package}, no member of {self.path} ({known})"
            )
        return self._in(Path(self._members[name]))

    def _in(self, folder: Path) -> Path:
        return Path(os.path.normpath(self.path.parent / folder / "pyproject.toml"))

    def _names(self, project: Path) -> dict[str, dict[str, str]]:
        tables = read(project)
        extras = tables.get("project", {}).get("optional-dependencies", {})
        old = {"dev"} if "dev-dependencies" in tables.get("tool", {}).get("uv", {}) else set()
        groups = {*tables.get("dependency-groups", {}), *old}
        return {
            "extras": {normal(name): name for name in extras},
            "groups": {normal(name): name for name in groups},
        }
