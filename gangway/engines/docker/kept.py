"""A volume as a folder of files, read and written with no container at work.

Files go in and out by way of a container that is never started, of an image with nothing in it: so
nothing is pulled or run, and it takes some 20 ms, on another machine as well.
"""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from gangway.base.errors import GangwayError
from gangway.engines import volumes
from gangway.engines.docker.client import Client

_FOLDER: Final = "/kept"
# What `docker cp` says where the container isn't there, out of it and into it.
_GONE: Final = ("No such container", "must be a directory")


class File(NamedTuple):
    """A file to be written, with its owner and its mode."""

    data: bytes
    user: int = 0
    group: int = 0
    mode: int = 0o600


@dataclass(frozen=True)
class Folder:
    """The volume `name` of an engine; it is made when it is first written to."""

    client: Client
    name: str

    def read(self) -> dict[str, bytes]:
        """Return each file's content by its path; none where the volume isn't there."""
        argv = ["docker", "cp", f"{self.name}:{_FOLDER}", "-"]
        run = self.client.environment.runner.pipe
        status, packed, said = run(argv)
        if status != 0 and any(each in said for each in _GONE):
            if not self._there():
                return {}
            self._make()
            status, packed, said = run(argv)
        if status != 0:
            raise self.client.unreachable(said)
        found = {}
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member in archive:
                if file := archive.extractfile(member):
                    found[member.name.partition("/")[2]] = file.read()
        return found

    def write(self, files: Mapping[str, File]) -> None:
        """Write files; one that is there makes way, and whoever has it mounted keeps the old."""
        data = _packed(files)
        argv = ["docker", "cp", "--archive", "-", f"{self.name}:{_FOLDER}"]
        run = self.client.environment.runner.pipe
        status, _, said = run(argv, data)
        if status != 0 and any(each in said for each in _GONE):
            self._make()
            status, _, said = run(argv, data)
        if status != 0:
            raise self.client.unreachable(said)

    def remove(self) -> None:
        """Remove the volume with all that is in it; raises GangwayError where it is mounted."""
        run = self.client.environment.runner.capture
        run(["docker", "rm", self.name], timeout=60)
        argv = ["docker", "volume", "rm", "--force", self.name]
        done = run(argv, timeout=60)
        if done.status != 0:
            said = done.stderr.strip() or "docker gave no reason"
            fix = self.client.environment.plain(argv)
            raise GangwayError(f"the volume {self.name} can't be removed: {said}", fix=fix)

    def _there(self) -> bool:
        argv = ["docker", "volume", "inspect", "--format", "{{.Name}}", self.name]
        return self.client.environment.runner.capture(argv, timeout=30).status == 0

    def _make(self) -> None:
        argv = ["docker", "create", "--name", self.name, "--network", "none"]
        argv += ["--volume", f"{self.name}:{_FOLDER}", empty_image(self.client), "none"]
        done = self.client.environment.runner.capture(argv, timeout=60)
        if done.status != 0 and "already in use" not in done.stderr:
            raise self.client.unreachable(done.stderr)


def empty_image(client: Client) -> str:
    """Return the name of an image with nothing in it, made where there is none."""
    return volumes.empty_image(client.environment.runner, ["docker"])


def _packed(files: Mapping[str, File]) -> bytes:
    out, now = io.BytesIO(), int(time.time())
    with tarfile.open(fileobj=out, mode="w") as archive:
        for folder in sorted({str(up) for path in files for up in PurePosixPath(path).parents}):
            if folder != ".":
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, now
                archive.addfile(entry)
        for path, file in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime, entry.mode = len(file.data), now, file.mode
            entry.uid, entry.gid = file.user, file.group
            archive.addfile(entry, io.BytesIO(file.data))
    return out.getvalue()
