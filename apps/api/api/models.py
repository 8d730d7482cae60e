"""The tables, and the sessions that reach them."""

from datetime import date, datetime

from sqlalchemy import URL, Date, ForeignKey, Identity, Integer, String, func
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TIMESTAMP

from api.settings import Settings

NAME_LENGTH = 100


class Base(DeclarativeBase):
    """What the migrations are compared with."""


class Habit(Base):
    """Something to be done every day."""

    __tablename__ = "habits"

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH), unique=True)
    created_at: Mapped[datetime] = mapped_column(
        TIMESTAMP(timezone=True), server_default=func.now()
    )


class Checkin(Base):
    """A day on which a habit was kept."""

    __tablename__ = "checkins"

    habit_id: Mapped[int] = mapped_column(
        ForeignKey("habits.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[date] = mapped_column(Date, primary_key=True)


class Summary(Base):
    """A habit's streaks on a day, written by the scheduler."""

    __tablename__ = "summaries"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    habit_id: Mapped[int] = mapped_column(
        ForeignKey("habits.id", ondelete="CASCADE"), primary_key=True
    )
    streak: Mapped[int]
    longest: Mapped[int]


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Say whether Alembic answers for something: Django's tables beside ours are Django's."""
    return kind != "table" or not (name or "").startswith(("auth_", "django_", "jobs_"))


def database_url(settings: Settings) -> URL:
    """Return the address of the database, password included: not for a log."""
    return URL.create(
        "postgresql+asyncpg",
        username=settings.postgres_user,
        password=settings.postgres_password,
        host=settings.postgres_host,
        port=settings.postgres_port,
        database=settings.postgres_db,
    )


def connect(settings: Settings) -> AsyncEngine:
    """Return a pool that survives a restart of the database; nothing is opened yet."""
    return create_async_engine(
        database_url(settings), pool_pre_ping=True, connect_args={"timeout": 5}
    )
