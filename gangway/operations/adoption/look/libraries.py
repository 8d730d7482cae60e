"""What an app's libraries need to be built and to run: Debian packages, sources for wheels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.image import Image
from gangway.operations.adoption.look.locks.lock import Lock
from gangway.operations.adoption.look.tree import Tree


class Source(NamedTuple):
    """A package without wheels: what building and running it takes."""

    build: tuple[str, ...] = ()
    run: tuple[str, ...] = ()


_COMPILER = ("gcc", "libc6-dev")
# Those that are known to have none for Linux; a lock with its files' names says it of others.
WITHOUT_WHEELS = {
    "psycopg2": Source((*_COMPILER, "libpq-dev"), ("libpq5",)),
    "psycopg-c": Source((*_COMPILER, "libpq-dev"), ("libpq5",)),
    "uwsgi": Source(_COMPILER),
    "python-ldap": Source((*_COMPILER, "libldap2-dev", "libsasl2-dev"), ("libldap2", "libsasl2-2")),
    "pygraphviz": Source((*_COMPILER, "libgraphviz-dev", "pkg-config"), ("graphviz",)),
    "pycairo": Source((*_COMPILER, "libcairo2-dev", "pkg-config"), ("libcairo2",)),
    "dkimpy": Source(),
    "flask-secrets": Source(),
    "flask-db": Source(),
    "flask-static-digest": Source(),
}
_MYSQL = ("mysqlclient", "pymysql", "mysql-connector-python", "aiomysql", "asyncmy")


@dataclass
class Needs:
    """What the image must have for the libraries."""

    from_source: list[str] = field(default_factory=list)
    build: list[str] = field(default_factory=list)
    run: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)


def needs(lock: Lock, image: Image | None, tree: Tree) -> Needs:
    """Return what the libraries of a lock need, an existing Dockerfile's packages among it."""
    found = Needs([*_from_source(lock), *lock.elsewhere])
    if image:
        found.build += image.build_packages
        found.run += image.run_packages
    for name in found.from_source:
        known = WITHOUT_WHEELS.get(name, Source())
        has_compiler = "build-essential" in found.build
        _add(
            found.build, *(each for each in known.build if not (has_compiler and each in _COMPILER))
        )
        _add(found.run, *known.run)
    if lock.elsewhere:
        _add(found.build, "git")
    if lock.has("psycopg") and not _has_libpq(lock):
        # It finds the system's when it is imported.
        _add(found.run, "libpq5")
    for name in filter(lock.has, _MYSQL):
        do = "the database is PostgreSQL: take psycopg, and change the address"
        found.losses.append(Loss(f"the driver {name}", tree.line(lock.path, name), do))
    return found


def _from_source(lock: Lock) -> list[str]:
    names = list(lock.from_source)
    if lock.kind in ("requirements", "pipenv") or lock.missing:
        # Their files' names aren't in it.
        names += [name for name in WITHOUT_WHEELS if lock.has(name)]
        if "c" in lock.extras.get("psycopg", ()):
            names.append("psycopg-c")
    return list(dict.fromkeys(names))


def _has_libpq(lock: Lock) -> bool:
    return lock.has("psycopg-binary", "psycopg-c") or not {"binary", "c"}.isdisjoint(
        lock.extras.get("psycopg", ())
    )


def _add(names: list[str], *more: str) -> None:
    names += [name for name in dict.fromkeys(more) if name not in names]
