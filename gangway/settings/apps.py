"""An app's libraries: which locks they are made from, as its image's build arguments say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gangway.settings import installs

DOCKERFILE: Final = "docker/app.Dockerfile"
# What a lock belongs to, in its folder or above it.
_PROJECTS: Final = ("pyproject.toml", "Pipfile")


@dataclass(frozen=True)
class Libraries:
    """What `docker/install-dependencies` is asked for: locks, and what of the first is wanted.

    A lock may be the folder that has one.
    """

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

    def lock(self, root: Path) -> Path:
        """Return the first lock's file, or what was asked for where it isn't there."""
        place = root / self.locks[0]
        inside = (file for file in self.files(root) if file.is_relative_to(place))
        return next((file for file in inside if file.name not in _PROJECTS), place)

    def files(self, root: Path) -> Iterator[Path]:
        """Yield the files that say what is installed, those that are there; the locks first."""
        locks = [root / place for place in self.locks]
        named = [root / word for word in f"{self.extras} {self.groups}".split()]
        projects = (
            folder / name
            for lock in locks
            for folder in lock.parents
            if folder.is_relative_to(root)
            for name in _PROJECTS
        )
        # A group may have a folder's name, and isn't it.
        yield from installs.files([*locks, *filter(Path.is_file, named), *projects])


def libraries(service: Mapping[str, Any]) -> Libraries | None:
    """Return what a service of the model has for libraries; None where it isn't made of an app."""
    build = service.get("build") or {}
    args = build.get("args") or {}
    if not str(build.get("dockerfile", "")).endswith(DOCKERFILE) or not args.get("APP"):
        return None
    own, beside = str(args.get("LOCK") or args["APP"]), str(args.get("TEST_LOCKS") or "").split()
    rest = (str(args.get(name) or "") for name in ("PACKAGE", "EXTRAS", "GROUPS", "FROM_SOURCE"))
    return Libraries((own, *beside), *rest)
