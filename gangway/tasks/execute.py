"""Commands in a stack's containers, and prompts on its data stores."""

from __future__ import annotations

from typing import Annotated as A

from gangway.operations.project import Project
from gangway.tasks.options import After, Option, Service


def exec_(project: Project, service: Service, *, after: After) -> int:
    """Run what stands after -- in a running container: dev.exec api -- ls -l."""
    from gangway.operations import execute

    return execute.exec_(project, service, after)


def shell(project: Project, *service: A[str, Option("service; api where none is named")]) -> int:
    """Open a shell in a running container (api unless named)."""
    from gangway.operations import execute

    return execute.shell(project, service)


def run(project: Project, service: Service, *, after: After) -> int:
    """Run what stands after -- in a new container that is removed afterwards."""
    from gangway.operations import execute

    return execute.run(project, service, after)


def psql(project: Project, *, after: After) -> int:
    """Open psql on the database; options after -- go to psql."""
    from gangway.operations import execute

    return execute.psql(project, after)


def redis(project: Project, *, after: After) -> int:
    """Open redis-cli; a command after -- is run instead."""
    from gangway.operations import execute

    return execute.redis(project, after)


def ratelimit(
    project: Project, reset: A[bool, Option("delete them: refused clients may come back")] = False
) -> int:
    """Count the rate limit's keys in Redis; --reset deletes them."""
    from gangway.operations import redis_keys

    return redis_keys.ratelimit(project, reset=reset)


def cache(project: Project, flush: A[bool, Option("delete them; queued jobs stay")] = False) -> int:
    """Count the cache's keys in Redis; --flush deletes them and nothing else."""
    from gangway.operations import redis_keys

    return redis_keys.cache(project, flush=flush)
