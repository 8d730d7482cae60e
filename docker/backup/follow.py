"""The service `backup-log`: has the server's log as it is written, to the second.

PostgreSQL's pg_receivewal writes it down, on the disk as it arrives. Beside that, each second: how
far it is, whole segments compressed, and the copies of the cluster that it leads on from looked
after (upkeep.py).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

from backup import kept_log, programs, sql, stream, wal
from backup import settings as known
from backup.errors import Failed, Refused
from backup.kept_log import Reached
from backup.place import Place
from backup.settings import Settings
from backup.stream import State
from backup.upkeep import Upkeep

TURN = 1.0
"""Seconds between two looks."""
RETRY = 2.0
ANSWER = 15
"""How many seconds the server has for an answer."""
# How many segments are compressed in one turn.
_AT_ONCE = 4


def alive() -> bool:
    """Say whether somebody here tries to follow a log, whether that goes well or not."""
    beat = _beat()
    return beat.exists() and time.time() - beat.stat().st_mtime < ANSWER + 2 * RETRY


def _beat() -> Path:
    return Path(tempfile.gettempdir()) / "following"


def serve(settings: Settings, here: Place) -> int:
    """Follow the server until SIGTERM, whatever happens to it."""
    signal.signal(signal.SIGALRM, _too_late)
    upkeep = Upkeep(settings, here)
    said = ""
    try:
        while True:
            _beat().touch()
            try:
                # Its password may have become another one.
                follow(replace(settings, server=known.server(os.environ)), here, upkeep)
            except (Refused, OSError) as error:
                problem = error.message if isinstance(error, Refused) else str(error)
                if problem != said:
                    print(f"backup-log: {problem}", file=sys.stderr, flush=True)
                said = problem
                with contextlib.suppress(OSError):
                    kept_log.note(here, problem)
            time.sleep(RETRY)
    finally:
        upkeep.end()


def follow(settings: Settings, here: Place, upkeep: Upkeep) -> None:
    """Follow the server until something is in the way, which is raised."""
    # Not in the app's database: a restore ends whoever is connected to that.
    with sql.session(settings.server, "postgres") as session:
        with _answering():
            cluster = stream.cluster(session)
            copied = bool(settings.target)
            stream.prepare(settings.server, session, settings.log_size, copied=copied)
            anew = stream.slot(session)
        if anew:
            # What comes now needn't lead on from what is there.
            kept_log.put_by(here, cluster)
        reached = kept_log.reached(here, cluster)
        waiting: deque[State] = deque()
        with _receiving(settings, kept_log.arriving(here, cluster.system)) as check:
            while True:
                check()
                with _answering():
                    now = stream.state(session)
                reached = advanced(reached, now, waiting)
                kept_log.write(here, reached)
                _beat().touch()
                kept_log.compress(here, cluster, _AT_ONCE)
                upkeep.turn(cluster)
                time.sleep(TURN)


def advanced(before: Reached, now: State, waiting: deque[State]) -> Reached:
    """Return how far the log is kept, by how far it is now and was at the looks before.

    `waiting` are the looks whose log isn't all here yet; raises Failed where it never will be.
    """
    if now.slot == stream.LOST:
        raise Failed(
            "the server has thrown away log that was not kept yet: moments between are lost",
            fix="a larger BACKUP_LOG_SIZE has it wait longer",
        )
    waiting.append(now)
    covered, place = before.covered, before.received
    while waiting and wal.reached(now.received, waiting[0].inserted):
        look = waiting.popleft()
        covered, place = look.time, look.inserted
    behind = max(0.0, now.time - covered)
    return replace(
        before, covered=covered, received=place, behind=behind, looked=time.time(), problem=""
    )


@contextlib.contextmanager
def _receiving(settings: Settings, folder: Path) -> Iterator[Callable[[], None]]:
    """Have the log written to a folder; yields what raises Failed once that has ended."""
    command = ["pg_receivewal", "--directory", str(folder), "--slot", stream.SLOT, "--synchronous",
               "--no-loop", "--status-interval=1", "--no-password"]  # fmt: skip
    with tempfile.TemporaryFile("w+") as complaints:
        try:
            receiver = subprocess.Popen(
                command, env=programs.variables(settings.server.environment()),
                stdin=subprocess.DEVNULL, stdout=complaints, stderr=complaints,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise programs.missing(command[0]) from error

        def check() -> None:
            if (status := receiver.poll()) is not None:
                complaints.seek(0)
                raise programs.failed("pg_receivewal", status, complaints.read())

        try:
            yield check
        finally:
            receiver.terminate()
            try:
                receiver.wait(5)
            except subprocess.TimeoutExpired:
                receiver.kill()
                receiver.wait()


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Raise Failed in the block once the server had time enough for an answer."""
    signal.alarm(ANSWER)
    try:
        yield
    finally:
        signal.alarm(0)


def _too_late(_number: int, _frame: FrameType | None) -> None:
    raise Failed(f"the server gave no answer within {ANSWER} s")
