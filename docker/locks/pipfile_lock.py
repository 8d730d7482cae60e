"""The lock of Pipenv: a section for each category of packages."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from locks.common import Line, Mistake, Wish, normal, read, unknown, without_hash

_DEFAULT, _DEVELOP = "default", "develop"
# As the Pipfile, and Pipenv's own options, call the development section.
_DEVELOPMENT = {"dev", "dev-packages", "develop", "development"}

_NO_CATEGORY = {"source", "requires", "scripts", "pipfile", "pipenv"}


@dataclass(frozen=True)
class PipfileLock:
    """See `Lock`."""

    path: Path
    wish: Wish
    whole: bool = True

    def files(self) -> Iterator[Path]:
        yield self.path
        if self._pipfile.is_file():
            yield self._pipfile
        yield from self.projects()

    def requires(self) -> Iterator[tuple[str, Path]]:
        wanted = self._lock["_meta"].get("requires", {})
        if version := wanted.get("python_full_version") or wanted.get("python_version"):
            # It is the one that was locked for, and what Pipenv itself only warns of.
            yield f">={version}", self.path

    def lines(self) -> Iterator[Line]:
        if not self._is_fresh():
            print(
                f"install-dependencies: warning: {self._pipfile} was changed after the lock was"
                " made: pipenv lock",
                file=sys.stderr,
            )
        wanted: dict[str, dict[str, Any]] = {}
        for section in self._sections():
            wanted |= self._lock[section]
        for name, entry in sorted(wanted.items()):
            # What lies in the checkout is found by its path.
            if not {"path", "file"}.isdisjoint(entry):
                continue
            yield Line(self._requirement(name, entry), self.path)

    def local(self) -> Iterator[tuple[str, Path]]:
        yield from ()

    def projects(self) -> Iterator[Path]:
        for section in self._sections():
            for entry in self._lock[section].values():
                file = self.path.parent / str(entry.get("path", "-")) / "pyproject.toml"
                if file.is_file():
                    yield file

    def _requirement(self, name: str, entry: dict[str, Any]) -> str:
        extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
        condition = f" ; {entry['markers']}" if entry.get("markers") else ""
        if "git" in entry:
            if normal(name) not in self.wish.from_source:
                raise without_hash(name, "git", self.path)
            return f"{name}{extras} @ git+{entry['git']}@{entry['ref']}{condition}"
        hashes = [f"--hash={each}" for each in entry.get("hashes", ())]
        if not hashes:
            raise Mistake(f"{self.path}: {name} has no hashes in it; run: pipenv lock")
        return " ".join([f"{name}{extras}{entry['version']}{condition}", *hashes])

    def _sections(self) -> list[str]:
        known = [name for name in self._lock if name != "_meta"]
        found = [_DEFAULT]
        for name, variable in self.wish.named():
            section = _DEVELOP if normal(name) in _DEVELOPMENT else name
            if section not in known:
                raise unknown(name, variable, known, self._pipfile)
            found.append(section)
        return found

    def _is_fresh(self) -> bool:
        """Say whether the lock was made from this Pipfile, as Pipenv tells it."""
        noted = self._lock["_meta"].get("hash", {}).get("sha256")
        if not noted or not self._pipfile.is_file():
            return True
        pipfile = read(self._pipfile)
        names = {"packages": _DEFAULT, "dev-packages": _DEVELOP}
        content: dict[str, Any] = {_DEFAULT: {}, _DEVELOP: {}}
        for name, table in pipfile.items():
            if name not in _NO_CATEGORY:
                content[names.get(name, name)] = table
        sources, requires = pipfile.get("source", []), pipfile.get("requires", {})
        content["_meta"] = {"sources": sources, "requires": requires}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return bool(noted == hashlib.sha256(text.encode()).hexdigest())

    @cached_property
    def _lock(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
            found["_meta"].keys()
        except OSError as error:
            raise Mistake(f"{self.path}: cannot read it: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Mistake(f"{self.path}: not a lock of Pipenv's") from None
        return {_DEFAULT: {}, _DEVELOP: {}, **found}

    @property
    def _pipfile(self) -> Path:
        return self.path.with_name("Pipfile")
