"""Production's secrets: one file each, made strong, readable by their owner only, never shown."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from gangway.base.errors import GangwayError
from gangway.base.files import replace

# The user in the images: when root makes the files, the non-root containers must be able to read
# them. Anybody else keeps them, and the containers run as that user (checkout.facts).
CONTAINER_UID: Final = 10001
CONTAINER_GID: Final = 10001

_BYTES = 32  # of randomness; 43 characters in the file


OTHER_PLACE: Final = (
    "set SECRETS_DIR to a folder on one that does; in WSL: outside of /mnt, or with "
    "options=metadata below [automount] in /etc/wsl.conf"
)


@dataclass(frozen=True)
class Outcome:
    """What happened to one secret's file. The value is nowhere but in the file."""

    path: Path
    action: Literal["made", "kept"]


def init(
    directory: Path,
    names: Iterable[str],
    *,
    owner: tuple[int, int] | None = None,
) -> list[Outcome]:
    """Make the file of each secret in `names` that is not there.

    An existing file is never changed. `owner` is the uid and gid that the files get;
    without it, 10001:10001 when root runs this, else whoever runs it. The directory gets mode
    0700, a file 0600 from its first moment. Raises GangwayError where the system refuses.
    """
    owner = owner or default_owner()
    try:
        make_directory(directory, owner)
        directory.chmod(0o700)
        if not keeps_modes(directory):
            raise GangwayError(
                "its file system keeps no modes: others could read the secrets",
                where=str(directory),
                fix=OTHER_PLACE,
            )
        return [_make(directory / name, owner) for name in names]
    except OSError as error:
        raise GangwayError(
            f"cannot make the secrets: {error.strerror}",
            where=str(error.filename or directory),
            fix=f"ls -ld {directory}",
        ) from None


def fresh() -> str:
    """Return a new secret."""
    return secrets.token_urlsafe(_BYTES)


def put(path: Path, value: str) -> None:
    """Write a secret's file in one step, its owner's alone, who is that of the folder.

    Raises GangwayError where the system refuses.
    """
    try:
        folder = path.parent.stat()
        replace(path, f"{value}\n", owner=(folder.st_uid, folder.st_gid))
    except OSError as error:
        raise GangwayError(
            f"cannot write it: {error.strerror}", where=str(path), fix=f"ls -ld {path.parent}"
        ) from None


def default_owner() -> tuple[int, int] | None:
    """Return whom root gives a secret to; None for anybody else, who keeps it."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return CONTAINER_UID, CONTAINER_GID
    return None


def keeps_modes(directory: Path) -> bool:
    """Say whether a file in there can be closed to others; True where none can be made."""
    try:
        with tempfile.NamedTemporaryFile(dir=directory) as file:
            return not os.fstat(file.fileno()).st_mode & 0o077
    except OSError:
        return True


def make_directory(directory: Path, owner: tuple[int, int] | None) -> None:
    """Make a directory that is its owner's alone, where there is none; raises OSError."""
    # Not parents=True alone: that leaves the last directory's mode to the umask for a moment.
    directory.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
        if owner:
            os.chown(directory, *owner)


def _make(path: Path, owner: tuple[int, int] | None) -> Outcome:
    try:
        _write(path, owner)
    except FileExistsError:
        return Outcome(path, "kept")
    return Outcome(path, "made")


def _write(path: Path, owner: tuple[int, int] | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            if owner:
                os.fchown(descriptor, *owner)
            file.write(f"{fresh()}\n")
    except BaseException:
        # Nobody may take a half-written secret for one.
        path.unlink(missing_ok=True)
        raise
