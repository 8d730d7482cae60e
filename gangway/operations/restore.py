"""Restoring a backup: beside what runs, proven there, then put in its place by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gangway.base.errors import GangwayError
from gangway.base.output import confirm, say
from gangway.operations import backups, maintenance
from gangway.operations.project import Project

PATIENCE = 30.0
"""Seconds that a request waits at most while the databases change places: that takes one."""


def restore(project: Project, name: str, *, yes: bool) -> None:
    """Restore a backup, the newest or one by its name, in the place of the database.

    What is there now is kept under another name. Raises GangwayError, with nothing changed, for a
    backup that is not to be trusted, and backups.Failed where it can't be restored.
    """
    project = backups.opened(project)
    found = backups.ask(project, "check", *([name] if name else [])) or name or "NAME"
    _confirm(project, f"backup {found}", yes=yes)
    _put(project, found, f"backup {found}")


def restore_moment(project: Project, moment: str, *, yes: bool) -> None:
    """Put the database back to a moment: a time, a transaction's number or `latest`.

    Raises as `restore` does, and for a moment outside of the log that is kept.
    """
    project = backups.opened(project)
    backups.ask(project, "moment", moment)
    what = f"what it was at {moment}"
    _confirm(project, what, yes=yes)
    if not project.dry_run:
        say(f"looking for {moment}: the log is replayed on a copy of the server's files")
    found = backups.ask(project, "recover", moment) or "NAME"
    _put(project, found, f"{what}, backup {found}")


def _confirm(project: Project, what: str, *, yes: bool) -> None:
    if not project.dry_run:
        database = project.environment.get("POSTGRES_DB")
        confirm(
            f"this puts {what} in the place of the database {database}, which is kept under "
            "another name",
            yes=yes,
        )


def _put(project: Project, found: str, what: str) -> None:
    """Restore a backup beside the database, and have them change places."""
    database = project.environment.get("POSTGRES_DB")
    if not project.dry_run:
        say(f"restoring {found} beside {database}, and comparing it; the apps serve on")
    backups.ask(project, "prepare", found)
    with _waiting(project):
        old = backups.ask(project, "swap")
    if not project.dry_run:
        say(f"{database} is {what}; what it was before is {old}")
        say(f"  invoke {project.name}.cache --flush: what is cached is still of before")
        say(f"  invoke {project.name}.restore --back puts that back")
        say(f"  invoke {project.name}.restore --forget deletes it")


def back(project: Project, *, yes: bool) -> None:
    """Put back what the last restore put aside, and keep what is there now in the same way."""
    project = backups.opened(project)
    if not project.dry_run:
        aside = backups.ask(project, "kept").splitlines()
        if not aside:
            raise GangwayError("no restore has put a database aside")
        database = project.environment.get("POSTGRES_DB")
        confirm(f"this puts {aside[-1]} in the place of the database {database}", yes=yes)
    with _waiting(project):
        say(backups.ask(project, "back"))


def forget(project: Project, *, yes: bool) -> None:
    """Delete what restores have put aside, after asking."""
    project = backups.opened(project)
    aside = backups.ask(project, "kept", "--all").split()
    if not project.dry_run:
        if not aside:
            say("no restore has put a database aside")
            return
        confirm(f"this deletes {', '.join(aside)}", yes=yes)
    backups.ask(project, "forget")
    if not project.dry_run:
        say(f"deleted: {', '.join(aside)}")


@contextmanager
def _waiting(project: Project) -> Iterator[None]:
    """Let requests wait at the proxy while the block goes on; without a proxy nobody does."""
    try:
        maintenance.pause(project, PATIENCE)
    except GangwayError as error:
        say(f"nobody is kept waiting: {error.message}")
        yield
        return
    try:
        yield
    finally:
        maintenance.resume(project)
