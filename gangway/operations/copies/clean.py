"""What is left over of copies: of branches and worktrees that are gone, and of what was cut off."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gangway.base import output
from gangway.base.errors import GangwayError, unknown
from gangway.base.output import say
from gangway.operations import calls
from gangway.operations.copies import branches, pull, server, snapshots
from gangway.operations.project import Project


def clean(project: Project, names: Sequence[str], *, yes: bool) -> None:
    """Delete the named snapshots, or for none what is left over; says what, and asks.

    Raises GangwayError for a snapshot that there isn't, and where nobody confirms: nothing is
    deleted then.
    """
    if snapshots.dry(project):
        return
    with project.changing("clean"):
        project = calls.answering(project)
        if names:
            _snapshots(project, names, yes=yes)
        else:
            _left_over(project, yes=yes)


def _snapshots(project: Project, names: Sequence[str], *, yes: bool) -> None:
    found = server.look(project)
    there = snapshots.of(found)
    for each in names:
        if each not in there:
            raise unknown("snapshot", each, sorted(there))
    shown = ", ".join(f"{each} ({snapshots.human(there[each].size)})" for each in names)
    output.confirm(f"this deletes {_count(len(names), 'snapshot')}: {shown}", yes=yes)
    found.drop(*(there[each].name for each in names))
    say(f"deleted {_count(len(names), 'snapshot')}")


def _left_over(project: Project, *, yes: bool) -> None:
    databases = {}
    found = None
    try:
        found = server.look(project)
        databases = {each.name: "its branch is gone" for each in branches.gone(project, found)}
        databases |= {
            name: "it was cut off"
            for name in found.databases
            if name.endswith((snapshots.RESTORING, pull.PULLED))
        }
    except GangwayError as error:
        say(f"note: databases of branches that are gone aren't looked for: {error.message}")
    worktrees = {
        folder: left
        for folder, name in branches.worktrees(project).items()
        if not Path(folder).exists() and (left := project.engine.left_by(folder, name)) is not None
    }
    rows = []
    for name, why in databases.items():
        size = snapshots.human(found.databases[name].size) if found else ""
        rows.append((f"database {name}", size, why))
    for folder, left in worktrees.items():
        rows += [(each, "", f"{folder} is gone") for each in left]
    if rows:
        say(output.table(rows))
        output.confirm(f"this deletes {_count(len(rows), 'thing')}", yes=yes)
        if found:
            found.drop(*databases)
        for left in worktrees.values():
            project.engine.remove_left(left)
    for folder in worktrees:
        branches.forget_worktree(project, folder)
    say(f"deleted {_count(len(rows), 'thing')}" if rows else "nothing is left over")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
