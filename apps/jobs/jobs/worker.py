"""The worker: ``python -m jobs.worker``. Its main process looks after jobs that were forgotten."""

import logging
import os
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobs.settings")
django.setup()

from celery import bootsteps, signals  # noqa: E402
from celery.platforms import SecurityWarning  # noqa: E402
from celery.worker import state  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import DatabaseError, connection  # noqa: E402
from kombu.exceptions import OperationalError  # noqa: E402

from jobs import progress, request_id, work  # noqa: E402
from jobs.channel import AWAY  # noqa: E402
from jobs.queue import QUEUE, TASK, app, send  # noqa: E402
from jobs.stopping import STOPPING  # noqa: E402

SEARCH = 2.0
"""Seconds between searches for forgotten jobs."""
STUCK = 10.0
"""A loop that has not turned for so many seconds hangs."""
SPARE = 3.0
"""Seconds of the grace period that are kept for putting a job back and for the end itself."""

HASTE = 1.5
"""Seconds that putting jobs back may take under the reloader."""

log = logging.getLogger(__name__)


@app.task(name=TASK, bind=True)
def run(task: Any, job_id: str) -> None:
    """Do a job."""
    request_id.take(task.request.headers or {})
    log.info("job %s", job_id)
    try:
        work.run(UUID(job_id))
    except work.Stopped:
        log.info("job %s is put back", job_id)
        send(UUID(job_id))
    finally:
        connection.close()


class Caretaker(bootsteps.StartStopStep):
    """Runs in the worker's own loop while the broker answers, so that no fork meets a thread."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """The broker answers."""
        PULSE.turning = True
        PULSE.beat()
        self.timers = [
            consumer.timer.call_repeatedly(1.0, PULSE.beat),
            consumer.timer.call_repeatedly(SEARCH, search, (consumer,)),
        ]

    def stop(self, consumer: Any) -> None:
        """It is away: until it is back the loop only waits for it."""
        PULSE.turning = False
        for timer in getattr(self, "timers", ()):
            timer.cancel()

    shutdown = terminate = stop


class Pulse:
    """The heartbeat's file: as young as the worker's loop, or now while that waits for Redis."""

    def __init__(self, file: Path) -> None:
        self.turning = False
        self._file = file
        self._last = 0.0

    def beat(self) -> None:
        """The loop has turned."""
        self._last = time.monotonic()

    def go_on(self) -> None:
        """Write the file every second, for ever."""
        while True:
            if not self.turning or time.monotonic() - self._last < STUCK:
                new = self._file.with_name(f"{self._file.name}.new")
                new.write_text(f"{int(time.time())}\n")
                new.replace(self._file)
            time.sleep(1)


PULSE = Pulse(Path(tempfile.gettempdir()) / "heartbeat")


def search(consumer: Any) -> None:
    """Tell the broker of the jobs that it should know and doesn't."""
    try:
        with consumer.app.connection_for_write() as broker:
            empty = broker.default_channel.client.llen(QUEUE) == 0
        for job in progress.forgotten(queue_empty=empty):
            log.warning("job %s was forgotten: it is sent again", job)
            send(job)
    except (DatabaseError, OperationalError, *AWAY) as error:
        log.warning("no search for forgotten jobs: %s", error)
    finally:
        connection.close()


@signals.worker_shutting_down.connect
def _stop(**_: Any) -> None:
    """Give the jobs what there is of time; the reloader gives none."""
    env = settings.ENV
    STOPPING.within(0 if env.reloading else max(0.5, env.graceful_seconds - SPARE))
    if env.reloading:
        threading.Thread(target=_leave).start()


def _leave() -> None:
    """End as soon as the jobs are put back: Celery would take its pool apart for a second or two.

    The reloader ends what is left of the pool.
    """
    deadline = time.monotonic() + HASTE
    while state.active_requests and time.monotonic() < deadline:
        time.sleep(0.02)
    os._exit(0)


def main() -> None:
    """Work until SIGTERM."""
    # It takes whoever has no name for root; a container's user has none.
    warnings.simplefilter("ignore", SecurityWarning)
    app.steps["consumer"].add(Caretaker)
    threading.Thread(target=PULSE.go_on, daemon=True, name="pulse").start()
    env = settings.ENV
    status = app.worker_main(
        [
            "--quiet",
            "worker",
            *("--pool", "prefork", "--concurrency", str(env.concurrency)),
            *("--queues", QUEUE, "--loglevel", env.log_level),
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )
    if STOPPING.asked:
        sys.exit(status)
    # Celery gives up on some losses of its broker from which a new process recovers.
    log.error("the worker ended with status %s; it starts again", status)
    time.sleep(1)
    os.execv(sys.executable, [sys.executable, "-m", "jobs.worker"])


if __name__ == "__main__":
    main()
