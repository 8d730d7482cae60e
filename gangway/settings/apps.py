"""An app's libraries: which locks they are made from, as its image's build arguments say it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DOCKERFILE: Final = "docker/app.Dockerfile"
# A folder's lock is the first of these that it has.
_LOCKS: Final = ("requirements.txt", "uv.lock", "poetry.lock", "Pipfile.lock")
_BESIDE: Final = {"poetry.lock": "pyproject.toml", "Pipfile.lock": "Pipfile"}
_NODE: Final = ("package.json", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", ".npmrc")
_MEMBER: Final = re.compile(
    r'^source = \{ (?:editable|virtual|directory) = "([^"]+)"', re.MULTILINE
)
_INCLUDE: Final = re.compile(
    r"^\s*(?:-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?=\S))(\S+)", re.MULTILINE
)
_FOLDER: Final = re.compile(
    r"^\s*(?:(?:-e|--editable)[\s=]+)?(\.[\w./-]*|[\w.-]+/[\w./-]*)", re.MULTILINE
)


@dataclass(frozen=True)
class Libraries:
    """What `docker/install-dependencies` is asked for: locks, and what of the first is wanted."""

    locks: tuple[str, ...]
    package: str = ""
    extras: str = ""
    groups: str = ""
    from_source: str = ""

    @property
    def words(self) -> list[str]:
        """The arguments that ask for it."""
        named = {
            "--package": self.package, "--extras": self.extras,
            "--groups": self.groups, "--from-source": self.from_source,
        }  # fmt: skip
        return [*(word for pair in named.items() if pair[1] for word in pair), *self.locks]

    def files(self, root: Path) -> Iterator[Path]:
        """Yield the files that are read for it, those that are there."""
        for place in self.locks:
            yield from _lock(root, root / place)
        for name in f"{self.extras} {self.groups}".split():
            if "/" in name or name.endswith((".txt", ".in")):
                yield from _requirements(root, root / name)


def libraries(service: Mapping[str, Any]) -> Libraries | None:
    """Return what a service of the model has for libraries; None where it isn't made of an app."""
    build = service.get("build") or {}
    args = build.get("args") or {}
    if not str(build.get("dockerfile", "")).endswith(DOCKERFILE) or not args.get("APP"):
        return None
    own, beside = str(args.get("LOCK") or args["APP"]), str(args.get("TEST_LOCKS") or "").split()
    rest = (str(args.get(name) or "") for name in ("PACKAGE", "EXTRAS", "GROUPS", "FROM_SOURCE"))
    return Libraries((own, *beside), *rest)


def inputs(root: Path, args: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files of the checkout that a build with these arguments installs by.

    They are the locks with what they include, and the projects that they belong to; for assets,
    Node's. A file may come twice.
    """
    found = libraries({"build": {"dockerfile": DOCKERFILE, "args": args}})
    if found:
        yield from found.files(root)
    if assets := args.get("ASSETS"):
        folder = root / args.get("APP", "") / assets
        yield from (folder / name for name in _NODE if (folder / name).is_file())


def _lock(root: Path, place: Path) -> Iterator[Path]:
    if place.is_dir():
        place = next((place / name for name in _LOCKS if (place / name).is_file()), place / "-")
    if not place.is_file():
        return
    if place.name == "uv.lock":
        members = _MEMBER.findall(place.read_text(encoding="utf-8", errors="replace"))
        projects = (place.parent / folder / "pyproject.toml" for folder in (".", *members))
        yield from (place, *(_plain(project) for project in projects if project.is_file()))
    elif place.name in _BESIDE:
        beside = place.with_name(_BESIDE[place.name])
        yield from (place, *([beside] if beside.is_file() else []))
    else:
        yield from _requirements(root, place)


def _requirements(root: Path, file: Path, seen: Sequence[Path] = ()) -> Iterator[Path]:
    """Yield a requirements file, what it includes, and the projects of the checkout in it."""
    if file in seen or not file.is_file():
        return
    yield file
    text = file.read_text(encoding="utf-8", errors="replace")
    for name in _INCLUDE.findall(text):
        yield from _requirements(root, _plain(file.parent / name), (*seen, file))
    above = [folder for folder in file.parents if folder.is_relative_to(root)]
    if not seen:
        projects = (folder / "pyproject.toml" for folder in above)
        yield from [project for project in projects if project.is_file()][:1]
    for name in _FOLDER.findall(text):
        places = (_plain(folder / name) for folder in above)
        found = [each for each in places if (each / "pyproject.toml").is_file() or each.is_file()]
        yield from (each if each.is_file() else each / "pyproject.toml" for each in found[:1])


def _plain(path: Path) -> Path:
    return Path(os.path.normpath(path))
