"""A cluster as it was at a moment: a copy and the log, in a server that is thrown away."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from backup import away, content, kept_log, moments, physical, scratch, sql, wal
from backup.errors import Failed, Refused
from backup.moments import At, Base, Plan, Reach
from backup.place import Place
from backup.settings import Server, Settings
from backup.wal import Damage, Segment

# How many times its compressed size a segment has at most, as a rule.
_PACKED = 10
# What PostgreSQL says where the log ends before what it was to stop at.
_ENDED = "recovery ended before configured recovery target"
_FOREIGN = {
    # The live server's own settings are in its files; these must not reach from the grave.
    "archive_mode": "off", "archive_command": "", "primary_conninfo": "", "ssl": "off",
    "synchronous_standby_names": "", "shared_preload_libraries": "", "logging_collector": "off",
    "log_destination": "stderr", "external_pid_file": "", "unix_socket_permissions": "0700",
    "summarize_wal": "off", "huge_pages": "off", "max_logical_replication_workers": "0",
}  # fmt: skip


@contextlib.contextmanager
def recovered(settings: Settings, here: Place, plan: Plan) -> Iterator[Server]:
    """Yield a server with the cluster as it was at the plan's moment.

    Raises Refused where a file isn't what was written, and Failed where PostgreSQL doesn't get
    there; nothing is changed then, nor afterwards.
    """
    with here.scratch() as folder:
        _room(here, plan.reach)
        log = folder / "segments"
        _stage(here, plan.reach, log, stops=bool(plan.target))
        data = physical.unpack(here, plan.reach.base, folder)
        (data / "recovery.signal").touch()
        (data / "hba").write_text("local all all trust\n")
        with _running(settings, data, log, plan) as server:
            yield server


@contextlib.contextmanager
def _running(settings: Settings, data: Path, log: Path, plan: Plan) -> Iterator[Server]:
    """Run it up to the moment; where nothing was committed after that, up to the log's end."""
    common = {
        **scratch.FAST, **_FOREIGN, "wal_level": "replica", "hot_standby": "off",
        "hba_file": str(data / "hba"), "restore_command": f'cp "{log}/%f" "%p"',
        "recovery_target_action": "promote",
    }  # fmt: skip
    server = settings.server
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(
                scratch.running(data, {**common, **plan.target}, server.user, server.database)
            )
        except Failed as error:
            if _ENDED not in (data.parent / "log").read_text(errors="replace"):
                raise
            if plan.at.time is None or not plan.reach.sure:
                raise Refused(
                    f"the kept log ends before {plan.at.text}: there is no such moment in it",
                    fix="name a time; backup moments says which there are",
                ) from error
            found = stack.enter_context(scratch.running(data, common, server.user, server.database))
            _reached_the_end(found, plan.reach)
        else:
            if not plan.target:
                _reached_the_end(found, plan.reach)
        yield found


def _reached_the_end(server: Server, reach: Reach) -> None:
    with sql.session(server, "postgres") as session:
        place_ = wal.position(session.text("SELECT pg_catalog.pg_last_wal_replay_lsn()"))
        last = session.text("SELECT pg_catalog.pg_last_xact_replay_timestamp()")
    if not wal.reached(place_, reach.end):
        raise Refused(
            f"the kept log is damaged at {wal.written(place_)}, before its end at"
            f" {wal.written(reach.end)}",
            fix=f"what was committed until {last or 'then'} can be had: name that time",
        )


def _room(here: Place, reach: Reach) -> None:
    # What a segment has nothing in takes no room, and next to nothing when it is compressed.
    sizes = [reach.files[which].stat().st_size for which in reach.segments]
    needed = sum(min(reach.base.size, _PACKED * size) for size in sizes)
    there = kept_log.free(here.root)
    if there < needed:
        raise Refused(
            f"the log alone takes {needed >> 20} MB to be read, and {here.root} has room for"
            f" {there >> 20} MB",
            fix="make room on the backups' volume",
        )


def _stage(here: Place, reach: Reach, target: Path, *, stops: bool) -> None:
    """Put the row of segments where the server takes them from, each looked at.

    Where the server `stops` at a moment, up to the first that is damaged: what it wants of that is
    found missing then. Raises Refused for one otherwise.
    """
    target.mkdir(mode=0o700)
    base = reach.base
    for which in reach.segments:
        path = reach.files[which]
        try:
            try:
                _unpack(base, which, path, target)
            except FileNotFoundError:
                # Compressed since it was listed.
                path = kept_log.logs(here)[base.system].files[which]
                _unpack(base, which, path, target)
        except Damage as fault:
            (target / which.name(base.size)).unlink(missing_ok=True)
            if stops:
                return
            if path.suffix == wal.PARTIAL and wal.reached(which.number * base.size, reach.end):
                # Only just begun, and nothing that we know of is in it.
                return
            raise Refused(
                f"{path.name} of the log is damaged: {fault}",
                fix="name a time before it, or restore a backup: prod.restore NAME",
            ) from fault


def _unpack(base: Base, which: Segment, path: Path, target: Path) -> None:
    wal.unpack(path, target / which.name(base.size), which, size=base.size, system=base.system)


def prove(settings: Settings, here: Place, name: str) -> None:
    """Replay the log on a copy up to now and read all that is in it; put down how that went.

    Raises Refused or Failed where it can't be.
    """
    reach = next(
        (each for each in reaches(here) if each.base.name == name), None
    )  # fmt: skip
    if reach is None:
        raise Failed(f"the log doesn't lead on from the copy {name}", fix="backup log must run")
    began = time.time()
    at = At(moments.LATEST)
    try:
        with (
            recovered(settings, here, Plan(at, reach, {})) as server,
            content.snapshot(server) as session,
        ):
            found = content.read(session, settings.read)
    except Refused as error:
        failed = {"proven": False, "how": "", "differences": [error.message]}
        physical.proven(here, name, {**failed, "time": time.time()})
        raise
    tables = found["tables"]
    rows = sum(each["rows"] for each in tables.values())
    physical.proven(here, name, {
        "proven": True, "time": time.time(), "seconds": round(time.time() - began, 1),
        "how": f"its log replayed: {len(tables)} tables, {rows} rows read", "differences": [],
    })  # fmt: skip


def findings(settings: Settings, here: Place) -> list[str]:
    """Return what is wrong with the past, for people; nothing where all is well."""
    wrong = kept_log.problems(here)
    if not any(each.base.proven and each.whole for each in reaches(here)):
        wrong.append("no moment can be had yet: no copy of the server's files is proven")
    return [*wrong, *away.findings(settings, here)]


def reaches(here: Place) -> list[Reach]:
    """Return what there is, the newest first."""
    bases = physical.bases(here)
    return moments.reaches(bases, kept_log.logs(here, {each.system: each.size for each in bases}))
