"""Making a backup: a dump and a look at every table, both of one moment, then the proof."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from backup import content, database, manifest, programs, prove, seal, volumes
from backup.errors import Failed, Refused
from backup.place import Place, new_name, sync
from backup.settings import Server, Settings

KIND = "logical"
SIZE = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())"
ATTEMPTS = 3
ROOM = 1.5
"""What a backup takes at most while it is proven, as a part of the database's size."""


def make(place: Place, settings: Settings) -> Path:
    """Make a backup, prove it and return its folder; only under the place's lock.

    It is kept though it couldn't be proven, and says so. Raises Refused or Failed where there is
    none.
    """
    seal.recipients(settings.recipients) if settings.recipients else None
    began = time.time()
    name = new_name(settings.release, began)
    with place.making(KIND, name) as folder:
        known: dict[str, Any] = {
            "kind": KIND,
            "name": name,
            "project": settings.project,
            "release": settings.release,
            "time": began,
            "proof": None,
        }
        dump = folder / prove.DUMP
        known |= _taken(place, dump, settings)
        # After the database: what a row tells of is there by then.
        known["volumes"] = _volumes(folder, settings)
        known["dumped"] = round(time.time() - began, 1)
        known["proof"] = _proof(place, dump, known, settings)
        if settings.recipients:
            for path in sorted(folder.iterdir()):
                _seal(place, path, settings)
        known["files"] = manifest.files(folder)
        manifest.write(folder, known)
    return place.root / KIND / name


def _volumes(folder: Path, settings: Settings) -> dict[str, Any]:
    """Put what the apps keep besides into a backup, and return what that is."""
    if settings.volumes is None:
        return {}
    return {
        name: volumes.pack(settings.volumes / name, folder / volumes.archive(name))
        for name in volumes.names(settings.volumes)
    }


def _taken(place: Place, dump: Path, settings: Settings) -> dict[str, Any]:
    """Dump the database and look at every table, as both are at one moment.

    Whoever changes a table at just this moment goes first, and it is begun anew.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return _of_one_moment(place, dump, settings)
        except Failed as error:
            if " timeout" not in error.message:
                raise
    return _of_one_moment(place, dump, settings)


def _of_one_moment(place: Place, dump: Path, settings: Settings) -> dict[str, Any]:
    with content.snapshot(settings.server) as session:
        known: dict[str, Any] = {
            "server": database.server(session),
            "database": database.facts(session),
            "roles": database.roles(session),
        }
        database.check_client(known["server"]["major"])
        _check_room(place, int(session.text(SIZE)))
        moment = session.text("SELECT pg_catalog.pg_export_snapshot()")
        # They go on whatever the snapshot is: what is dumped later stands there, or further.
        sequences = content.sequences(session)
        with _dumping(settings.server, moment, dump) as going:
            known["content"] = content.read(session, settings.read, going)
        known["content"]["sequences"] = sequences
    return known


def prove_again(place: Place, folder: Path, settings: Settings) -> Mapping[str, Any]:
    """Prove a backup that is there, from its files as they are now; return its manifest."""
    with prove.plain(place, folder, settings) as (dump, known):
        known["proof"] = _proof(place, dump, known, settings)
    manifest.write(folder, known)
    sync(folder)
    return known


def _proof(
    place: Place, dump: Path, known: Mapping[str, Any], settings: Settings
) -> dict[str, Any]:
    """Return the proof; what can't even be restored isn't proven, and is there all the same."""
    try:
        return prove.proof(place, dump, known, settings)
    except Refused as error:
        return {"proven": False, "time": time.time(), "how": "", "differences": [error.message]}


def _seal(place: Place, plain: Path, settings: Settings) -> None:
    """Encrypt a file; with the key at hand, see that it comes out again as it was."""
    before = manifest.sha256(plain)
    sealed = seal.close(plain, settings.recipients)
    if settings.identity is None:
        return
    with place.scratch() as opened:
        seal.open_to(sealed, settings.identity, opened / plain.name)
        if manifest.sha256(opened / plain.name) != before:
            raise Failed(f"the encrypted {plain.name} is another one when it is opened")


@contextlib.contextmanager
def _dumping(server: Server, moment: str, to: Path) -> Iterator[Callable[[], None]]:
    """Dump what a snapshot sees while the block runs; it is all there after the block.

    Yield what raises Failed once that can't be any more.
    """
    with tempfile.TemporaryFile("w+") as complaints:
        argv = [
            "pg_dump", "--format=custom", f"--compress={_compression()}", f"--snapshot={moment}",
            f"--lock-wait-timeout={content.LOCK_SECONDS}s", "--no-password", "--file", str(to),
        ]  # fmt: skip
        environment = programs.variables(server.environment())
        with subprocess.Popen(argv, env=environment, stderr=complaints) as pg_dump:

            def going() -> None:
                if status := pg_dump.poll():
                    complaints.seek(0)
                    raise programs.failed("pg_dump", status, complaints.read())

            try:
                yield going
            except BaseException:
                pg_dump.kill()
                raise
        going()


def _compression() -> str:
    """Return zstd where pg_dump has it, else what every one has, at its fastest."""
    # It looks at this before it connects to anything.
    tried = subprocess.run(
        ["pg_dump", "--compress=zstd", "--host=/nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "gzip:1" if "does not support" in tried.stderr else "zstd:3"


def _check_room(place: Place, size: int) -> None:
    free = shutil.disk_usage(place.root).free
    if free < size * ROOM:
        raise Failed(
            f"{place.root} has {free >> 20} MB left, and a backup of {size >> 20} MB with its proof"
            f" takes up to {int(size * ROOM) >> 20} MB",
            fix="make room, or keep fewer: BACKUP_KEEP",
        )
