"""The load itself: connections that take turns by a schedule; streams and WebSockets beside."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TextIO
from urllib.parse import urlsplit

from benchmarks.steady.count import Phase
from benchmarks.steady.exchange import Answer, Connection, Failed, Server, request
from benchmarks.steady.sockets import Socket
from benchmarks.steady.streams import Stream

#: Failures after which nothing was sent: such a write isn't there.
UNSENT = ("connect", "connect-timeout", "4xx")
#: Seconds that a connection waits after it could not be made.
REFUSED = 0.02


@dataclass(frozen=True)
class Plan:
    """What is sent where; `rate` is requests a second over all connections."""

    url: str
    rate: float = 100.0
    connections: int = 16
    writes: float = 0.3
    """The share of POSTs."""
    gets: tuple[str, ...] = ("/api/health", "/api/habits/{last}")
    """Paths; {last} is the id that was acknowledged last, and must be in the answer."""
    post: str = "/api/habits"
    streams: int = 0
    events: str = "/api/live/events"
    sockets: int = 0
    socket: str = "/api/live/socket"
    seconds: float = 10.0
    """How long a request may take."""
    authority: str = ""
    """A file with the certificates to trust, for https."""
    acks: str = ""
    """A file for writes, acknowledged and of unknown outcome, as JSON lines."""
    name: str = field(default_factory=lambda: f"{time.time_ns():x}")
    """Makes the names of this run's writes its own."""

    @property
    def server(self) -> Server:
        """Return who is asked."""
        found = urlsplit(self.url)
        tls = None
        if found.scheme == "https":
            tls = ssl.create_default_context(cafile=self.authority or None)
        return Server(found.hostname or "", found.port or (443 if tls else 80), tls)


class Client:
    """One run: `run` until `stop`, by phases."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._server = plan, plan.server
        self._random = random.Random(plan.name)  # noqa: S311 - a mix, no secret
        self._turn = self._number = self._unsent = self._idle_closes = 0
        self._last: int | None = None
        self._began = 0.0
        self._until = float("inf")
        self._phases: list[Phase] = []
        self._acks: TextIO | None = None
        self._stopping = asyncio.Event()

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def phase(self, name: str) -> None:
        """Count what is due from now on apart."""
        if self._phases:
            self._phases[-1].ended = self._now
        self._phases.append(Phase(name, self._now))

    def stop(self) -> None:
        """Let nothing more be due."""
        self._until = min(self._until, self._now)
        self._stopping.set()

    async def run(self) -> None:
        """Load the server until it is told to stop."""
        self.phase("start")
        self._began = self._phases[0].began
        if self._plan.acks:
            # A line goes out at once: what was acknowledged is on the disk, whatever ends us.
            self._acks = open(self._plan.acks, "a", 1, encoding="utf-8")  # noqa: ASYNC230, SIM115, PTH123
        plan, current = self._plan, lambda: self._phases[-1]
        others = [Stream(self._server, plan.events, current).follow() for _ in range(plan.streams)]
        others += [Socket(self._server, plan.socket, current).use() for _ in range(plan.sockets)]
        beside = [asyncio.create_task(each) for each in others]
        workers = [asyncio.create_task(self._work()) for _ in range(plan.connections)]
        await self._stopping.wait()
        done, late = await asyncio.wait(workers, timeout=plan.seconds + 1)
        for task in [*late, *beside]:
            task.cancel()
        await asyncio.gather(*late, *beside, return_exceptions=True)
        for task in done:
            task.result()
        self._unsent += max(0, int((self._until - self._began) * plan.rate) - self._turn)
        self._phases[-1].ended = self._until
        if self._acks:
            self._acks.close()

    async def _work(self) -> None:
        connection = Connection(self._server)
        try:
            while (due := self._next()) < self._until:
                free = self._now
                if free < due:
                    await asyncio.sleep(due - free)
                    if due >= self._until:
                        return
                phase = next(each for each in reversed(self._phases) if each.began <= due)
                method, data, name, wanted = self._planned()
                phase.lag.add(self._now - max(due, free))
                try:
                    answer = await connection.ask(data, self._plan.seconds)
                    identity = _checked(answer, method, wanted)
                except Failed as failed:
                    self._failed(phase, method, failed, name)
                    if failed.kind.startswith("connect"):
                        await asyncio.sleep(REFUSED)
                    continue
                now = self._now
                phase.succeeded(method, now - due, now)
                if identity is not None and name:
                    self._last = identity
                    self._write({"state": "acknowledged", "id": identity, "name": name})
        finally:
            self._idle_closes += connection.closed_while_idle
            connection.close()

    def _next(self) -> float:
        due = self._began + self._turn / self._plan.rate
        if due < self._until:
            self._turn += 1
        return due

    def _planned(self) -> tuple[str, bytes, str, int | None]:
        """Return the next request: method, as sent, its write's name, the id that it asks for."""
        plan = self._plan
        if self._random.random() < plan.writes:
            self._number += 1
            name = f"load {plan.name} {self._number}"
            body = json.dumps({"name": name}).encode()
            return "POST", request(self._server, "POST", plan.post, body), name, None
        path = self._random.choice(plan.gets)
        wanted = None
        if "{last}" in path:
            if self._last is None:
                path = plan.gets[0]
            else:
                wanted, path = self._last, path.replace("{last}", str(self._last))
        return "GET", request(self._server, "GET", path), "", wanted

    def _failed(self, phase: Phase, method: str, failed: Failed, name: str) -> None:
        phase.failure(method, failed.kind, failed.detail, self._now)
        if name and not failed.kind.startswith(UNSENT):
            phase.writes_unknown += 1
            self._write({"state": "unknown", "name": name, "why": failed.kind})

    def _write(self, what: dict[str, Any]) -> None:
        if self._acks:
            self._acks.write(json.dumps({"t": time.time(), **what}) + "\n")

    def report(self) -> dict[str, Any]:
        """Return the figures of each phase and of all."""
        phases = [each.report() for each in self._phases]
        kinds: Counter[str] = Counter()
        for each in self._phases:
            kinds += each.failed
        return {
            "rate": self._plan.rate,
            "connections": self._plan.connections,
            "ok": sum(each["ok"] for each in phases),
            "failed": sum(each["failed"] for each in phases),
            "failed_by_kind": dict(kinds),
            "unsent": self._unsent,
            "closed_while_idle": self._idle_closes,
            "phases": phases,
        }


def _checked(answer: Answer, method: str, wanted: int | None) -> int | None:
    """Return the id in an answer that is as it was wished; raises Failed."""
    if not 200 <= answer.status < 300:
        detail = f"{answer.status}: {answer.body[:120].decode('latin-1')}"
        kind = f"{answer.status}" if answer.status >= 500 else f"{answer.status // 100}xx"
        raise Failed(kind, detail)
    if method == "GET" and wanted is None:
        return None
    try:
        found = int(json.loads(answer.body)["id"])
    except (ValueError, KeyError, TypeError):
        raise Failed("wrong", answer.body[:120].decode("latin-1")) from None
    if wanted is not None and found != wanted:
        raise Failed("wrong", f"id {found} for {wanted}")
    return found
