"""The cached list of habits.

Every entry belongs to a version, and every write starts a new version after its commit: a reader
that was overtaken by a write stores its list under the old version, where nobody looks again.
Without Redis there is no cache, only more work for the database.
"""

import json
import logging
import time
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from api.settings import Settings

VERSION = "habits:version"
TTL_SECONDS = 60
"""The longest that a stale list could live if Redis was away during a write."""
PAUSE_SECONDS = 1.0
"""How long Redis is left alone after a failure, so that requests do not all wait for it."""

log = logging.getLogger(__name__)


class Cache:
    """Lists of habits by day; every method does nothing while Redis is away."""

    def __init__(self, settings: Settings) -> None:
        self._redis = Redis(
            host=settings.redis_host,
            port=settings.redis_port,
            password=settings.redis_password,
            socket_connect_timeout=0.5,
            socket_timeout=0.5,
            retry=Retry(NoBackoff(), 1),
            decode_responses=True,
        )
        self._away_until = 0.0
        self._missed_write = False

    async def get(self, day: str) -> tuple[str | None, Any]:
        """Return the key for ``day``'s list, None while there is no cache, and the list if held."""
        if time.monotonic() < self._away_until:
            return None, None
        try:
            if self._missed_write:
                await self._new_version()
            version = str(await self._redis.get(VERSION))
            key = f"habits:{version}:{day}"
            text = await self._redis.get(key)
        except (RedisError, OSError) as error:
            self._pause(error)
            return None, None
        return key, None if text is None else json.loads(text)

    async def put(self, key: str, habits: Any) -> None:
        """Keep ``habits`` under a key that ``get`` returned before the database was read."""
        try:
            await self._redis.set(key, json.dumps(habits), ex=TTL_SECONDS)
        except (RedisError, OSError) as error:
            self._pause(error)

    async def invalidate(self) -> None:
        """Forget all lists; call it after the commit and before the answer."""
        self._missed_write = True
        if time.monotonic() < self._away_until:
            return
        try:
            await self._new_version()
        except (RedisError, OSError) as error:
            self._pause(error)

    async def ping(self) -> None:
        """Raise the reason why Redis is not there."""
        await self._redis.ping()

    async def close(self) -> None:
        """Give the connections back."""
        await self._redis.aclose()

    async def _new_version(self) -> None:
        # A time, not a counter: a Redis that comes back from an old snapshot must not repeat one.
        await self._redis.set(VERSION, time.time_ns())
        self._missed_write = False

    def _pause(self, error: Exception) -> None:
        self._away_until = time.monotonic() + PAUSE_SECONDS
        log.warning("no cache for now: %s", error)
