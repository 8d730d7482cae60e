"""What the API answers."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from socket import gethostname
from typing import Any
from uuid import UUID

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.cache import cache
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.http import StreamingHttpResponse as Stream
from django.views.decorators.http import require_GET, require_http_methods
from kombu.exceptions import OperationalError as BrokerError

from jobs import channel, progress, queue, reports, request_id
from jobs import stream as streams
from jobs.models import Job, Mode, Report

READY_SECONDS = 2.0
LISTED = 50
ABOUT = {} if settings.ENV.live else {"instance": gethostname()}
"""Nobody outside learns what the containers are called."""

log = logging.getLogger(__name__)
Answer = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


class Middleware:
    """What stands before the views, for a server that is asynchronous."""

    async_capable = True
    sync_capable = False

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass a request on."""
        return await self._answer(request)


class RequestId(Middleware):
    """Know each request's id while it is answered."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass a request on."""
        request_id.take(request.headers)
        return await super().__call__(request)


class DatabaseAway(Middleware):
    """A database that is away or starting is a 503 that heals."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Answer for ``error``, if that is what it says."""
        if not isinstance(error, OperationalError | InterfaceError):
            return None
        log.error("the database is away: %s", error)
        return _refusal(503, "the database is away", **{"Retry-After": "1"})


@require_GET
async def health(request: HttpRequest) -> JsonResponse:
    """Say that the process answers; nothing else is asked."""
    return JsonResponse({"status": "ok", **ABOUT})


@require_GET
async def ready(request: HttpRequest) -> JsonResponse:
    """Say whether PostgreSQL and Redis answer, each by name."""
    postgres, redis = await asyncio.gather(_ask(_select_1()), _ask(_ping()))
    whole = postgres == redis == "ok"
    return JsonResponse(
        {"status": "ok" if whole else "unavailable", "postgres": postgres, "redis": redis},
        status=200 if whole else 503,
    )


@require_http_methods(["GET", "POST"])
async def jobs(request: HttpRequest) -> JsonResponse:
    """List the newest jobs, or ask for one."""
    return await (_ask_for_one(request) if request.method == "POST" else _list(request))


@require_GET
async def job(request: HttpRequest, job_id: UUID) -> JsonResponse:
    """Show one job; what has ended stays as it is, so it comes from the cache."""
    key = f"job:{job_id}"
    found = None
    with contextlib.suppress(*channel.AWAY):
        found = await cache.aget(key)
    if found is None:
        stored = await sync_to_async(Job.objects.filter(pk=job_id).first)()
        if stored is None:
            return _missing(job_id)
        found = await _shown(stored)
        if stored.ended:
            with contextlib.suppress(*channel.AWAY):
                await cache.aset(key, found)
    return JsonResponse(_placed(request, found))


@require_GET
async def report(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Serve a job's report: the PDF, if there is one, else the page."""
    stored = await sync_to_async(Job.objects.filter(pk=job_id).first)()
    if stored is None:
        return _missing(job_id)
    if stored.result is None:
        return _refusal(404, f"job {job_id} is {stored.status}: it has no report")
    made = await sync_to_async(Report.objects.filter(pk=job_id).first)()
    if made:
        return HttpResponse(bytes(made.content), content_type=made.media_type)
    return HttpResponse(reports.page(stored.result), content_type="text/html; charset=utf-8")


@require_GET
async def stream(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """Stream a job's events from the one after Last-Event-ID on."""
    text = request.headers.get("Last-Event-ID") or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return _refusal(400, "Last-Event-ID is not a number")
    last = await streams.last_event(job_id)
    if last is None:
        return _missing(job_id)
    number, ended = last
    if ended and int(text) >= number:
        # There is nothing more: this tells a browser not to come back.
        return HttpResponse(status=204)
    return Stream(
        streams.events(job_id, int(text)),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _list(request: HttpRequest) -> JsonResponse:
    stored = await sync_to_async(lambda: list(Job.objects.order_by("-created_at")[:LISTED]))()
    return JsonResponse({"jobs": [_placed(request, await _shown(item)) for item in stored]})


async def _ask_for_one(request: HttpRequest) -> JsonResponse:
    if settings.ENV.rate_limit:
        client = request.META.get("REMOTE_ADDR") or "unknown"
        try:
            wait = await channel.admit(client, settings.ENV.rate_limit)
        except channel.AWAY as error:
            log.error("no job is taken: %s", error)  # noqa: TRY400
            return _refusal(503, "Redis is away", **{"Retry-After": "1"})
        if wait:
            return _refusal(
                429, f"too many jobs: try again in {wait} s", **{"Retry-After": str(wait)}
            )
    try:
        body = json.loads(request.body)
        wanted = reports.parse(body)
        mode = Mode(body.get("mode", Mode.PLAIN))
    except reports.Unusable as reason:
        return _refusal(400, str(reason))
    except (ValueError, RecursionError):
        return _refusal(400, "the body is not JSON, or mode is neither plain nor detailed")
    stored = reports.written(wanted)
    new = await sync_to_async(progress.create)(mode, stored, len(wanted.habits))
    try:
        await sync_to_async(queue.send)(new.id)
    except BrokerError as error:
        # It is stored: a worker finds it once Redis is back.
        log.warning("job %s waits for Redis: %s", new.id, error)
    return JsonResponse(_placed(request, await _shown(new)), status=201)


@sync_to_async
def _shown(job: Job) -> dict[str, Any]:
    return {
        "id": str(job.id),
        "mode": job.mode,
        "status": job.status,
        "done": job.done,
        "total": job.total,
        "message": job.message,
        "result": job.result,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
    }


def _placed(request: HttpRequest, shown: dict[str, Any]) -> dict[str, Any]:
    """Add where the client finds a job's report and stream: below the prefix that it asked by."""
    where = f"{request.META.get('SCRIPT_NAME') or '/api'}/jobs/{shown['id']}/"
    return {
        **shown,
        "report": f"{where}report" if shown["result"] else None,
        "stream": f"{where}stream/",
    }


def _refusal(status: int, detail: str, **headers: str) -> JsonResponse:
    return JsonResponse({"detail": detail}, status=status, headers=headers)


def _missing(job_id: UUID) -> JsonResponse:
    return _refusal(404, f"there is no job {job_id}")


async def _ask(question: Awaitable[object]) -> str:
    """Return "ok", or the kind of error that ``question`` met: its text may name hosts."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            await question
    except Exception as error:  # noqa: BLE001 (whatever it is, it is not ready)
        log.warning("not ready: %r", error)
        return type(error).__name__
    return "ok"


@sync_to_async
def _select_1() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


async def _ping() -> None:
    async with channel.connect() as client:
        await client.ping()
