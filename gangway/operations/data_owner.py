"""Whose the data is: a data store that starts as somebody else can't read its own volume."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from gangway.base.errors import Finding
from gangway.base.files import replace
from gangway.operations.project import Project
from gangway.settings import checkout, contract_check


def check(project: Project) -> None:
    """Refuse a start as another user than the last, where the volumes still have that one's files.

    Raises FindingsError with what to do.
    """
    contract_check.refuse(project.environment, list(_foreign(project)))


def keep(project: Project) -> None:
    """Write down as whom the services with volumes run; called when a stack is started."""
    kept = _kept(project)
    if (users := {**kept, **_users(project)}) != kept:
        replace(_file(project), json.dumps(users, indent=2) + "\n")


def drop(project: Project) -> None:
    """Forget it: the data is deleted."""
    _file(project).unlink(missing_ok=True)


def _foreign(project: Project) -> Iterator[Finding]:
    kept, volumes = _kept(project), project.model.raw.get("volumes") or {}
    for key, user in _users(project).items():
        service, volume = key.split("/", 1)
        before, name = kept.get(key), volumes[volume]["name"]
        uid = user.partition(":")[0]
        if before is None or before.partition(":")[0] == uid:
            continue
        image = project.model.services[service]["image"]
        if project.engine.has_others_files(name, image, uid):
            folder = project.environment.get("SECRETS_DIR")
            yield Finding(
                f"the data in {name} is user {before}'s, and {service} would run as {user}",
                None,
                f"chown -R {before} {folder}, whose owner it runs as; or give it the data: docker "
                f"run --rm --user 0 -v {name}:/data --entrypoint chown {image} -R {user} /data",
            )


def _users(project: Project) -> dict[str, str]:
    """Return the user of each service for each of its volumes, as `service/volume`."""
    return {
        f"{name}/{mount['source']}": str(service["user"])
        for name, service in project.model.services.items()
        for mount in service.get("volumes") or ()
        if mount.get("type") == "volume" and mount.get("source") and service.get("user")
    }


def _kept(project: Project) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(_file(project).read_text())
    except (OSError, ValueError):
        return {}
    return found


def _file(project: Project) -> Path:
    return checkout.state(project.root, f"{project.name}.users.json")
