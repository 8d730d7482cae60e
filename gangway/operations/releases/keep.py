"""Which releases are kept, and the removal of those that aren't."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from pathlib import PurePosixPath

from gangway.base.output import say
from gangway.model.release import Release
from gangway.operations import release_records as records
from gangway.operations.project import Project
from gangway.operations.release_records import Known

KEPT = "RELEASES_KEPT"


def prune(project: Project) -> list[str]:
    """Remove the images and the records of all but the newest releases; return their names.

    RELEASES_KEPT says how many those are. An image that a container has, or a release that is
    kept, stays, and so does what runs, what ran before it and what is under way.
    """
    store, shipping = project.engine.production.records, project.engine.production.shipping
    known = records.load(store)
    used = project.engine.production.images.used()
    gone = superfluous(known, int(project.environment.get(KEPT) or "5"), used)
    if not gone:
        return []
    names = [release.name for release in gone]
    kept = {
        image.ref
        for release in known.releases
        if release.name not in names
        for image in release.images.values()
    }
    refs = {
        image.ref for release in gone for image in release.images.values() if image.id not in used
    }
    shipping.forget(sorted(refs - kept))
    store.write({path: None for path in store.read() if is_of(path, names)})
    say(f"removed: {', '.join(names)}")
    return names


def superfluous(known: Known, number: int, used: AbstractSet[str]) -> list[Release]:
    """Return the releases that are no longer kept; `used` are the images that containers have."""
    under_way = known.state.get("under_way") or {}
    needed = {known.state.get("current"), known.state.get("before"), under_way.get("release")}
    kept = [
        release
        for place, release in enumerate(known.releases)
        if place < number or release.name in needed
    ]
    # What only an older one has.
    alone = set(used) - {image.id for release in kept for image in release.images.values()}
    return [
        release
        for release in known.releases
        if release not in kept
        and not alone.intersection(image.id for image in release.images.values())
    ]


def is_of(path: str, names: Collection[str]) -> bool:
    """Say whether a record is one of these releases': `releases/NAME.json`, `sboms/NAME/…`."""
    return any(part.partition(".")[0] in names for part in PurePosixPath(path).parts[1:2])
