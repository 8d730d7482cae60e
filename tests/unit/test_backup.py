"""Which backups are kept, and what counts as a damaged or an overdue one: no server needed."""

from __future__ import annotations

import calendar
import random
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from backup import keep, place, settings, state
from backup.errors import Failed, Refused

DAY = 86400
START = calendar.timegm((2026, 1, 1, 3, 0, 0, 0, 0, 0))


def kept(rule: str, times: Mapping[str, float], proven: list[str]) -> list[str]:
    gone = set(keep.gone(keep.parse(rule), times, proven))
    return [name for name in times if name not in gone]


def test_a_year_of_daily_backups_leaves_days_weeks_and_months() -> None:
    times = {f"{day:03}": START + day * DAY for day in range(365)}
    left = kept("days=7 weeks=4 months=6", times, list(times))
    assert left[-7:] == ["358", "359", "360", "361", "362", "363", "364"]
    dates = [time.strftime("%m-%d", time.gmtime(times[name])) for name in left]
    assert dates[:5] == ["07-31", "08-31", "09-30", "10-31", "11-30"]
    # 28 December begins a week, whose newest is the last of all.
    assert dates[5:8] == ["12-13", "12-20", "12-25"]


def test_a_proven_one_is_kept_before_a_newer_one_that_is_not() -> None:
    times = {"early": START, "late": START + 3600.0, "next": START + DAY}
    assert kept("days=2", times, ["early", "next"]) == ["early", "next"]
    assert kept("days=2", times, []) == ["late", "next"]


def test_neither_the_newest_nor_the_last_proven_one_ever_goes() -> None:
    chance = random.Random(7)  # noqa: S311 - the same ones each time
    for _ in range(300):
        times = {str(n): START + chance.random() * 90 * DAY for n in range(chance.randint(1, 40))}
        proven = [name for name in times if chance.random() < 0.1]
        rule = f"days={chance.randint(0, 3)} months={chance.randint(1, 2)}"
        left = kept(rule, times, proven)
        assert max(times, key=lambda name: times[name]) in left
        if proven:
            assert max(proven, key=lambda name: times[name]) in left


@pytest.mark.parametrize("rule", ["", "days=0", "days", "days=x", "fortnights=2", "days=-1"])
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(Refused):
        keep.parse(rule)


def test_what_fails_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    here = place.Place(tmp_path)

    def fail() -> None:
        with here.making("logical", "20260101-000000") as folder:
            (folder / "file").touch()
            raise Failed("full")

    with pytest.raises(Failed):
        fail()
    assert here.names("logical") == [] and list((tmp_path / "logical").iterdir()) == []


def test_what_was_killed_is_swept_and_what_is_whole_stays(tmp_path: Path) -> None:
    here = place.Place(tmp_path)
    with here.making("logical", "20260101-000000"):
        pass
    (tmp_path / "logical" / "20260102-000000.partial").mkdir()
    (here.folder("scratch") / "left").mkdir()
    assert here.names("logical") == ["20260101-000000"]
    assert len(here.sweep()) == 2
    assert here.names("logical") == ["20260101-000000"]


def test_a_name_has_the_time_and_the_release_and_is_found_by_a_part(tmp_path: Path) -> None:
    here = place.Place(tmp_path)
    name = place.new_name("20251231-120000-a1b2 c/d", START)
    assert name == "20260101-030000-20251231-120000-a1b2-c-d"
    for each in (name, place.new_name("", START + 1)):
        with here.making("logical", each):
            pass
    assert here.find("logical", "a1b2").name == name
    assert here.find("logical", "").name == "20260101-030001"
    with pytest.raises(Refused, match="part of several names"):
        here.find("logical", "20260101")


def test_an_address_is_read_with_its_driver_and_its_options() -> None:
    url = "postgresql+asyncpg://us%40er:p%3Aw@db.example:6000/shop?sslmode=require&pool=3"
    found = settings.server({"DATABASE_URL": url})
    assert (found.host, found.port, found.user, found.database) == (
        "db.example", 6000, "us@er", "shop",
    )  # fmt: skip
    variables = found.environment()
    assert variables["PGSSLMODE"] == "require" and "p:w" not in str(variables)
    assert Path(variables["PGPASSFILE"]).read_text() == "*:*:*:*:p\\:w\n"
    assert Path(variables["PGPASSFILE"]).stat().st_mode & 0o077 == 0
    with pytest.raises(Refused):
        settings.server({"DATABASE_URL": "mysql://x/y"})


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (2e6, "23 d")]
)
def test_a_time_span_is_short(seconds: float, shown: str) -> None:
    assert state.ago(seconds) == shown
