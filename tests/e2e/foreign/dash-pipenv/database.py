import os
from datetime import date

import psycopg


def connect():
    return psycopg.connect(
        host=os.environ.get("DB_HOST", "localhost"),
        port=os.environ.get("DB_PORT", "5432"),
        dbname=os.environ.get("DB_NAME", "visits"),
        user=os.environ.get("DB_USER", "visits"),
        password=os.environ.get("DB_PASSWORD", ""),
        autocommit=True,
    )


def prepare():
    """Make the table; more than one process may do so at the same time."""
    with connect() as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(7341)")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS visits (day date PRIMARY KEY, number int NOT NULL)"
        )


def add(day: date) -> None:
    with connect() as connection:
        connection.execute(
            "INSERT INTO visits VALUES (%s, 1) ON CONFLICT (day) DO UPDATE"
            " SET number = visits.number + 1",
            [day],
        )


def by_day() -> dict[str, int]:
    with connect() as connection:
        rows = connection.execute("SELECT day, number FROM visits ORDER BY day").fetchall()
    return {day.isoformat(): number for day, number in rows}
