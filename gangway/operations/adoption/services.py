"""What a stack has besides the base's services, as data: what its files are made from."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from gangway.operations.adoption import theirs
from gangway.operations.adoption.found import Foreign, Found
from gangway.operations.adoption.parts import Beside, Port, variable
from gangway.operations.adoption.starter import Names
from gangway.operations.adoption.theirs import Node, Theirs

# Services that every stack has, and words that its variables begin with.
_TAKEN: Final = frozenset(
    {
        "api", "broker", "downgrade", "gangway", "history", "makemigration", "migrate", "nginx",
        "postgres", "redis", "seed", "static", "test", "test-runner",
    }
)  # fmt: skip
# The secrets that every stack has.
_CORE_SECRETS: Final = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "SECRET_KEY")
# The broker's port on this machine.
BROKER_PORTS: Final = {"dev": 6381, "test": 6382}
# The ports that the stack's own services publish in development.
_PUBLISHED: Final = (8000, 5432, 6379, BROKER_PORTS["dev"], 5678)


@dataclass(frozen=True)
class Other:
    """A service that stays in the user's Compose file: its name in the stack, and what it is."""

    name: str
    foreign: Foreign
    theirs: Theirs
    ports: tuple[Port, ...]

    @property
    def prefix(self) -> str:
        """What its variables begin with."""
        return variable(self.name)

    @property
    def definition(self) -> Node:
        """What stands in the user's file."""
        return self.theirs.definition

    @property
    def folder(self) -> PurePosixPath:
        """The folder of the user's file."""
        return PurePosixPath(self.foreign.file).parent

    @property
    def condition(self) -> str:
        """What whoever needs it waits for."""
        check = self.definition.get("healthcheck") or {}
        return "service_started" if not check or check.get("disable") else "service_healthy"

    def needs(self, others: Sequence[Other]) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Yield those of the others that it waits for by its own definition, and for what."""
        given = self.definition.get("depends_on") or {}
        names = {other.foreign.name: other.name for other in others}
        for name in given:
            if name in names:
                entry = given[name] if isinstance(given, Mapping) else None
                condition = (entry or {}).get("condition") or "service_started"
                yield names[name], {"condition": condition}

    def limits(self) -> dict[str, str]:
        """Return what it may use up unless it is told otherwise: cpus, memory and pids."""
        return {
            "cpus": self._limit("cpus") or "1.0",
            "memory": self._limit("mem_limit", "memory") or "512m",
            "pids": self._limit("pids_limit", "pids") or "200",
        }

    def mounts(self) -> tuple[list[Any], list[str]]:
        """Return what it mounts of this machine, as it is said from the top; where volumes are."""
        kept: list[Any] = []
        targets: list[str] = []
        for mount in self.definition.get("volumes") or ():
            if theirs.is_path(mount):
                kept.append(theirs.mount_from_the_top(mount, self.folder))
            elif isinstance(mount, str):
                source, _, rest = mount.partition(":")
                targets.append(rest.partition(":")[0] or source)
            else:
                targets.append(str(mount.get("target", "")))
        return kept, targets

    def _limit(self, *names: str) -> str:
        resources = (self.definition.get("deploy") or {}).get("resources") or {}
        own = {**(resources.get("limits") or {}), **self.definition}
        found = str(next((own[name] for name in names if own.get(name)), ""))
        # A reference would be one within another.
        return "" if "$" in found else found


@dataclass(frozen=True)
class Given:
    """What the stack's files are made from.

    `secrets` has the value for development and tests of each variable that is a secret of the app;
    `variables` says whether it has plain ones, `queue` whether it needs a broker. `static` is the
    folder of the static files that the proxy serves, in the image; `media` is what the app may
    write to, and `media_url` where the proxy serves it.
    """

    names: Names
    programs: tuple[Beside, ...]
    others: tuple[Other, ...]
    secrets: Mapping[str, str]
    variables: bool
    queue: bool
    static: str = ""
    media: str = ""
    media_url: str = ""

    @property
    def has_native(self) -> bool:
        """Whether something is different without containers."""
        return bool(self.others or self.queue)


def given(found: Found, names: Names, foreign: Mapping[str, Theirs]) -> Given:
    """Return what the stack's files are made from; `foreign` has what is in the user's files."""
    taken = set(_TAKEN)
    programs = tuple(
        Beside(_free(each.name, taken, lambda name: f"{name}-program"), each.command)
        for each in found.programs
    )
    used = set(_PUBLISHED)
    others = []
    for each in found.foreign:
        name = _free(each.name, taken, lambda name: f"other-{name}")
        there = foreign.get(each.name, Theirs({}))
        others.append(Other(name, each, there, _ports(name, each.ports, used)))
    own = {name: value for name, value in found.secrets.items() if name not in _CORE_SECRETS}
    variables = any(found.variables.values())
    facts = found.facts
    return Given(
        names, programs, tuple(others), own, variables, found.queue,
        static=_inside(facts, "API_STATIC") if facts.get("API_STATIC_URL") else "",
        media=_inside(facts, "API_MEDIA"),
        media_url=facts.get("API_MEDIA_URL", ""),
    )  # fmt: skip


def _inside(facts: Mapping[str, str], name: str) -> str:
    """Return where a folder of the app is in a container; nothing where there is none."""
    folder = facts.get(name)
    if not folder:
        return ""
    return posixpath.normpath(posixpath.join("/srv/app", facts.get("API_WORKDIR", ""), folder))


def _free(name: str, taken: set[str], other: Callable[[str], str]) -> str:
    while name in taken:
        name = other(name)
    taken.add(name)
    return name


def _ports(name: str, numbers: Sequence[int], used: set[int]) -> tuple[Port, ...]:
    found: list[Port] = []
    for number in numbers:
        published = number if number >= 1024 else number + 8000
        while published in used:
            published += 1
        used.add(published)
        own = f"_{number}" if found else ""
        found.append(Port(f"PUBLISHED_{variable(name)}{own}_PORT", published, number))
    return tuple(found)
