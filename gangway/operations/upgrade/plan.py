"""What an upgrade of PostgreSQL goes from and to, in settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from gangway.base.errors import GangwayError
from gangway.base.files import replace
from gangway.engines.databases import Kept
from gangway.model.postgres_major import major_of, of_major
from gangway.operations import majors
from gangway.operations.majors import SERVICE, VOLUME
from gangway.operations.project import Project
from gangway.settings import checkout

NAMES: Final = ("POSTGRES_IMAGE", "POSTGRES_VOLUME", "POSTGRES_DATA")
"""The variables that say which PostgreSQL runs, and on what."""

Settings = Mapping[str, str]

# The first major whose images have a folder for each, in a volume for all.
_SINCE: Final = 18


class Plan(NamedTuple):
    """The settings and the majors before and after."""

    old: Settings
    new: Settings
    before: int
    after: int


def planned(project: Project, to: int) -> Plan:
    """Return the way to the image of the settings, or to that of the major `to`.

    Raises GangwayError where there is nothing to upgrade, or no way.
    """
    name = project.name
    service, own = project.model.services.get(SERVICE), majors.volume(project)
    if not service or not own:
        raise GangwayError(
            f"{name} has no PostgreSQL with a volume", fix="somebody else's is somebody else's"
        )
    found = project.engine.kept_databases(own, service)
    if found is None or not found.databases:
        raise GangwayError(
            f"there is no database in {own}", fix=f"invoke {name}.up makes one, of this major"
        )
    there = majors.newest(found)
    if there.left_for:
        raise GangwayError(
            f"the data of {own} has gone to {there.left_for} by an upgrade already",
            fix=f"invoke {name}.upgrade-postgres --back goes back to what is in {own}",
        )
    image = str(service["image"])
    now = found.major or major_of(image)
    wanted = of_major(image, to) if to else image
    after = to or now
    if not wanted:
        raise GangwayError(
            f"{image} has no number in its tag to put {to} for",
            fix="name the new image: -e POSTGRES_IMAGE=…",
        )
    if after <= there.major:
        raise GangwayError(
            f"the data in {own} is of PostgreSQL {there.major}, and {wanted} is no newer",
            fix=f"name a newer image in POSTGRES_IMAGE, or its major: --to {there.major + 1}",
        )
    target = majors.mount(service)
    data = str(PurePosixPath(target, there.place))
    its_own = there.place == f"{there.major}/docker" and there.major >= _SINCE
    own_place = project.environment.get("POSTGRES_DATA")
    old = {
        "POSTGRES_IMAGE": _old_image(project, found, there.major, image),
        "POSTGRES_VOLUME": project.environment.get("POSTGRES_VOLUME") or VOLUME,
        "POSTGRES_DATA": "" if its_own else data,
    }
    new = {
        "POSTGRES_IMAGE": wanted,
        "POSTGRES_VOLUME": _free(project, own, old["POSTGRES_VOLUME"], after),
        # What the files say of the old one is no good for the new one.
        "POSTGRES_DATA": f"{target}/{after}/docker" if own_place else "",
    }
    return Plan(old, new, there.major, after)


def _old_image(project: Project, found: Kept, major: int, image: str) -> str:
    """Return the image that the data is used with: what was started last, if it can be that."""
    last = majors.kept(project)
    if last.get("volume") == majors.volume(project) and major_of(last["image"]) == major:
        return last["image"]
    if (found.major or major_of(image)) == major:
        return image
    if derived := of_major(image, major):
        return derived
    raise GangwayError(
        f"which image of PostgreSQL {major} the data was used with isn't known",
        fix=f"begin with that: invoke {project.name}.up -e POSTGRES_IMAGE=…",
    )


def _free(project: Project, own: str, name: str, major: int) -> str:
    """Return a name for the new volume: one that isn't there, or has nothing in it."""
    prefix, service = own.removesuffix(name), project.model.services[SERVICE]
    for number in count(1):
        new = f"{VOLUME}-{major}" + (f"-{number}" if number > 1 else "")
        there = project.engine.kept_databases(prefix + new, service)
        if there is None or not there.databases:
            return new
    raise AssertionError("there is always a next number")


class Made(NamedTuple):
    """An upgrade that was made from this checkout: its settings before and after, and when."""

    old: Settings
    new: Settings
    when: str


def note(project: Project, made: Made | None) -> None:
    """Write down the upgrade that --back would go back from; None: none."""
    if made:
        replace(_file(project), json.dumps(made._asdict(), indent=2) + "\n")
    else:
        _file(project).unlink(missing_ok=True)


def noted(project: Project) -> Made | None:
    """Return the upgrade that was made last from this checkout."""
    try:
        return Made(**json.loads(_file(project).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def use(project: Project, settings: Settings) -> None:
    """Have this checkout go by these settings, as far as the files beneath don't say so."""
    beneath = {"POSTGRES_VOLUME": VOLUME, **project.environment.beneath}
    changes = {
        name: value if value != beneath.get(name, "") else "" for name, value in settings.items()
    }
    checkout.record(project.root, project.name, changes)


def _file(project: Project) -> Path:
    return checkout.state(project.root, f"{project.name}.upgrade.json")
