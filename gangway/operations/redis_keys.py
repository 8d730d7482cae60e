"""Redis's keys, by pattern: count or delete them."""

from __future__ import annotations

from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.operations import calls
from gangway.operations.project import Project

RATE_LIMIT: Final = "ratelimit:*"
#: One call, whatever number of keys: it returns how many of them it counted or deleted.
_EACH: Final = (
    "local n, c = 0, '0' repeat local r = redis.call('SCAN', c, 'MATCH', ARGV[1], 'COUNT', 1000) "
    "c = r[1] for _, k in ipairs(r[2]) do n = n + redis.call('{command}', k) end until c == '0' "
    "return n"
)


def ratelimit(project: Project, *, reset: bool) -> int:
    """Count the rate limit's keys, or delete them: whoever was refused may come back at once."""
    return _keys(project, RATE_LIMIT, "of the rate limit", "--reset", delete=reset)


def cache(project: Project, *, flush: bool) -> int:
    """Count the cache's keys, or delete them; what else is in Redis, jobs above all, stays."""
    from gangway.settings import contract

    spec = contract.load(project.root).variables["CACHE_KEYS"]
    pattern = project.environment.get(spec.name) or spec.default_for(project.environment.kind)
    return _keys(project, pattern or "*", "of the cache", "--flush", delete=flush)


def _keys(project: Project, pattern: str, what: str, flag: str, *, delete: bool) -> int:
    calls.check_services(project, ["redis"])
    script = _EACH.format(command="UNLINK" if delete else "EXISTS")
    words = [*project.engine.redis_script(), script, pattern]
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
