"""Run the jobs until SIGTERM: ``python -m scheduler``."""

import asyncio
import logging
import signal
from datetime import UTC, datetime, timedelta

import asyncpg
from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]

from scheduler import logs
from scheduler.jobs import beat, summarise
from scheduler.settings import Settings, load

RETRY = timedelta(seconds=30)

log = logging.getLogger("scheduler")


async def daily(scheduler: AsyncIOScheduler, settings: Settings) -> None:
    """Sum up the day; where the database is away, say so and come back."""
    day = datetime.now(UTC).date()
    try:
        changed = await summarise(settings, day)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        log.error("no summary of %s, next try in %s: %r", day, RETRY, error)  # noqa: TRY400
        scheduler.add_job(
            daily,
            "date",
            run_date=datetime.now(UTC) + RETRY,
            args=[scheduler, settings],
            id="retry",
            replace_existing=True,
        )
        return
    log.info("summary of %s: %s", day, "another scheduler's" if changed is None else changed)


async def heartbeat(settings: Settings) -> None:
    """Show that this event loop turns; a coroutine, so that it is run by the loop itself."""
    beat(settings.heartbeat_file)


async def run(settings: Settings) -> None:
    """Run the jobs until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})
    now = datetime.now(UTC)
    scheduler.add_job(heartbeat, "interval", seconds=1, args=[settings], next_run_time=now)
    scheduler.add_job(
        daily, "cron", hour=0, minute=1, args=[scheduler, settings], next_run_time=now
    )
    scheduler.start()
    log.info("started")
    await stop.wait()
    scheduler.shutdown(wait=False)
    log.info("stopped")


def main() -> None:
    """Start with the environment's settings."""
    settings = load()
    logs.configure(settings.log_level, as_json=settings.json_logs)
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
