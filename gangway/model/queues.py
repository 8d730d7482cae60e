"""Which services of a stack take jobs from its Redis."""

from __future__ import annotations

import re
from typing import Final

from gangway.model.model import Model

REDIS: Final = "redis"
_QUEUES: Final = re.compile(r"worker|celery|dramatiq|huey|taskiq|\b(rq|arq)\b")


def workers(model: Model) -> list[str]:
    """Return the services that take their jobs from `redis`: its keys are a queue then."""
    found = []
    for name, service in model.services.items():
        variables = service.get("environment") or {}
        words = [name, variables.get("APP_TARGET"), *(service.get("command") or ())]
        # With a broker of its own, what is in Redis is no queue.
        if (
            variables.get("REDIS_HOST") == REDIS
            and "BROKER_HOST" not in variables
            and variables.get("APP_INTERFACE") in ("command", "program")
            and _QUEUES.search(" ".join(filter(None, words)))
        ):
            found.append(name)
    return found


def loses_jobs(model: Model) -> bool:
    """Say whether Redis makes room by any key, jobs among them."""
    variables = (model.services.get(REDIS) or {}).get("environment") or {}
    return str(variables.get("REDIS_MAXMEMORY_POLICY", "")).startswith("allkeys-")
