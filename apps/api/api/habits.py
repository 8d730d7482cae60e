"""The habits: what they look like, and what can be done with them."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Request, Response
from pydantic import BaseModel, StringConstraints
from sqlalchemy import Select, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from api.cache import Cache
from api.models import NAME_LENGTH, Checkin, Habit, Summary

router = APIRouter()


class HabitIn(BaseModel):
    """A new habit; its name is one line."""

    name: Annotated[
        str,
        StringConstraints(
            strip_whitespace=True, min_length=1, max_length=NAME_LENGTH, pattern=r"^[^\x00-\x1f]+$"
        ),
    ]


class HabitOut(BaseModel):
    """A habit with its streaks in days; a streak lasts until a whole day was missed."""

    id: int
    name: str
    created_at: datetime
    streak: int
    longest: int
    done_today: bool


class CheckinIn(BaseModel):
    """The day of a check-in: today if not said, never in the future."""

    day: date | None = None


class CheckinOut(BaseModel):
    """A day on which the habit was kept."""

    habit_id: int
    day: date


class StreakOut(BaseModel):
    """A habit's streaks as the scheduler last summed them up."""

    habit_id: int
    name: str
    streak: int
    longest: int


class SummaryOut(BaseModel):
    """The latest daily summary; no day before the first."""

    day: date | None
    habits: list[StreakOut]


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    """One session a request; it takes a connection when it is first used."""
    async with request.app.state.sessions() as session:
        yield session


async def open_cache(request: Request) -> Cache:
    """Return the worker's cache."""
    cache: Cache = request.app.state.cache
    return cache


Db = Annotated[AsyncSession, Depends(open_session)]
Lists = Annotated[Cache, Depends(open_cache)]
HabitId = Annotated[int, Path(ge=1, le=2**31 - 1)]


def today() -> date:
    """Return the day it is in UTC: one day for everybody."""
    return datetime.now(UTC).date()


@router.get("/habits", response_model=list[HabitOut])
async def list_habits(db: Db, cache: Lists) -> Any:
    """List all habits by name."""
    key, habits = await cache.get(today().isoformat())
    if habits is None:
        rows = (await db.execute(_with_streaks().order_by(Habit.name))).mappings()
        habits = [HabitOut.model_validate(dict(row)).model_dump(mode="json") for row in rows]
        if key is not None:
            await cache.put(key, habits)
    return habits


@router.post("/habits", status_code=201, responses={409: {"description": "The name is taken"}})
async def add_habit(new: HabitIn, db: Db, cache: Lists) -> HabitOut:
    """Add a habit."""
    added = await db.scalar(
        insert(Habit).values(name=new.name).on_conflict_do_nothing().returning(Habit.id)
    )
    if added is None:
        raise HTTPException(409, f"there is a habit {new.name!r} already")
    await db.commit()
    await cache.invalidate()
    return await _habit(db, added)


@router.get("/habits/{habit_id}", responses={404: {"description": "No such habit"}})
async def get_habit(habit_id: HabitId, db: Db) -> HabitOut:
    """Show one habit."""
    return await _habit(db, habit_id)


@router.delete(
    "/habits/{habit_id}", status_code=204, responses={404: {"description": "No such habit"}}
)
async def delete_habit(habit_id: HabitId, db: Db, cache: Lists) -> None:
    """Delete a habit with its check-ins."""
    if await db.scalar(delete(Habit).where(Habit.id == habit_id).returning(Habit.id)) is None:
        raise _missing(habit_id)
    await db.commit()
    await cache.invalidate()


@router.post(
    "/habits/{habit_id}/checkins",
    status_code=201,
    responses={200: {"description": "Checked in before"}, 404: {"description": "No such habit"}},
)
async def check_in(
    habit_id: HabitId, db: Db, cache: Lists, response: Response, body: CheckinIn | None = None
) -> CheckinOut:
    """Check in for a day; doing it again changes nothing."""
    day = (body and body.day) or today()
    if day > today():
        raise HTTPException(422, f"{day} is in the future: today is {today()} (UTC)")
    # The lock keeps the habit from being deleted between the two statements.
    if await db.scalar(select(Habit.id).where(Habit.id == habit_id).with_for_update(read=True)):
        added = await db.scalar(
            insert(Checkin)
            .values(habit_id=habit_id, day=day)
            .on_conflict_do_nothing()
            .returning(Checkin.day)
        )
    else:
        raise _missing(habit_id)
    await db.commit()
    await cache.invalidate()
    response.status_code = 200 if added is None else 201
    return CheckinOut(habit_id=habit_id, day=day)


@router.get("/summary")
async def latest_summary(db: Db) -> SummaryOut:
    """Show the streaks that the scheduler summed up last."""
    latest = select(func.max(Summary.day)).scalar_subquery()
    rows = await db.execute(
        select(Summary, Habit.name)
        .join(Habit, Habit.id == Summary.habit_id)
        .where(Summary.day == latest)
        .order_by(Habit.name)
    )
    found = [(summary, name) for summary, name in rows]
    return SummaryOut(
        day=found[0][0].day if found else None,
        habits=[
            StreakOut(habit_id=row.habit_id, name=name, streak=row.streak, longest=row.longest)
            for row, name in found
        ],
    )


def _with_streaks() -> Select[Any]:
    streaks = func.habit_streaks(today()).table_valued(
        "habit_id", "streak", "longest", "done_today"
    )
    return select(Habit.__table__, *list(streaks.c)[1:]).join(
        streaks, streaks.c.habit_id == Habit.id
    )


async def _habit(db: AsyncSession, habit_id: int) -> HabitOut:
    row = (await db.execute(_with_streaks().where(Habit.id == habit_id))).mappings().first()
    if row is None:
        raise _missing(habit_id)
    return HabitOut.model_validate(dict(row))


def _missing(habit_id: int) -> HTTPException:
    return HTTPException(404, f"there is no habit {habit_id}")
