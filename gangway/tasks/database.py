"""The database's migrations and example data."""

from __future__ import annotations

import re
from typing import Annotated as A

from gangway.operations.session import Session
from gangway.tasks.options import Option


def migrate(session: Session) -> int:
    """Bring the database to the newest migration."""
    from gangway.operations import operations

    return operations.one_off(session, "migrate")


def makemigration(session: Session, message: A[str, Option("what the migration does", "m")]) -> int:
    """Write a new migration from what the models have and the database lacks."""
    from gangway.operations import operations

    name = re.sub(r"\W+", "_", message).strip("_").lower()
    return operations.migration_tool(session, "MAKEMIGRATION_COMMAND", message=message, name=name)


def downgrade(
    session: Session,
    to: A[str, Option("revision to go back to; -1 is one step, with Alembic")] = "-1",
) -> int:
    """Take the newest migration back, or all down to a revision."""
    from gangway.operations import operations

    return operations.migration_tool(session, "DOWNGRADE_COMMAND", revision=to)


def history(session: Session) -> int:
    """List the migrations, the current one marked."""
    from gangway.operations import operations

    return operations.migration_tool(session, "HISTORY_COMMAND")


def seed(session: Session) -> int:
    """Put the example data into the database; safe to repeat."""
    from gangway.operations import operations

    return operations.one_off(session, "seed")
