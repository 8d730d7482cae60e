"""The live server's side of streaming its log: who may, and what it keeps for us meanwhile."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from backup import programs, sql, wal
from backup.errors import Failed, Refused
from backup.settings import Server
from backup.sql import Session

SLOT = "gangway_backup_log"
LOST = "lost"
"""What a slot says once the server threw away what we still needed."""


class Cluster(NamedTuple):
    """One initialised server: `size` is that of a segment of its log, in bytes."""

    system: str
    size: int
    timeline: int
    major: int


class State(NamedTuple):
    """How far the log is, and how far we have it: `time` in seconds since 1970, by its clock."""

    time: float
    inserted: int
    received: int
    slot: str


def cluster(session: Session) -> Cluster:
    """Return what server this is; raises Refused for one whose log can't be had."""
    if session.text("SELECT pg_catalog.pg_is_in_recovery()") == "t":
        raise Refused("the server is a standby", fix="keep the log of the one that it follows")
    found = session.rows(
        "SELECT system_identifier::text AS system,"
        " (pg_catalog.pg_control_init()).bytes_per_wal_segment AS size,"
        " (pg_catalog.pg_control_checkpoint()).timeline_id AS timeline,"
        " pg_catalog.current_setting('server_version_num')::int / 10000 AS major"
        " FROM pg_catalog.pg_control_system()"
    )[0]
    return Cluster(**found)


def prepare(server: Server, session: Session, keep: str, *, copied: bool = False) -> None:
    """Have the server let us in and keep its log while we are away, `keep` of it at most.

    More than that would fill its own disk for the sake of a backup. Where whole segments are
    `copied` elsewhere, one is whole a minute after something was written to it. Raises Refused
    where its user may not.
    """
    if session.text("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user") != "t":
        raise Refused(
            f"{server.user} may not read the server's log",
            fix="a past moment needs a server of the stack's own, made by POSTGRES_USER",
        )
    wanted = {"max_slot_wal_keep_size": keep, "summarize_wal": "on"}
    if copied:
        # The server goes by it without an archive, too, and not where nothing was written.
        wanted["archive_timeout"] = "1min"
    if cluster(session).major < 17:
        del wanted["summarize_wal"]
    changed = [key for key, value in wanted.items() if session.text(f"SHOW {key}") != value]
    for key in changed:
        session.text(f"ALTER SYSTEM SET {key} = {sql.literal(wanted[key])}")
    if changed:
        session.text("SELECT pg_catalog.pg_reload_conf()")
    _let_in(server, session)


def _let_in(server: Server, session: Session) -> None:
    """Add the line by which the server takes connections that stream, where it lacks one."""
    if not _refused(server):
        return
    line = f"host replication {sql.name(server.user)} all scram-sha-256"
    # Appended, so that no moment has half a file.
    program = f"cat >> {shlex.quote(session.text('SHOW hba_file'))}"
    session.text(f"COPY (VALUES (''), ({sql.literal(line)})) TO PROGRAM {sql.literal(program)}")
    session.text("SELECT pg_catalog.pg_reload_conf()")
    for _ in range(20):
        if not _refused(server):
            return
        session.text("SELECT pg_catalog.pg_sleep(0.1)")
    raise Refused("the server refuses to stream its log", fix=f"add to its pg_hba.conf: {line}")


def _refused(server: Server) -> bool:
    identify = [*sql.PSQL, "--dbname", "replication=true", "--command", "IDENTIFY_SYSTEM"]
    try:
        programs.run(identify, server.environment())
    except Failed as error:
        if "pg_hba.conf" in error.message:
            return True
        raise
    return False


def slot(session: Session) -> bool:
    """Have the server remember what we have; return whether something between may be lost."""
    status = _status(session)
    if status == LOST:
        session.text(f"SELECT pg_catalog.pg_drop_replication_slot('{SLOT}')")
    if status and status != LOST:
        return False
    session.text(f"SELECT pg_catalog.pg_create_physical_replication_slot('{SLOT}', true)")
    return True


def forget(session: Session) -> None:
    """Have the server keep nothing for us any more."""
    session.text(
        "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots"
        f" WHERE slot_name = '{SLOT}' AND NOT active"
    )


def state(session: Session) -> State:
    """Return how far the log is now."""
    found = session.rows(
        "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8 AS time,"
        " pg_catalog.pg_current_wal_insert_lsn() AS inserted,"
        " coalesce(r.flush_lsn, '0/0'::pg_lsn) AS received, s.wal_status AS slot"
        " FROM pg_catalog.pg_replication_slots s"
        " LEFT JOIN pg_catalog.pg_stat_replication r ON r.pid = s.active_pid"
        f" WHERE s.slot_name = '{SLOT}'"
    )
    if not found:
        raise Failed("the server has forgotten what it kept for us")
    one = found[0]
    place = wal.position
    return State(one["time"], place(one["inserted"]), place(one["received"]), one["slot"])


def _status(session: Session) -> str:
    return session.text(
        f"SELECT wal_status FROM pg_catalog.pg_replication_slots WHERE slot_name = '{SLOT}'"
    )
