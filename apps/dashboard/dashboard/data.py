"""What the plots show, read from FastAPI's database; nothing is ever written there."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from dashboard.cache import Cache
from dashboard.settings import Settings

CONNECTIONS = 4
"""Of each worker, at most: as many as it has threads."""
WAIT_SECONDS = 2.0
"""How long a request waits for a connection."""
PAUSE_SECONDS = 1.0
"""How long the database is left alone after a failure, so that requests do not all wait for it."""
STATEMENT_SECONDS = 5

HABITS = """
SELECT h.id, h.name, s.streak, s.longest, s.done_today
FROM habits h JOIN habit_streaks(%(today)s) s ON s.habit_id = h.id
ORDER BY h.name
"""
CHECKINS = """
SELECT habit_id, day::text FROM checkins
WHERE day BETWEEN %(first)s AND %(today)s
ORDER BY day, habit_id
"""
# The scheduler's summary of a day where it made one; the same calculation where it didn't.
STREAKS = """
SELECT d.day::date::text AS day, s.habit_id, s.streak
FROM generate_series(%(first)s::date, %(today)s::date, interval '1 day') AS d (day)
CROSS JOIN LATERAL habit_streaks(d.day::date) AS s
WHERE d.day = %(today)s OR NOT EXISTS (SELECT FROM summaries m WHERE m.day = d.day)
UNION ALL
SELECT day::text, habit_id, streak FROM summaries
WHERE day >= %(first)s AND day < %(today)s
ORDER BY day, habit_id
"""

log = logging.getLogger(__name__)


class DatabaseAway(Exception):
    """The database cannot be reached, or cannot answer; it may come back."""


@dataclass(frozen=True)
class Habit:
    """A habit with its streaks in days."""

    id: int
    name: str
    streak: int
    longest: int
    done_today: bool


@dataclass(frozen=True)
class Snapshot:
    """The habits over the days from `first` to `today`, both as ISO text.

    `checkins` are (habit, day), `streaks` (habit, day, length of the streak on that day).
    """

    first: str
    today: str
    habits: tuple[Habit, ...]
    checkins: tuple[tuple[int, str], ...]
    streaks: tuple[tuple[int, str, int], ...]

    @property
    def days(self) -> list[str]:
        """Every day of the period."""
        first, today = date.fromisoformat(self.first), date.fromisoformat(self.today)
        return [str(first + timedelta(days=each)) for each in range((today - first).days + 1)]

    def only(self, ids: Sequence[int]) -> "Snapshot":
        """Return the same for some habits; for none named, of all."""
        kept = set(ids) or {habit.id for habit in self.habits}
        return Snapshot(
            self.first,
            self.today,
            tuple(habit for habit in self.habits if habit.id in kept),
            tuple(entry for entry in self.checkins if entry[0] in kept),
            tuple(entry for entry in self.streaks if entry[0] in kept),
        )


class Data:
    """The database behind the cache: one small pool for all threads of a worker."""

    def __init__(self, settings: Settings, cache: Cache) -> None:
        self._settings, self._cache = settings, cache
        self._lock = threading.Lock()
        self._made: ConnectionPool[psycopg.Connection[dict[str, Any]]] | None = None
        self._away_until = 0.0

    def snapshot(self, days: int) -> Snapshot:
        """Return the habits over the last `days` days; raises DatabaseAway."""
        today = datetime.now(UTC).date()
        key = f"dashboard:1:{self._settings.postgres_db}:{today}:{days}"
        found = self._cache.get(key)
        if found is None:
            found = self._read(today - timedelta(days=days - 1), today)
            self._cache.put(key, found)
        return Snapshot(
            found["first"],
            found["today"],
            tuple(Habit(**habit) for habit in found["habits"]),
            tuple((habit, day) for habit, day in found["checkins"]),
            tuple((habit, day, length) for habit, day, length in found["streaks"]),
        )

    def ping(self) -> None:
        """Raise DatabaseAway where the database does not answer."""
        self._query(("SELECT 1 AS one", {}))

    def close(self) -> None:
        """Give the connections back."""
        if self._made is not None:
            self._made.close()

    def _read(self, first: date, today: date) -> dict[str, Any]:
        values = {"first": first, "today": today}
        habits, checkins, streaks = self._query(
            (HABITS, {"today": today}), (CHECKINS, values), (STREAKS, values)
        )
        return asdict(
            Snapshot(
                str(first),
                str(today),
                tuple(Habit(**row) for row in habits),
                tuple((row["habit_id"], row["day"]) for row in checkins),
                tuple((row["habit_id"], row["day"], row["streak"]) for row in streaks),
            )
        )

    def _query(
        self, *statements: tuple[LiteralString, dict[str, Any]]
    ) -> list[list[dict[str, Any]]]:
        """Return what each statement finds, all of them on the same state of the database."""
        if time.monotonic() < self._away_until:
            raise DatabaseAway("it was away a moment ago")
        try:
            with self._pool().connection() as connection:
                return [
                    connection.execute(sql.encode(), values).fetchall()
                    for sql, values in statements
                ]
        except (psycopg.OperationalError, PoolTimeout) as error:
            self._away_until = time.monotonic() + PAUSE_SECONDS
            log.error("the database is away: %s", " ".join(str(error).split()))  # noqa: TRY400
            raise DatabaseAway(str(error)) from error

    def _pool(self) -> "ConnectionPool[psycopg.Connection[dict[str, Any]]]":
        # A pool belongs to one process: a server may import this module before it forks.
        with self._lock:
            if self._made is None:
                settings = self._settings
                self._made = ConnectionPool(
                    kwargs={
                        "host": settings.postgres_host,
                        "port": settings.postgres_port,
                        "dbname": settings.postgres_db,
                        "user": settings.postgres_user,
                        "password": settings.postgres_password,
                        "application_name": "dashboard",
                        "connect_timeout": 2,
                        "row_factory": dict_row,
                        # Compose may put a pooler in between, which knows no prepared statements.
                        "prepare_threshold": None,
                    },
                    configure=_configure,
                    # A connection that died with the database is found out before it is used,
                    # and an attempt to connect never goes on in the background for long: the
                    # next request makes the next one.
                    check=ConnectionPool.check_connection,
                    min_size=0,
                    max_size=CONNECTIONS,
                    timeout=WAIT_SECONDS,
                    reconnect_timeout=WAIT_SECONDS,
                    open=True,
                )
            return self._made


def _configure(connection: "psycopg.Connection[Any]") -> None:
    """Make every transaction read-only and all of its statements see the same state."""
    connection.read_only = True
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
    connection.commit()
