"""Demo data: ``python -m api.seed``. Doing it again changes nothing.

Plain SQL over asyncpg: an ORM would take longer to import than the seeding takes.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

import asyncpg

from api.settings import Settings, load

HABITS = {
    "Drink a glass of water": range(12),
    "Read ten pages": range(1, 6),
    "Go for a walk": (0, 1, 3, 4, 5, 6),
    "Write to a friend": (),
}
"""Each habit's check-ins, as days before the day of the seeding."""


async def seed(settings: Settings) -> int:
    """Add the demo habits that are missing, check-ins and all; return how many that were."""
    connection = await asyncpg.connect(
        host=settings.postgres_host,
        port=settings.postgres_port,
        database=settings.postgres_db,
        user=settings.postgres_user,
        password=settings.postgres_password,
        timeout=5,
    )
    added = 0
    try:
        async with connection.transaction():
            for name, days_ago in HABITS.items():
                habit = await connection.fetchval(
                    "INSERT INTO habits (name) VALUES ($1)"
                    " ON CONFLICT (name) DO NOTHING RETURNING id",
                    name,
                )
                if habit is None:
                    continue
                added += 1
                today = datetime.now(UTC).date()
                await connection.executemany(
                    "INSERT INTO checkins (habit_id, day) VALUES ($1, $2)",
                    [(habit, today - timedelta(days=ago)) for ago in days_ago],
                )
    finally:
        await connection.close()
    return added


async def _main() -> None:
    settings = load()
    added = await seed(settings)
    print(f"api.seed: {added} of {len(HABITS)} demo habits added", file=sys.stderr)
    if added:
        # Imported only where there is something to forget: a running API may hold an older list.
        from api.cache import Cache

        cache = Cache(settings)
        await cache.invalidate()
        await cache.close()


if __name__ == "__main__":
    asyncio.run(_main())
