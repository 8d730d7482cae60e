"""How a job goes on: each change with its event in one transaction, told to Redis afterwards.

A worker that takes a job up has a lease on it, which it renews while it works. Its changes count
only as long as no other has taken the job up since.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from jobs import channel, reports
from jobs.models import Event, Job, Report, Status, Step

LEASE = timedelta(seconds=6)
RENEWAL = 1.5
"""Seconds between renewals: three may fail before the lease is over."""
FORGOTTEN = timedelta(seconds=5)
"""How long the broker may take to hand a job to a worker that is free."""
MOST_LOSSES = 4

log = logging.getLogger(__name__)


class Superseded(Exception):
    """Another worker has taken the job up, or it has ended."""


@dataclass(frozen=True)
class Claim:
    """A worker's hold on a job."""

    id: UUID
    attempt: int
    mode: str
    request: reports.Request
    done: int


def create(mode: str, body: dict[str, Any], total: int) -> Job:
    """Store a job with its first event."""
    with transaction.atomic():
        job = Job(mode=mode, request=body, total=total, sent_at=Now())
        job.events = 1
        job.save(force_insert=True)
        _happened(job, "queued", {"mode": str(mode), "total": total})
    return job


def claim(job_id: UUID) -> Claim | None:
    """Take a job up; None where there is nothing to do: it has ended, or a live worker has it."""
    with transaction.atomic():
        job = (
            Job.objects.select_for_update(of=("self",))
            .filter(Q(status=Status.QUEUED) | Q(status=Status.RUNNING, lease_until__lt=Now()))
            .filter(pk=job_id)
            .first()
        )
        if job is None:
            return None
        lost = job.status == Status.RUNNING
        job.losses += lost
        job.attempt += 1
        job.events += 1
        if job.losses > MOST_LOSSES:
            job.status = Status.FAILED
            job.message = f"given up: {job.losses} workers were lost over it"
            job.finished_at = Now()
            kind, data = "failed", {"message": job.message}
        else:
            kind = "started" if job.attempt == 1 else "resumed"
            data = {"attempt": job.attempt, "done": job.done, "total": job.total}
            job.status = Status.RUNNING
        job.lease_until = Now() + LEASE
        job.save()
        event = _happened(job, kind, data)
    channel.publish(job_id, event)
    if job.status == Status.FAILED:
        return None
    return Claim(job.id, job.attempt, job.mode, reports.parse(job.request), job.done)


@contextlib.contextmanager
def kept(claim: Claim) -> Iterator[None]:
    """Renew the lease for the block, from a thread: a step may take longer than the lease."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(RENEWAL):
            try:
                _mine(claim).update(lease_until=Now() + LEASE)
            except DatabaseError as error:
                log.warning("the lease on job %s was not renewed: %s", claim.id, error)
            finally:
                connection.close()

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def step(claim: Claim, position: int, figures: dict[str, Any]) -> None:
    """Note what a habit's step came to."""
    with _changing(claim) as change:
        Step.objects.create(job_id=claim.id, position=position, figures=figures)
        change.job.done = position + 1
        change.tell("progress", done=change.job.done, total=change.job.total, habit=figures)


def note(claim: Claim, message: str) -> None:
    """Note something that the user should know of."""
    with _changing(claim) as change:
        change.job.message = message
        change.tell("message", message=message)


def rendered(claim: Claim, media_type: str, content: bytes) -> None:
    """Keep what the browser made."""
    with _changing(claim) as change:
        Report.objects.create(job_id=claim.id, media_type=media_type, content=content)
        change.tell("rendered", media_type=media_type, bytes=len(content))


def finish(claim: Claim, result: dict[str, Any]) -> None:
    """End a job well."""
    with _changing(claim) as change:
        change.end(Status.FINISHED)
        change.job.result = result
        change.tell("finished", message=change.job.message, result=result)


def fail(claim: Claim, message: str) -> None:
    """End a job badly."""
    with _changing(claim) as change:
        change.end(Status.FAILED)
        change.job.message = message
        change.tell("failed", message=message)


def put_back(claim: Claim) -> None:
    """Leave a job to the next worker: this one has to stop."""
    with _changing(claim) as change:
        change.job.status = Status.QUEUED
        change.job.lease_until = None
        change.job.sent_at = Now()
        change.tell("put-back", done=change.job.done, total=change.job.total)


def forgotten(*, queue_empty: bool) -> list[UUID]:
    """Return the jobs that the broker has to be told of again, noted as told.

    Those are the jobs of lost workers, and, with an empty queue, those whose message was lost.
    """
    lost = Q(status=Status.RUNNING, lease_until__lt=Now())
    if queue_empty:
        lost |= Q(status=Status.QUEUED)
    with transaction.atomic():
        found = list(
            Job.objects.select_for_update(skip_locked=True)
            .filter(lost, sent_at__lt=Now() - FORGOTTEN)
            .values_list("pk", flat=True)[:100]
        )
        if found:
            Job.objects.filter(pk__in=found).update(sent_at=Now())
    return found


def as_event(event: Event) -> dict[str, Any]:
    """Return an event as it is published and streamed."""
    return {"id": event.number, "kind": event.kind, "data": event.data}


class _Change:
    """A job that is locked for a change, and the event that it makes."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.event: tuple[str, dict[str, Any]] | None = None

    def tell(self, kind: str, **data: Any) -> None:
        """Say what has happened."""
        self.event = kind, data

    def end(self, status: str) -> None:
        """Note the end."""
        self.job.status = status
        self.job.finished_at = Now()
        self.job.lease_until = None


@contextlib.contextmanager
def _changing(claim: Claim) -> Iterator[_Change]:
    with transaction.atomic():
        job = _mine(claim).select_for_update().first()
        if job is None:
            raise Superseded(f"job {claim.id} is no longer attempt {claim.attempt}'s")
        job.lease_until = Now() + LEASE
        change = _Change(job)
        yield change
        assert change.event is not None  # noqa: S101 (each change above tells of one)
        job.events += 1
        job.save()
        told = _happened(job, *change.event)
    channel.publish(claim.id, told)


def _mine(claim: Claim) -> Any:
    return Job.objects.filter(pk=claim.id, attempt=claim.attempt, status=Status.RUNNING)


def _happened(job: Job, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return as_event(Event.objects.create(job=job, number=job.events, kind=kind, data=data))
