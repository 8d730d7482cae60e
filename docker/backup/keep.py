"""Which backups are kept: a rule such as `days=7 weeks=4 months=6`.

Of each of the last 7 days, 4 weeks and 6 months that have backups, the newest one is kept, one that
is proven before one that isn't. The newest of all and the last proven one never go.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

from backup.errors import Refused

UNITS = {
    "hours": "%Y-%m-%d %H",
    "days": "%Y-%m-%d",
    "weeks": "%G-%V",
    "months": "%Y-%m",
    "years": "%Y",
}
"""What a rule may count, and by what a time belongs to one of them (UTC)."""


def parse(rule: str) -> dict[str, int]:
    """Return how many of each unit a rule keeps; raises Refused for what is no rule."""
    found = {}
    for word in rule.split():
        match = re.fullmatch(r"([a-z]+)=([0-9]{1,4})", word)
        if not match or match[1] not in UNITS:
            raise Refused(
                f"BACKUP_KEEP={rule}: {word} can't be read",
                fix="days=7 weeks=4 months=6 (and hours, years)",
            )
        found[match[1]] = int(match[2])
    if not sum(found.values()):
        raise Refused(f"BACKUP_KEEP={rule} keeps nothing", fix="days=7 weeks=4 months=6")
    return found


def gone(rule: Mapping[str, int], times: Mapping[str, float], proven: Sequence[str]) -> list[str]:
    """Return the names that a rule lets go, the oldest first.

    `times` are seconds since 1970 by name, `proven` the names of those that were restored and found
    to be the same.
    """
    best = sorted(times, key=lambda name: (name in proven, times[name]), reverse=True)
    kept = {max(times, key=lambda name: times[name])} if times else set()
    kept |= {name for name in best[:1] if name in proven}
    for unit, number in rule.items():
        newest: dict[str, str] = {}
        for name in best:
            newest.setdefault(time.strftime(UNITS[unit], time.gmtime(times[name])), name)
        kept |= {newest[period] for period in sorted(newest, reverse=True)[:number]}
    return sorted((name for name in times if name not in kept), key=lambda name: times[name])
