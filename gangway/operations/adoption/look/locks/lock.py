"""The lock of an app, and what can be told from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from gangway.base.errors import GangwayError
from gangway.operations.adoption.found import Loss

TESTERS = frozenset({"pytest", "pytest-django", "pytest-asyncio", "pytest-flask", "pytest-cov"})
"""What a group for tests has one of."""
GIT_DO = "no hash is checked there, and each build needs it: publish it to an index, or vendor it"
"""What to do about a package that comes from no index."""


@dataclass
class Lock:
    """The lock of an app, and what can be told from it."""

    kind: str
    """`requirements`, `uv`, `poetry`, `pipenv`."""
    path: str
    versions: dict[str, str] = field(default_factory=dict)
    """Every package that is named in it, with its version where there is one."""
    extras: dict[str, frozenset[str]] = field(default_factory=dict)
    """The extras of packages that the app asks for."""
    groups: tuple[str, ...] = ()
    package: str = ""
    beside: tuple[str, ...] = ()
    """The folders of packages in the repository that the app imports as well."""
    from_source: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    """Packages that come from a repository or an address."""
    missing: bool = False
    testers: bool = False
    """Whether pytest is in it."""
    pythons: list[tuple[str, str]] = field(default_factory=list)
    """What it says of Python's version, as specifiers, each with its place."""
    losses: list[Loss] = field(default_factory=list)

    def has(self, *names: str) -> bool:
        """Say whether one of the packages is there."""
        return any(name in self.versions for name in names)

    @property
    def by(self) -> str:
        """What it is locked by, for a sentence."""
        names = {"uv": "uv", "poetry": "Poetry", "pipenv": "Pipenv"}
        if self.kind == "requirements":
            return self.path.rpartition("/")[2]
        return names[self.kind]


def stale(path: str, why: str, command: str, folder: str) -> GangwayError:
    """Return the error for a lock that was made before its project was changed."""
    there = f" (in {folder})" if folder else ""
    return GangwayError(
        f"the lock doesn't match its project: {why}", where=path, fix=f"run: {command}{there}"
    )
