"""What the scheduler does, free of when."""

import time
from datetime import date
from pathlib import Path

import asyncpg

from scheduler.settings import Settings

LOCK = 0x67616E67
"""The advisory lock of the summary; any number that nothing else in this database uses."""

SUMMARISE = """
INSERT INTO summaries (day, habit_id, streak, longest)
SELECT $1, habit_id, streak, longest FROM habit_streaks($1)
ON CONFLICT (day, habit_id) DO UPDATE SET streak = excluded.streak, longest = excluded.longest
WHERE (summaries.streak, summaries.longest) IS DISTINCT FROM (excluded.streak, excluded.longest)
"""


async def summarise(settings: Settings, day: date) -> int | None:
    """Write each habit's streaks on ``day``; return how many rows that changed.

    Doing it again changes none. None: another scheduler is at it. Raises what asyncpg raises,
    or OSError, when the database is away.
    """
    connection = await asyncpg.connect(
        host=settings.postgres_host,
        port=settings.postgres_port,
        database=settings.postgres_db,
        user=settings.postgres_user,
        password=settings.postgres_password,
        timeout=5,
        command_timeout=60,
    )
    try:
        async with connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK):
                return None
            status = await connection.execute(SUMMARISE, day)
            return int(status.rsplit(" ", 1)[-1])
    finally:
        await connection.close(timeout=5)


def beat(file: Path) -> None:
    """Write the time in epoch seconds to ``file``, whole at every moment."""
    new = file.with_name(f"{file.name}.new")
    new.write_text(f"{int(time.time())}\n")
    new.replace(file)
