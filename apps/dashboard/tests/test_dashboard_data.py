"""What is read from the database, and what happens while it is away."""

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from dashboard import data as dashboard_data
from dashboard.data import Data, DatabaseAway

MakeData = Callable[..., Data]
Add = Callable[..., int]


def day(ago: int) -> str:
    return str(datetime.now(UTC).date() - timedelta(days=ago))


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_snapshot_has_the_days_that_were_asked_for(data: Data, add: Add) -> None:
    read = add("Read", (0, 1, 13, 14, 40))
    found = data.snapshot(14)
    assert (found.first, found.today, len(found.days)) == (day(13), day(0), 14)
    assert sorted(found.checkins) == [(read, day(13)), (read, day(1)), (read, day(0))]
    (habit,) = found.habits
    assert (habit.name, habit.streak, habit.longest, habit.done_today) == ("Read", 2, 2, True)


def test_a_streak_grows_and_ends_on_the_day_after_a_missed_one(data: Data, add: Add) -> None:
    walk = add("Walk", (2, 3, 4))
    lengths = {day: length for _, day, length in data.snapshot(14).streaks}
    assert [lengths[day(ago)] for ago in (5, 4, 3, 2, 1, 0)] == [0, 1, 2, 3, 3, 0]
    assert data.snapshot(14).streaks[0] == (walk, day(13), 0)


def test_the_scheduler_s_summary_of_a_past_day_counts(data: Data, add: Add, database: Any) -> None:
    read = add("Read", (3,))
    three_days_ago = datetime.now(UTC).date() - timedelta(days=3)
    database.execute("INSERT INTO summaries VALUES ($1, $2, 7, 7)", three_days_ago, read)
    found = [length for _, each, length in data.snapshot(14).streaks if each == day(3)]
    assert found == [7]


def test_a_filter_keeps_some_habits_and_an_empty_one_all(data: Data, add: Add) -> None:
    read, walk = add("Read", (0,)), add("Walk", (1,))
    whole = data.snapshot(14)
    only = whole.only([walk])
    assert [habit.id for habit in only.habits] == [walk]
    assert only.checkins == ((walk, day(1)),)
    assert {habit for habit, _, _ in only.streaks} == {walk}
    assert whole.only([]) == whole
    assert {habit.id for habit in whole.habits} == {read, walk}


def test_nothing_can_be_written(data: Data, add: Add) -> None:
    add("Read")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        data._query(("DELETE FROM habits RETURNING id", {}))
    assert len(data.snapshot(14).habits) == 1


def test_a_database_that_drops_its_connections_is_not_noticed(
    data: Data, add: Add, database: Any
) -> None:
    add("Read")
    assert len(data.snapshot(14).habits) == 1
    ended = database.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'dashboard' AND datname = current_database()"
    )
    assert ended
    assert len(data.snapshot(14).habits) == 1


def test_a_database_that_is_away_is_said_so_at_once_the_second_time(
    make_data: MakeData, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard_data, "WAIT_SECONDS", 0.3)
    data = make_data(postgres_host="127.0.0.1", postgres_port=closed_port)
    with pytest.raises(DatabaseAway):
        data.ping()
    with pytest.raises(DatabaseAway, match="a moment ago"):
        data.ping()


def test_what_was_read_is_kept_for_some_seconds(make_data: MakeData, add: Add) -> None:
    kept, fresh = make_data(cache_seconds=30), make_data()
    days = 14
    kept._cache._redis.delete(f"dashboard:1:{kept._settings.postgres_db}:{day(0)}:{days}")
    add("Read", (0,))
    before = kept.snapshot(days)
    add("Walk")
    assert kept.snapshot(days) == before
    assert len(fresh.snapshot(days).habits) == 2
    kept._cache._redis.delete(f"dashboard:1:{kept._settings.postgres_db}:{day(0)}:{days}")
    assert len(kept.snapshot(days).habits) == 2


def test_without_redis_every_request_asks_the_database(
    make_data: MakeData, add: Add, closed_port: int
) -> None:
    data = make_data(cache_seconds=30, redis_host="127.0.0.1", redis_port=closed_port)
    add("Read")
    assert len(data.snapshot(14).habits) == 1
    add("Walk")
    assert len(data.snapshot(14).habits) == 2
