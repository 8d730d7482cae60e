"""Development's database: snapshots of it, and what is left over of copies."""

from __future__ import annotations

from typing import Annotated as A

from gangway.operations.project import Project
from gangway.tasks.options import Option, Yes


def snapshot(
    project: Project, *name: A[str, Option("its name; the time if none is given")]
) -> None:
    """Keep the database as it is now, to go back to with dev.restore."""
    from gangway.operations.copies import snapshots

    snapshots.take(project, name)


def snapshots(project: Project) -> None:
    """List the snapshots of the database."""
    from gangway.operations.copies import snapshots

    snapshots.show(project)


def restore(project: Project, snapshot: A[str, Option("the snapshot")]) -> None:
    """Go back to a snapshot; what was there is the snapshot before-restore then."""
    from gangway.operations.copies import snapshots

    snapshots.restore(project, snapshot)


def pull(
    project: Project,
    from_: A[str, Option("a backup's folder, or a file of pg_dump -Fc", "f")],
) -> None:
    """Take production's data from a backup, anonymised by the rules in env/anonymise.yml."""
    from gangway.operations.copies import pull

    pull.pull(project, from_)


def clean(
    project: Project,
    *snapshots: A[str, Option("snapshots to delete; what is left over where none is named")],
    yes: Yes = False,
) -> None:
    """Delete copies of branches and worktrees that are gone, or snapshots; says what, and asks."""
    from gangway.operations.copies import clean

    clean.clean(project, snapshots, yes=yes)
