"""FastAPI's cached lists of habits end when Django writes: they would be old for a minute else."""

import logging
import time
from functools import cache
from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete, post_save
from redis import Redis
from redis.exceptions import RedisError

from api.cache import VERSION
from hybrid.models import Checkin, Habit
from hybrid.settings import SHARED

log = logging.getLogger(__name__)


@cache
def redis() -> "Redis":
    """Return the connections to Redis; nothing is opened yet."""
    return Redis(
        host=SHARED.redis_host,
        port=SHARED.redis_port,
        password=SHARED.redis_password,
        socket_connect_timeout=0.5,
        socket_timeout=0.5,
        decode_responses=True,
    )


def forget() -> None:
    """Begin a new version of the lists, as ``api.cache`` does; without Redis there are none."""
    try:
        redis().set(VERSION, time.time_ns())
    except (RedisError, OSError) as error:
        log.warning("the lists of habits may be old for a while: %s", error)


def connect() -> None:
    """Do so after the commit of every write to the shared tables."""
    for model in (Habit, Checkin):
        for signal in (post_save, post_delete):
            signal.connect(_written, sender=model, weak=False)


def _written(**_: Any) -> None:
    transaction.on_commit(forget)
