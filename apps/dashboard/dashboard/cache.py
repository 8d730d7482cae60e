"""What was read from the database, kept in Redis for some seconds and shared by all workers.

Without Redis there is no cache, only more work for the database.
"""

import json
import logging
import time
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from dashboard.settings import Settings

PAUSE_SECONDS = 1.0
"""How long Redis is left alone after a failure, so that requests do not all wait for it."""

log = logging.getLogger(__name__)


class Cache:
    """JSON values by key; every method does nothing while Redis is away."""

    def __init__(self, settings: Settings) -> None:
        self._seconds = settings.cache_seconds
        self._away_until = 0.0
        self._redis = Redis(
            host=settings.redis_host,
            port=settings.redis_port,
            password=settings.redis_password,
            socket_connect_timeout=0.5,
            socket_timeout=0.5,
            retry=Retry(NoBackoff(), 1),
            decode_responses=True,
        )

    def get(self, key: str) -> Any:
        """Return the value that is kept, None where there is none."""
        if not self._usable:
            return None
        try:
            text = self._redis.get(key)
        except (RedisError, OSError) as error:
            self._pause(error)
            return None
        return None if text is None else json.loads(str(text))

    def put(self, key: str, value: Any) -> None:
        """Keep a value for the seconds that the settings say."""
        if not self._usable:
            return
        try:
            self._redis.set(key, json.dumps(value), ex=self._seconds)
        except (RedisError, OSError) as error:
            self._pause(error)

    def ping(self) -> None:
        """Raise the reason why Redis is not there."""
        self._redis.ping()

    @property
    def _usable(self) -> bool:
        return self._seconds > 0 and time.monotonic() >= self._away_until

    def _pause(self, error: Exception) -> None:
        self._away_until = time.monotonic() + PAUSE_SECONDS
        log.warning("no cache for now: %s", error)
