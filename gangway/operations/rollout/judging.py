"""Whether a release and the database can live with each other, before anything is migrated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.releases import Rollout
from gangway.model.release import Release
from gangway.operations.release_records import Known
from gangway.operations.releases.migrations import pending

WELL = "well"
"""The outcome of a deploy that came to its end."""


def judge(
    known: Known, release: Release, rollout: Rollout, *, allow_destructive: bool
) -> Mapping[str, Any]:
    """Look at the release's migrations; return what to write down of them.

    `at` is where the database is, `additive` whether an older release can live with what they make.
    Raises GangwayError where they break the code that runs, or where the database is ahead of the
    release by more than additions, unless that is allowed.
    """
    found = pending(rollout.once)
    if found.newer:
        say(f"  the database is ahead of {release.name}: {', '.join(found.newer)}")
        lost = [name for name, entry in _since(known, release) if not entry.get("additive", True)]
        if lost and not allow_destructive:
            raise GangwayError(
                f"{release.name} can't live with the database: the migrations of "
                f"{', '.join(dict.fromkeys(lost))} took away or changed what it counts on",
                fix="deploy a newer release that mends it; or go on with --allow-destructive, and "
                "see to it by hand that nothing of that is used",
            )
    for line in found.untold:
        say(f"  note: {line}")
    # Nobody is there yet whom it could break.
    if known.current and not allow_destructive:
        found.refuse_destructive()
    return {
        "at": list(found.at),
        "pending": not found.empty,
        "additive": found.empty or found.additive,
    }


def _since(known: Known, release: Release) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the deploys that came after the release's own last one, with their releases' names."""
    own = [entry["when"] for entry in known.deploys.get(release.name, ())]
    for name, entries in known.deploys.items():
        for entry in entries:
            if name != release.name and entry["when"] > max(own, default=""):
                yield name, entry
