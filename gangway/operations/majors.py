"""Whether PostgreSQL can read what its volume holds: looked at before it is started.

Looking takes a container. So what a volume was started with last is kept in the checkout, and the
same again isn't looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from gangway.base.errors import Finding
from gangway.base.files import replace
from gangway.engines.databases import Database, Kept, environment
from gangway.model.postgres_major import major_of
from gangway.operations.project import Project
from gangway.settings import checkout, contract_check

SERVICE: Final = "postgres"
VOLUME: Final = "postgres-data"
"""The volume's name in the model, and the end of its own unless POSTGRES_VOLUME says another."""


def check(project: Project, services: Sequence[str]) -> None:
    """Refuse to start PostgreSQL on a database of another major, or beside one that is elsewhere.

    Raises FindingsError with the way on, nothing started.
    """
    model = project.model
    if SERVICE not in model.wanted(services) or not volume(project):
        return
    before = kept(project)
    if before == _now(project):
        return
    service = model.services[SERVICE]
    found = project.engine.kept_databases(volume(project), service)
    if found and found.databases:
        finding = judge(project, found, mount(service))
        contract_check.refuse(project.environment, [finding] if finding else [])


def keep(project: Project, services: Sequence[str]) -> None:
    """Write down what PostgreSQL is started with."""
    if SERVICE in project.model.wanted(services) and volume(project):
        note(project, _now(project))


def note(project: Project, started: Mapping[str, str]) -> None:
    """Write down that this is what PostgreSQL was started with last."""
    if kept(project) != started:
        replace(_file(project), json.dumps(dict(started), indent=2) + "\n")


def drop(project: Project) -> None:
    """Forget it: the data is deleted."""
    _file(project).unlink(missing_ok=True)


def kept(project: Project) -> dict[str, str]:
    """Return what PostgreSQL was started with last: `volume`, `image` and `data`; else nothing."""
    try:
        found: dict[str, str] = json.loads(_file(project).read_text())
    except (OSError, ValueError):
        return {}
    return found


def volume(project: Project) -> str:
    """Return the name of PostgreSQL's volume; empty where its data isn't in one."""
    named = (project.model.raw.get("volumes") or {}).get(VOLUME)
    service = project.model.services.get(SERVICE) or {}
    return str(named["name"]) if named and mount(service) else ""


def mount(service: Mapping[str, Any]) -> str:
    """Return where a service has PostgreSQL's volume; empty for nowhere."""
    mounts = service.get("volumes") or ()
    return next((str(each["target"]) for each in mounts if each.get("source") == VOLUME), "")


def judge(project: Project, found: Kept, target: str) -> Finding | None:
    """Return what keeps PostgreSQL from going on with what its volume holds, which has something.

    `target` is where it has the volume.
    """
    env, name = project.environment, project.name
    service = project.model.services[SERVICE]
    image, own = str(service.get("image")), volume(project)
    major = found.major or major_of(image)
    set_by = env.variable("POSTGRES_IMAGE")
    where = set_by.origin if set_by else None
    wanted = inside(environment(service).get("PGDATA") or found.data, target)
    here = found.at(wanted)
    there = here or newest(found)
    if there.left_for:
        return Finding(
            f"the data of {own} has gone to PostgreSQL {there.left_for}: what is in {own} is old",
            where,
            f"set POSTGRES_VOLUME and POSTGRES_IMAGE as that upgrade said, or go back to the old "
            f"data: invoke {name}.upgrade-postgres --back",
        )
    if there.major and major and there.major < major:
        return Finding(
            f"the data in {own} is of PostgreSQL {there.major}, and {image} is {major}",
            where,
            f"invoke {name}.upgrade-postgres takes it to {major} and keeps the old; or name an "
            f"image of {there.major} in POSTGRES_IMAGE",
        )
    if there.major and major and there.major > major:
        return Finding(
            f"the data in {own} is of PostgreSQL {there.major}, and {image} is only {major}",
            where,
            f"name an image of {there.major} in POSTGRES_IMAGE: there is no way back to an older "
            "major but that of an upgrade that has just been made, upgrade-postgres --back",
        )
    if here is None:
        path = PurePosixPath(target, there.place)
        return Finding(
            f"the data in {own} is at {path}, and {image} would begin anew at "
            f"{PurePosixPath(target, wanted)}",
            where,
            f"set POSTGRES_DATA={path}",
        )
    return None


def newest(found: Kept) -> Database:
    """Return the newest of a volume's databases, of which there are some: one in use, if any."""
    return max(found.databases, key=lambda each: (not each.left_for, each.major))


def inside(data: str, target: str) -> str:
    """Return where in a volume that is mounted at `target` a folder is; itself where it isn't.

    Without a container, the volume is the folder.
    """
    path = PurePosixPath(data)
    if not path.is_relative_to(target):
        return "" if not path.is_absolute() else data
    relative = path.relative_to(target).as_posix()
    return "" if relative == "." else relative


def _now(project: Project) -> dict[str, str]:
    service = project.model.services[SERVICE]
    return {
        "volume": volume(project),
        "image": str(service.get("image")),
        "data": environment(service).get("PGDATA") or "",
    }


def _file(project: Project) -> Path:
    return checkout.state(project.root, f"{project.name}.postgres.json")
