"""Folders of the checkout that a volume lies on: an engine would make them itself, as root."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from gangway.base.errors import GangwayError
from gangway.model.model import Model


def mount_points(model: Model) -> Iterator[Path]:
    """Yield the host's folder for each volume or tmpfs inside a folder that is mounted from it."""
    for service in model.services.values():
        mounts = service.get("volumes") or ()
        binds = {PurePosixPath(m["target"]): m["source"] for m in mounts if m["type"] == "bind"}
        inside = [m["target"] for m in mounts if m["type"] != "bind"]
        inside += [str(entry).partition(":")[0] for entry in service.get("tmpfs") or ()]
        for target in map(PurePosixPath, inside):
            for folder, source in binds.items():
                if target != folder and target.is_relative_to(folder):
                    yield Path(source, target.relative_to(folder))


def make(model: Model) -> None:
    """Make those that are missing, as the user who starts the stack.

    Raises GangwayError where one can't be made.
    """
    for folder in mount_points(model):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GangwayError(
                f"a volume is mounted there, and the folder can't be made: {error.strerror}",
                where=str(folder),
                fix=f"mkdir -p '{folder}'",
            ) from None
