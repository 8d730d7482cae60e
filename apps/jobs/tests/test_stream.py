"""A job's events as they are sent, whatever Redis does."""

import asyncio
import json
import urllib.request
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import AsyncClient
from following import Run, read

from jobs import channel, progress, stream, work
from jobs.models import Job


def numbers(parts: list[str]) -> list[int]:
    return [int(part.split()[1]) for part in parts if part.startswith("id: ")]


def test_who_comes_after_the_end_gets_it_all(run: Run, job: Job) -> None:
    work.run(job.pk)
    parts = run(read(stream.events(job.pk, 0)))
    assert numbers(parts) == [1, 2, 3, 4, 5]
    assert "event: finished" in parts[-1]


def test_who_comes_back_gets_the_rest(run: Run, job: Job) -> None:
    work.run(job.pk)
    assert numbers(run(read(stream.events(job.pk, 3)))) == [4, 5]


def test_each_event_is_sent_as_it_happens(run: Run, job: Job) -> None:
    async def follow() -> Any:
        following = asyncio.ensure_future(read(stream.events(job.pk, 0)))
        await asyncio.sleep(0.2)
        await sync_to_async(work.run)(job.pk)
        async with asyncio.timeout(5):
            return await following

    assert numbers(run(follow())) == [1, 2, 3, 4, 5]


def test_events_of_which_redis_said_nothing_come_all_the_same(
    run: Run, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "QUIET", 0.1)
    monkeypatch.setattr(channel, "publish", lambda *_: None)

    async def follow() -> Any:
        following = asyncio.ensure_future(read(stream.events(job.pk, 0)))
        await asyncio.sleep(0.2)
        await sync_to_async(work.run)(job.pk)
        return await following

    parts = run(follow())
    assert numbers(parts) == [1, 2, 3, 4, 5]
    assert ": still here\n\n" in parts


def test_without_redis_the_stream_says_so_and_ends_with_the_job(
    run: Run, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "ALONE", 0.1)
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(channel, "_client", None)

    async def follow() -> Any:
        following = asyncio.ensure_future(read(stream.events(job.pk, 0)))
        await asyncio.sleep(0.3)
        await sync_to_async(work.run)(job.pk)
        return await following

    parts = run(follow())
    assert numbers(parts) == [1, 2, 3, 4, 5]
    notices = [part for part in parts if part.startswith("event: notice")]
    assert len(notices) == 1 and "Redis is away" in notices[0]


def test_who_has_it_all_is_told_not_to_come_back(run: Run, job: Job) -> None:
    work.run(job.pk)
    client = AsyncClient()
    address = f"/api/jobs/{job.pk}/stream/"
    assert run(client.get(address, headers={"Last-Event-ID": "5"})).status_code == 204
    assert run(client.get(address, headers={"Last-Event-ID": "x"})).status_code == 400
    assert run(client.get(address, headers={"Last-Event-ID": "-1"})).status_code == 400


def test_no_proxy_is_to_buffer_it(run: Run, job: Job) -> None:
    work.run(job.pk)
    answer = run(AsyncClient().get(f"/api/jobs/{job.pk}/stream/"))
    assert answer["Content-Type"] == "text/event-stream"
    assert answer["X-Accel-Buffering"] == "no" and answer["Cache-Control"] == "no-cache"


def test_a_client_that_goes_away_leaves_no_subscription(run: Run, job: Job) -> None:
    async def leave() -> tuple[int, int]:
        async with channel.connect() as redis:
            name = channel.name(job.pk)
            following = asyncio.ensure_future(read(stream.events(job.pk, 0)))
            await asyncio.wait({following}, timeout=0.5)
            listening = (await redis.pubsub_numsub(name))[0][1]
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            return listening, (await redis.pubsub_numsub(name))[0][1]

    assert run(leave()) == (1, 0)


def test_the_live_worker_does_a_job_that_the_live_api_took(live: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{live}/api/jobs/", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        made = json.load(answer)
    with urllib.request.urlopen(f"{live}{made['stream']}", timeout=30) as events:
        parts = events.read().decode().split("\n\n")
    assert numbers(parts) == [1, 2, 3, 4, 5]
    with urllib.request.urlopen(f"{live}/api/jobs/{made['id']}/", timeout=10) as answer:
        assert json.load(answer)["result"]["best"] == "Read"


def test_the_lease_outlives_three_renewals_that_fail() -> None:
    assert progress.LEASE.total_seconds() > 3 * progress.RENEWAL
