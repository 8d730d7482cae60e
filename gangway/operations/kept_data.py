"""Whether data stores keep their data where it outlives a container."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from gangway.base.errors import Finding
from gangway.operations.project import Project
from gangway.settings import contract_check


def check(project: Project, services: Sequence[str]) -> None:
    """Refuse images that have a volume of their own below the named one, which then stays empty.

    The next container gets a new one, and with it an empty store. Images that aren't here yet pass.
    Raises FindingsError with what to do.
    """
    contract_check.refuse(project.environment, list(_lost(project, services)))


def _lost(project: Project, services: Sequence[str]) -> Iterator[Finding]:
    stores = {}
    for name in project.model.wanted(services):
        service = project.model.services[name]
        mounts = {mount["target"]: mount for mount in service.get("volumes") or ()}
        named = [
            each for each in mounts.values() if each["type"] == "volume" and each.get("source")
        ]
        if named and "build" not in service:
            tmpfs = [entry.partition(":")[0] for entry in service.get("tmpfs") or ()]
            stores[name] = (service["image"], named, {*mounts, *tmpfs})
    declared = project.engine.declared_volumes(sorted({image for image, _, _ in stores.values()}))
    # Who says where it is has looked.
    said = PurePosixPath(project.environment.get("POSTGRES_DATA") or "/")
    for name, (image, named, targets) in stores.items():
        for path in declared.get(image, ()):
            for mount in named:
                below = path.startswith(f"{mount['target'].rstrip('/')}/") and path not in targets
                elsewhere = said.is_relative_to(mount["target"]) and not said.is_relative_to(path)
                if below and not elsewhere:
                    yield Finding(
                        f"{image} has a volume of its own at {path}, below {mount['source']} at "
                        f"{mount['target']}: what {name} keeps there is gone with its container",
                        None,
                        "take an image that has none there, as those of PostgreSQL 18 have none: "
                        "pgvector/pgvector:pg18, postgis/postgis:18-3.6; or, for PostgreSQL up to "
                        f"17, say another place: POSTGRES_DATA={mount['target']}/17/docker",
                    )
