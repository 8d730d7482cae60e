"""What leads to a moment, from what is kept: no server, no log."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from backup import moments, wal
from backup.errors import Refused
from backup.moments import At, Base, Log
from backup.physical import kept
from backup.wal import Segment

SIZE = 16 << 20
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def hours(number: float) -> datetime:
    return NOON + timedelta(hours=number)


def base(name: str, start: int, at: float, system: str = "1", **more: object) -> Base:
    return Base(
        name, system, SIZE, 1, start * SIZE + 40, start * SIZE + 400, hours(at), 700, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def log(folder: Path, *numbers: int, covered: float, system: str = "1") -> Log:
    files = {}
    for number in numbers:
        path = folder / f"{system}-{number}"
        path.touch()
        files[Segment(1, number)] = path
    return Log(system, SIZE, numbers[-1] * SIZE + 500, hours(covered), files)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("latest", At("latest")),
        ("latest 77", At("latest 77", system="77")),
        ("4711", At("4711", xid=4711)),
        ("before 4711", At("before 4711", xid=4711, before=True)),
        ("2026-11-27 12:00", At("2026-11-27 12:00", hours(-1))),
        ("2026-11-27T12:00:00Z", At("2026-11-27T12:00:00Z", NOON)),
        ("2026-11-27 14:00:00+02:00", At("2026-11-27 14:00:00+02:00", NOON)),
    ],
)
def test_a_moment_is_read_as_people_write_it(text: str, wanted: At) -> None:
    assert moments.parse(text, timezone(timedelta(hours=1))) == wanted


@pytest.mark.parametrize("text", ["", "now", "2026-11-27", "before latest", "12:00", "-5", "2"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(Refused, match=r"is no moment|has no time of the day"):
        moments.parse(text, UTC)


def test_the_newest_copy_before_a_moment_leads_to_it(tmp_path: Path) -> None:
    found = moments.reaches(
        [base("a", 1, 0), base("b", 3, 2)], {"1": log(tmp_path, 1, 2, 3, 4, covered=4)}
    )
    assert moments.choose(At("", hours(1)), found).reach.base.name == "a"
    assert moments.choose(At("", hours(3)), found).reach.base.name == "b"
    assert moments.choose(At("", hours(4)), found).reach.base.name == "b"
    for outside in (-1, 4.1):
        with pytest.raises(Refused, match="outside of what is kept"):
            moments.choose(At("", hours(outside)), found)


def test_nothing_leads_over_a_hole(tmp_path: Path) -> None:
    found = moments.reaches(
        [base("a", 1, 0), base("b", 4, 2)], {"1": log(tmp_path, 1, 2, 4, 5, covered=4)}
    )
    assert [each.whole for each in found] == [True, False]
    assert [each.number for each in found[1].segments] == [1, 2]
    assert moments.choose(At(""), found).reach.base.name == "b"


def test_a_copy_whose_end_is_missing_leads_nowhere(tmp_path: Path) -> None:
    assert moments.reaches([base("a", 3, 0)], {"1": log(tmp_path, 1, 2, covered=4)}) == []


def test_of_two_servers_one_must_be_named(tmp_path: Path) -> None:
    found = moments.reaches(
        [base("a", 1, 0, "1"), base("b", 1, 3, "2")],
        {
            "1": log(tmp_path, 1, 2, covered=2),
            "2": log(tmp_path, 1, 2, covered=4, system="2"),
        },
    )
    with pytest.raises(Refused, match="of which server") as refused:
        moments.choose(At("latest"), found)
    assert refused.value.fix.startswith("--at 'latest 1' until 2026-11-27 14:00")
    assert moments.choose(At("latest 1", system="1"), found).reach.base.name == "a"
    assert moments.choose(At("", hours(1)), found).reach.base.name == "a"


def test_names_of_segments_go_on_from_one_file_to_the_next() -> None:
    last = wal.segment("0000000100000001000000FF.gz", SIZE)
    assert last == Segment(1, 511)
    assert last.next.name(SIZE) == "000000010000000200000000"
    assert wal.segment("00000001.history", SIZE) is None
    assert wal.written(wal.position("1/FF000028")) == "1/FF000028"


def test_copies_are_kept_for_every_moment_of_the_days() -> None:
    old, anchor, young = (
        base(name, 1, at, proven=True) for name, at in zip("abc", (-72, -50, -1), strict=True)
    )
    unproven = base("d", 1, -49)
    builds_on = base("e", 1, -2, parents=("a",), proven=True)
    assert kept([old, anchor, unproven, young], "1", NOON, 2) == {"b", "c", "d"}
    assert kept([old, anchor, builds_on], "1", NOON, 2) == {"a", "b", "e"}
    assert kept([old, anchor], "2", NOON, 1) == set()
    assert kept([unproven], "1", NOON, 1) == {"d"}
