"""Commands in a stack's containers, and prompts on its data stores."""

from __future__ import annotations

from typing import Annotated as A

from gangway.operations.session import Session
from gangway.tasks.options import After, Option, Service


def exec_(session: Session, service: Service, *, after: After) -> int:
    """Run what stands after -- in a running container: dev.exec api -- ls -l."""
    from gangway.operations import operations

    return operations.exec_(session, service, after)


def shell(session: Session, *service: A[str, Option("service; api where none is named")]) -> int:
    """Open a shell in a running container (api unless named)."""
    from gangway.operations import operations

    return operations.shell(session, service)


def run(session: Session, service: Service, *, after: After) -> int:
    """Run what stands after -- in a new container that is removed afterwards."""
    from gangway.operations import operations

    return operations.run(session, service, after)


def psql(session: Session, *, after: After) -> int:
    """Open psql on the database; options after -- go to psql."""
    from gangway.operations import operations

    return operations.psql(session, after)


def redis(session: Session, *, after: After) -> int:
    """Open redis-cli; a command after -- is run instead."""
    from gangway.operations import operations

    return operations.redis(session, after)


def ratelimit(
    session: Session, reset: A[bool, Option("delete them: refused clients may come back")] = False
) -> int:
    """Count the rate limit's keys in Redis; --reset deletes them."""
    from gangway.operations import redis_keys

    return redis_keys.ratelimit(session, reset=reset)


def cache(session: Session, flush: A[bool, Option("delete them; queued jobs stay")] = False) -> int:
    """Count the cache's keys in Redis; --flush deletes them and nothing else."""
    from gangway.operations import redis_keys

    return redis_keys.cache(session, flush=flush)
