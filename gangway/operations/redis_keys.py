"""Redis's keys, by pattern: count or delete them."""

from __future__ import annotations

from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.model import queues
from gangway.operations import calls
from gangway.operations.project import Project
from gangway.settings import contract

#: What asks the stack's Redis, logged in, in its own container: scripts/redis.
TOOL: Final = ("bash", "/etc/gangway/redis")


def ratelimit(project: Project, *, reset: bool) -> int:
    """Count the rate limit's keys, or delete them: whoever was refused may come back at once."""
    return _keys(project, "RATE_LIMIT_KEYS", "of the rate limit", "--reset", delete=reset)


def cache(project: Project, *, flush: bool) -> int:
    """Count the cache's keys, or delete them; what else is in Redis, jobs above all, stays."""
    return _keys(project, "CACHE_KEYS", "of the cache", "--flush", delete=flush)


def forget_cache(project: Project) -> None:
    """Delete the cache's keys, where Redis runs: what they were made of is another now.

    Says so where that can't be done.
    """
    if "redis" not in project.model.services or not any(
        each.service == "redis" and each.state == "running" for each in project.engine.containers()
    ):
        return
    pattern = project.environment.get("CACHE_KEYS", "*")
    note = f"note: the cache has what was there before: invoke {project.name}.cache --flush"
    if pattern == "*" and queues.workers(project.model):
        say(note)
        return
    call = ("exec", "--no-TTY", "redis", *TOOL, "delete", pattern)
    project.announce(*call)
    if project.engine.capture(*call).status != 0:
        say(note)


def _keys(project: Project, variable: str, what: str, flag: str, *, delete: bool) -> int:
    calls.check_services(project, ["redis"])
    pattern = contract.needed(variable, project.environment)
    if delete and pattern == "*" and (names := queues.workers(project.model)):
        raise GangwayError(
            f"{variable} is *, which are the jobs of {', '.join(names)} as well",
            fix=f"set {variable} to a pattern of the keys that are a cache, such as cache:*",
        )
    words = [*TOOL, "delete" if delete else "count", pattern]
    if delete:
        name = project.environment.get("COMPOSE_PROJECT_NAME")
        say(f"this deletes the keys {what} ({pattern}) in {name}'s Redis")
    project = calls.answering(project)
    call = ("exec", "--no-TTY", "redis", *words)
    if not project.announce(*call):
        return 0
    done = project.engine.capture(*call)
    number = done.stdout.strip()
    if done.status != 0 or not number.isdecimal():
        said = (done.stderr.strip() or number or "it said nothing").splitlines()[-1]
        raise GangwayError(
            f"Redis did not answer: {said}", fix=f"look at `invoke {project.name}.ps`"
        )
    if delete:
        say(f"deleted {number} {'key' if number == '1' else 'keys'}")
    else:
        say(f"{number} {'key' if number == '1' else 'keys'} {what}; {flag} deletes them")
    return 0
