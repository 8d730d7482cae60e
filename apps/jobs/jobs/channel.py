"""Redis's part: whoever watches a job is woken, and clients are counted.

What is published is in the database already. A message that is lost costs time, never an event.
"""

import json
import logging
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from redis import asyncio as aioredis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

AWAY = (RedisError, OSError)
"""What is raised where Redis is away."""
PERIOD = 60
"""Seconds in which requests are counted."""

log = logging.getLogger(__name__)
_client: "redis.Redis | None" = None


def name(job: UUID | str) -> str:
    """Return the channel on which a job's events are published."""
    return f"jobs:{job}"


def publish(job: UUID, event: dict[str, Any]) -> None:
    """Tell whoever watches; where Redis is away, they find it in the database."""
    global _client  # noqa: PLW0603 (one connection for each process)
    if _client is None:
        _client = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=1,
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 1),
        )
    try:
        _client.publish(name(job), json.dumps(event))
    except AWAY as error:
        log.warning("nobody is told of job %s: %s", job, error)


def connect(*, timeout: float | None = 1.0) -> "aioredis.Redis":
    """Return a client for this event loop; it belongs to the caller."""
    return aioredis.Redis.from_url(
        settings.REDIS_URL,
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=1,
        retry=AsyncRetry(NoBackoff(), 0),
    )


async def admit(client: str, limit: int) -> int:
    """Count a request; return 0, or the seconds until ``client`` may ask again."""
    key = f"ratelimit:jobs:{client}"
    async with connect() as connection, connection.pipeline(transaction=True) as pipe:
        pipe.set(key, 0, ex=PERIOD, nx=True)
        pipe.incr(key)
        pipe.ttl(key)
        _, count, left = await pipe.execute()
    return max(1, int(left)) if count > limit else 0
