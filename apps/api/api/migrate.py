"""Bring the database up to date: ``python -m api.migrate``.

The same as ``alembic upgrade head``, but nearly always there is nothing to do, and to find that
out takes a fraction of the time that Alembic takes to import.
"""

import ast
import asyncio
import os
import re
import sys
from pathlib import Path

import asyncpg

from api.settings import Settings, load

VERSIONS = Path(__file__).parents[1] / "migrations" / "versions"
IDENTIFIER = re.compile(r"^(revision|down_revision)\b[^=]*=(.*)$", re.MULTILINE)


def heads(versions: Path = VERSIONS) -> set[str]:
    """Return the migrations that no other one follows; ValueError where only Alembic can tell."""
    known: set[str] = set()
    followed: set[str] = set()
    for file in versions.glob("*.py"):
        found = dict(IDENTIFIER.findall(file.read_text(encoding="utf-8")))
        try:
            revision, down = (
                ast.literal_eval(found[name].strip()) for name in ("revision", "down_revision")
            )
        except (KeyError, SyntaxError, ValueError) as error:
            raise ValueError(f"{file}: {error}") from error
        known.add(revision)
        followed.update([down] if isinstance(down, str) else down or ())
    return known - followed


async def applied(settings: Settings) -> set[str]:
    """Return the migrations that the database stands at."""
    connection = await asyncpg.connect(
        host=settings.postgres_host,
        port=settings.postgres_port,
        database=settings.postgres_db,
        user=settings.postgres_user,
        password=settings.postgres_password,
        timeout=5,
    )
    try:
        rows = await connection.fetch("SELECT version_num FROM alembic_version")
    finally:
        await connection.close()
    return {row[0] for row in rows}


def main() -> None:
    """Return if the database is up to date, else do what ``alembic upgrade head`` does."""
    last: set[str] = set()
    try:
        last = heads()
        up_to_date = asyncio.run(applied(load())) == last
    except (asyncpg.PostgresError, OSError, ValueError):
        # A new database, or something that Alembic explains better.
        up_to_date = False
    if up_to_date:
        print("api.migrate: the database is up to date", file=sys.stderr)
        return
    if len(last) > 1:
        print(
            f"api.migrate: {' and '.join(sorted(last))} both come last, as after a merge of two"
            ' branches; join them: invoke dev.run migrate -- alembic merge -m "join" heads',
            file=sys.stderr,
        )
        raise SystemExit(2)
    from alembic.config import main as alembic

    os.chdir(VERSIONS.parents[1])
    alembic(["upgrade", "head"], prog="alembic")


if __name__ == "__main__":
    main()
