"""How long a start is waited for, and what is said of what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from gangway.base.errors import GangwayError
from gangway.engines.container import Container
from gangway.engines.interface import Engine
from gangway.engines.timeline import Timeline, View
from gangway.operations import diagnosis

# Seconds in which nothing happens until a start is given up that has no limit of its own.
QUIET: Final = 180.0
# Seconds of silence after which, and then between which, the view says what is waited for.
REMINDER: Final = 10.0


class Patience:
    """Waits for `limit` seconds in all; without a limit (0), for as long as something happens.

    That is: a service gets on, writes to its log, or is within its health check's start period.
    """

    def __init__(
        self,
        engine: Engine,
        timeline: Timeline,
        view: View,
        limit: float,
        containers: Callable[[], Sequence[Container]],
    ) -> None:
        """Begin to wait; `containers` returns those that have been started."""
        self._engine, self._timeline, self._view = engine, timeline, view
        self._containers = containers
        self._limit = limit
        self._began = self._happened = self._looked = time.monotonic()
        self._logs: dict[str, str] = {}

    def restart(self) -> None:
        """Begin to wait only now: what has been done until now takes what it takes."""
        self._began = time.monotonic()
        self.renew()

    def renew(self) -> None:
        """Take note that something has happened."""
        self._happened = self._looked = time.monotonic()

    def is_over(self) -> bool:
        """Say whether the wait has been long enough; now and then show what it is for."""
        now = time.monotonic()
        if now - self._looked >= REMINDER:
            self._look(now)
        if self._limit:
            return now - self._began >= self._limit
        return now - self._happened >= QUIET

    def _look(self, now: float) -> None:
        pending = self._timeline.pending()
        for container in self._containers():
            if container.service not in pending or container.state != "running":
                continue
            log = self._engine.logs(container, diagnosis.LOG_LINES)
            if container.health == "starting" or log != self._logs.get(container.id, ""):
                self._happened = now
            self._logs[container.id] = log
            if self._timeline.count(container.service):
                self._view.remind(container.service, log.rpartition("\n")[2], time.time())
        self._looked = now

    def error(self) -> GangwayError:
        """Return the error of a wait that is over, after the last words of who isn't ready."""
        pending = self._timeline.pending()
        # What hasn't started waits for these, too.
        slow = [name for name in pending if self._timeline.has_started(name)] or pending
        diagnosis.show(self._engine, slow, self._containers())
        names = ", ".join(slow)
        if others := ", ".join(name for name in pending if name not in slow):
            names += f" (so {others} had to wait)"
        if self._limit:
            return GangwayError(
                f"not ready after {self._limit:g} s: {names}",
                fix="the lines above are its last words; --timeout SECONDS waits longer",
            )
        return GangwayError(
            f"not ready, and nothing has happened for {QUIET:g} s: {names}",
            fix="the lines above are its last words; "
            f"invoke {self._engine.environment.name}.up --timeout SECONDS waits longer",
        )
