"""What a report says: for each habit how often and how long in a row it was kept."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.template.loader import render_to_string

MOST_HABITS = 100
MOST_DAYS = 366
NAME_LENGTH = 100


class Unusable(ValueError):
    """A request that no report can be made of; the text says why."""


@dataclass(frozen=True)
class Habit:
    """A habit and the days on which it was kept."""

    name: str
    days: frozenset[date]


@dataclass(frozen=True)
class Request:
    """What is reported on: the days from ``first`` to ``last``."""

    title: str
    first: date
    last: date
    habits: tuple[Habit, ...]

    @property
    def length(self) -> int:
        """The number of days."""
        return (self.last - self.first).days + 1


def parse(body: Any) -> Request:
    """Return the request in a JSON object; raise Unusable with the first thing that is wrong."""
    if not isinstance(body, dict):
        raise Unusable("the body is not a JSON object")
    first, last = _day(body.get("from"), "from"), _day(body.get("to"), "to")
    if last < first:
        raise Unusable(f"to ({last}) is before from ({first})")
    if (last - first).days >= MOST_DAYS:
        raise Unusable(f"the days from {first} to {last} are more than {MOST_DAYS}")
    habits = body.get("habits")
    if not isinstance(habits, list) or not 0 < len(habits) <= MOST_HABITS:
        raise Unusable(f"habits is not a list of 1 to {MOST_HABITS} habits")
    title = _line(body.get("title", "Habits"), "title")
    return Request(title, first, last, tuple(_habit(habit) for habit in habits))


def written(request: Request) -> dict[str, Any]:
    """Return a request as `parse` reads it, with nothing else that a client may have sent."""
    return {
        "title": request.title,
        "from": request.first.isoformat(),
        "to": request.last.isoformat(),
        "habits": [
            {"name": habit.name, "days": sorted(day.isoformat() for day in habit.days)}
            for habit in request.habits
        ],
    }


def figures(habit: Habit, request: Request) -> dict[str, Any]:
    """Return how a habit was kept: days kept, the share of all days, the longest row of days."""
    longest = row = 0
    for offset in range(request.length):
        row = row + 1 if request.first + timedelta(offset) in habit.days else 0
        longest = max(longest, row)
    kept = sum(request.first <= day <= request.last for day in habit.days)
    share = round(kept / request.length, 3)
    # The row that is still going on at the end of the report is the streak.
    return {"name": habit.name, "kept": kept, "share": share, "longest": longest, "streak": row}


def summary(steps: list[dict[str, Any]], request: Request) -> dict[str, Any]:
    """Return the whole report: the habits' figures and what they come to together."""
    best = max(steps, key=lambda step: (step["kept"], step["longest"]))
    return {
        "title": request.title,
        "from": request.first.isoformat(),
        "to": request.last.isoformat(),
        "days": request.length,
        "best": best["name"],
        "share": round(sum(step["kept"] for step in steps) / (len(steps) * request.length), 3),
        "habits": steps,
    }


def page(result: dict[str, Any]) -> str:
    """Return the report as a page of HTML that needs nothing from outside."""
    return str(render_to_string("jobs/report.html", {"report": result}))


def _habit(body: Any) -> Habit:
    if not isinstance(body, dict):
        raise Unusable("a habit is not an object with name and days")
    name = _line(body.get("name"), "a habit's name")
    days = body.get("days", [])
    if not isinstance(days, list) or len(days) > MOST_DAYS:
        raise Unusable(f"the days of {name!r} are not a list of at most {MOST_DAYS} dates")
    return Habit(name, frozenset(_day(day, f"a day of {name!r}") for day in days))


def _line(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > NAME_LENGTH:
        raise Unusable(f"{what} is not a line of 1 to {NAME_LENGTH} characters")
    if not value.isprintable():
        raise Unusable(f"{what} has characters that cannot be printed")
    return value.strip()


def _day(value: Any, what: str) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise Unusable(f"{what} is not a date such as 2026-01-31") from None
