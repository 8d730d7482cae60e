"""The database's migrations and example data."""

from __future__ import annotations

import re
from typing import Annotated as A

from gangway.operations.project import Project
from gangway.tasks.options import Option, Yes


def migrate(project: Project) -> int:
    """Bring the database to the newest migration."""
    from gangway.operations import database

    return database.one_off(project, "migrate")


def makemigration(project: Project, message: A[str, Option("what the migration does", "m")]) -> int:
    """Write a new migration from what the models have and the database lacks."""
    from gangway.operations import database

    name = re.sub(r"\W+", "_", message).strip("_").lower()
    return database.migration_tool(project, "MAKEMIGRATION_COMMAND", message=message, name=name)


def downgrade(
    project: Project,
    to: A[str, Option("revision to go back to; -1 is one step, with Alembic")] = "-1",
) -> int:
    """Take the newest migration back, or all down to a revision."""
    from gangway.operations import database

    return database.migration_tool(project, "DOWNGRADE_COMMAND", revision=to)


def history(project: Project) -> int:
    """List the migrations, the current one marked."""
    from gangway.operations import database

    return database.migration_tool(project, "HISTORY_COMMAND")


def seed(project: Project) -> int:
    """Put the example data into the database; safe to repeat."""
    from gangway.operations import database

    return database.one_off(project, "seed")


def upgrade_postgres(
    project: Project,
    to: A[int, Option("the major to go to; else that of POSTGRES_IMAGE")] = 0,
    back: A[bool, Option("go back to the old PostgreSQL and its data; asks first")] = False,
    no_backup: A[bool, Option("production: make no backup first")] = False,
    yes: Yes = False,
) -> None:
    """Take the database to a newer PostgreSQL, copied and compared; keeps the old data."""
    from gangway.operations.upgrade import upgrade

    if back:
        upgrade.back(project, yes=yes)
    else:
        upgrade.upgrade(project, to, backup=not no_backup)
