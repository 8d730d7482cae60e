"""A job's events as a stream: those there are, then each as it comes, until the job ends.

The database has them all. Redis only wakes us: whoever missed its message finds the event anyway.
A server that stops ends the stream at any event; by the last one's number its client goes on.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection

from jobs import channel
from jobs.models import Event, Job
from jobs.progress import as_event

QUIET = 10.0
"""Seconds without an event until the stream says that it lives, and looks for itself."""
ALONE = 1.0
"""Seconds between looks while Redis is away."""
LAST = frozenset({"finished", "failed"})
"""No event comes after these."""

log = logging.getLogger(__name__)


class Ear:
    """Hears a job's channel; deaf, and patient, while Redis is away."""

    def __init__(self, job: UUID) -> None:
        self._name = channel.name(job)
        self._client = channel.connect(timeout=None)
        self._pubsub: Any = None

    @property
    def deaf(self) -> bool:
        """Whether Redis is away."""
        return self._pubsub is None

    async def open(self) -> None:
        """Subscribe, if Redis answers."""
        pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            async with asyncio.timeout(1):
                await pubsub.subscribe(self._name)
        except (TimeoutError, *channel.AWAY) as error:
            log.warning("no channel for now: %s", error)
            await self._forget(pubsub)
        else:
            self._pubsub = pubsub

    async def hear(self) -> dict[str, Any] | None:
        """Return the next event; None after a while without one, or at the loss of Redis."""
        if self.deaf:
            await asyncio.sleep(ALONE)
            await self.open()
            return None
        try:
            message = await self._pubsub.get_message(timeout=QUIET)
        except channel.AWAY as error:
            log.warning("the channel is lost: %s", error)
            await self._forget(self._pubsub)
            self._pubsub = None
            return None
        return json.loads(message["data"]) if message else None

    async def close(self) -> None:
        """Give the connection back."""
        await self._forget(self._pubsub)
        with contextlib.suppress(*channel.AWAY):
            await self._client.aclose()

    @staticmethod
    async def _forget(pubsub: Any) -> None:
        if pubsub is not None:
            with contextlib.suppress(*channel.AWAY):
                await pubsub.aclose()


async def events(job: UUID, after: int) -> AsyncIterator[bytes]:
    """Yield the job's events after number ``after``, as they are sent to the client."""
    ear = Ear(job)
    try:
        yield b"retry: 1000\n\n"
        # First the ear, then the look: nothing happens between the two unnoticed.
        await ear.open()
        told = False
        heard: dict[str, Any] | None = None
        while True:
            if ear.deaf and not told:
                yield _notice("Redis is away: events come a little later")
            told = ear.deaf
            if heard and heard["id"] <= after:
                batch = []
            elif heard and heard["id"] == after + 1:
                batch = [heard]
            else:
                try:
                    batch = await _read(job, after)
                except DatabaseError as error:
                    log.warning("no look into the database: %s", error)
                    batch = []
                if not batch:
                    yield b": still here\n\n"
            for event in batch:
                after = event["id"]
                yield _format(event)
            if batch and batch[-1]["kind"] in LAST:
                return
            heard = await ear.hear()
    finally:
        await ear.close()


@sync_to_async
def _read(job: UUID, after: int) -> list[dict[str, Any]]:
    try:
        found = Event.objects.filter(job_id=job, number__gt=after).order_by("number")
        return [as_event(event) for event in found]
    finally:
        # A stream may last for hours: it keeps no connection in between.
        connection.close()


@sync_to_async
def last_event(job: UUID) -> tuple[int, bool] | None:
    """Return the number of a job's last event and whether the job has ended; None without one."""
    found = Job.objects.filter(pk=job).first()
    return (found.events, found.ended) if found else None


def _format(event: dict[str, Any]) -> bytes:
    data = json.dumps(event["data"], sort_keys=True)
    return f"id: {event['id']}\nevent: {event['kind']}\ndata: {data}\n\n".encode()


def _notice(message: str) -> bytes:
    """Without a number: it belongs to this stream, not to the job."""
    return f"event: notice\ndata: {json.dumps({'message': message})}\n\n".encode()
