"""How Alembic reaches the database: with the application's own settings."""

import asyncio
import logging

from alembic import context
from sqlalchemy import Connection

from api.models import Base, connect, database_url, is_ours
from api.settings import load

SETTINGS = load()


def migrate(connection: Connection) -> None:
    """Run what Alembic was asked for, all of it or nothing."""
    context.configure(connection=connection, target_metadata=Base.metadata, include_name=is_ours)
    with context.begin_transaction():
        context.run_migrations()


async def online() -> None:
    """Migrate the database."""
    engine = connect(SETTINGS)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


def offline() -> None:
    """Print the SQL instead (``alembic upgrade head --sql``)."""
    context.configure(url=database_url(SETTINGS), target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


logging.basicConfig(level=SETTINGS.log_level, format="%(levelname)s %(name)s: %(message)s")
if context.is_offline_mode():
    offline()
else:
    asyncio.run(online())
