"""What a report says, and what none can be made of."""

from typing import Any

import pytest

from jobs import reports


def test_days_kept_longest_row_and_streak(body: dict[str, Any]) -> None:
    request = reports.parse(body)
    read, walk = (reports.figures(habit, request) for habit in request.habits)
    assert read == {"name": "Read", "kept": 3, "share": 0.3, "longest": 2, "streak": 0}
    assert walk == {"name": "Walk", "kept": 2, "share": 0.2, "longest": 2, "streak": 2}


def test_the_whole_names_the_best_and_the_share_of_all(body: dict[str, Any]) -> None:
    request = reports.parse(body)
    whole = reports.summary([reports.figures(each, request) for each in request.habits], request)
    assert (whole["best"], whole["days"], whole["share"]) == ("Read", 10, 0.25)


def test_what_a_user_typed_is_no_markup_on_the_page(body: dict[str, Any]) -> None:
    body["habits"][0]["name"] = "<script>alert(1)</script>"
    request = reports.parse(body)
    steps = [reports.figures(each, request) for each in request.habits]
    page = reports.page(reports.summary(steps, request))
    assert "<script>" not in page and "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"from": "yesterday"}, "from is not a date"),
        ({"from": None}, "from is not a date"),
        ({"to": "2026-10-31"}, "before from"),
        ({"to": "2028-01-01"}, "more than 366"),
        ({"habits": []}, "1 to 100 habits"),
        ({"habits": [{}] * 101}, "1 to 100 habits"),
        ({"habits": "all"}, "1 to 100 habits"),
        ({"habits": ["Read"]}, "not an object"),
        ({"habits": [{"name": " ", "days": []}]}, "habit's name"),
        ({"habits": [{"name": "a\x00b"}]}, "printed"),
        ({"habits": [{"name": "Read", "days": ["2026-13-01"]}]}, "a day of 'Read'"),
        ({"habits": [{"name": "Read", "days": "all"}]}, "days of 'Read'"),
        ({"title": "x" * 101}, "title"),
        ({"title": 7}, "title"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_the_reason(
    body: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    with pytest.raises(reports.Unusable, match=said):
        reports.parse(body | change)


@pytest.mark.parametrize("other", [None, [], "x", 3])
def test_what_is_no_object_is_refused(other: object) -> None:
    with pytest.raises(reports.Unusable, match="not a JSON object"):
        reports.parse(other)
