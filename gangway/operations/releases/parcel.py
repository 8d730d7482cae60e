"""What a release travels as: its records and its images, and whether they fit where they arrive."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from gangway.base.errors import Finding, FindingsError, GangwayError
from gangway.engines import required
from gangway.engines.releases import Held
from gangway.model.release import Image, Release, release_file
from gangway.operations import release_records as records
from gangway.operations.project import Project

# What belongs to the engine that has a release, and not to the release.
_STAYS: Final = ("deploys",)


class Parcel(NamedTuple):
    """A release on its way: its records by their path, and the images that nobody else has.

    `others` are those of its services that aren't built here.
    """

    release: Release
    files: Mapping[str, str]
    others: Sequence[Image]

    @property
    def images(self) -> list[Image]:
        """Every image once, those of the release first."""
        return list(
            {each.ref: each for each in (*self.release.images.values(), *self.others)}.values()
        )


def chosen(project: Project, named: Sequence[str]) -> Release:
    """Return the release whose name the one word is part of, the newest for none.

    Raises GangwayError where there is none, or several.
    """
    if len(named) > 1:
        raise GangwayError(f"one release at a time, and not {' and '.join(named)}")
    known = records.load(project.engine.production.records)
    if named:
        return known.find(named[0])
    if not known.releases:
        raise GangwayError("there is no release yet", fix=f"invoke {project.name}.build makes one")
    return known.releases[0]


def packed(project: Project, release: Release) -> tuple[Parcel, Mapping[str, Held]]:
    """Return a release as it is here, with all images of it that are here.

    Raises GangwayError where an image of the release has gone, or is another one by now.
    """
    built = {image.ref: image for image in release.images.values()}
    foreign = [
        str(service["image"])
        for service in (release.model.get("services") or {}).values()
        if service.get("image") and service["image"] not in built
    ]
    held = project.engine.production.shipping.held([*built, *foreign])
    refuse_gone(project, release, held)
    others = [held[ref].image for ref in dict.fromkeys(foreign) if ref in held]
    files = {
        path: text for path, text in project.engine.production.records.read().items()
        if text and belongs(path, release.name)
    }  # fmt: skip
    return Parcel(release, files, others), held


def refuse_gone(project: Project, release: Release, held: Mapping[str, Held]) -> None:
    """Raise GangwayError where images of a release aren't there as they were."""
    gone = [
        service
        for service, image in release.images.items()
        if image.ref not in held or held[image.ref].image.id not in (image.id, image.digest)
    ]
    required.refuse_gone(project.environment, release, gone)


def belongs(path: str, name: str) -> bool:
    """Say whether a record is of the release `name`, and goes with it."""
    folder, *rest = PurePosixPath(path).parts
    plain = bool(rest) and not path.startswith("/") and ".." not in rest
    return plain and folder not in _STAYS and rest[0].partition(".")[0] == name


def arrived(project: Project, files: Mapping[str, str], name: str, where: str) -> Release:
    """Return the release of records that came from elsewhere.

    Raises GangwayError where it is another one than `name`, of another project, or not to be run
    by this engine.
    """
    text = files.get(release_file(name))
    if text is None:
        raise GangwayError(f"it has no record of {name}", where=where)
    release = Release.from_json(text)
    own = project.model.project
    if release.name != name:
        raise GangwayError(f"it says that it is {release.name}, and not {name}", where=where)
    if release.project != own:
        raise GangwayError(
            f"{name} is a release of {release.project}, and {project.name} is {own}",
            where=where,
            fix=f"-e COMPOSE_PROJECT_NAME={release.project} deploys it as that project",
        )
    refuse_platform(project, release, where)
    return release


def refuse_platform(project: Project, release: Release, where: str) -> None:
    """Raise FindingsError for the images that are for another machine than the engine's."""
    engine = project.engine.production.shipping.platform()
    findings = [
        Finding(
            f"{image.ref} is for {image.platform}, and the engine runs {engine}",
            where,
            f"build it where the engine is, or for it: DOCKER_DEFAULT_PLATFORM={engine} "
            f"invoke {project.name}.build",
        )
        for image in sorted(set(release.images.values()))
        if image.platform and not f"{image.platform}/".startswith(f"{engine}/")
    ]
    if findings:
        raise FindingsError(findings)


def lacking(
    images: Iterable[Image], held: Mapping[str, Held], own: Collection[Image]
) -> list[Image]:
    """Return the images that aren't there yet; raises GangwayError where a tag is another image's.

    Such a one that isn't the release's `own` is left as it is: it's a newer one, perhaps.
    """
    found = []
    for image in images:
        there = held.get(image.ref)
        if there is None:
            found.append(image)
        elif image in own and there.image.id not in (image.id, image.digest):
            raise GangwayError(
                f"{image.ref} is there already, and it is another image",
                fix=f"docker image rm {image.ref}, if nothing runs from it",
            )
    return found


def refuse_full(room: int | None, needed: int) -> None:
    """Raise GangwayError where an engine has less room than is needed, in bytes; None is enough."""
    if room is not None and room < needed:
        raise GangwayError(
            f"not enough disk where the engine keeps its images: {shown(room)} are free, and "
            f"{shown(needed)} are needed",
            fix="docker system df shows what takes it; docker builder prune and docker image prune "
            "free what nothing uses",
        )


def kept(project: Project, release: Release, files: Mapping[str, str]) -> Release:
    """Write down a release that has arrived with all its images; return it as it is here.

    An engine numbers images in its own way.
    """
    held = project.engine.production.shipping.held(image.ref for image in release.images.values())
    if gone := sorted({i.ref for i in release.images.values()} - set(held)):
        raise GangwayError(f"the engine hasn't got {', '.join(gone)} after all")
    images = {
        service: image._replace(id=held[image.ref].image.id)
        for service, image in release.images.items()
    }
    release = replace(release, images=images)
    own = {path: text for path, text in files.items() if belongs(path, release.name)}
    project.engine.production.records.write(own | {release_file(release.name): release.to_json()})
    return release


def described(parcel: Parcel, sizes: Mapping[str, int]) -> str:
    """Return what a parcel has besides the records, as text that `read` reads."""
    others = [image._asdict() for image in parcel.others]
    return json.dumps({"others": others, "sizes": dict(sizes)}, indent=1)


def read(
    release: Release, files: Mapping[str, str], text: str, where: str
) -> tuple[Parcel, Mapping[str, int]]:
    """Return a parcel that arrived, and its images' sizes in bytes; `text` is of `described`.

    Raises GangwayError for what is no such text.
    """
    try:
        raw = json.loads(text)
        others = [Image(**each) for each in raw["others"]]
        sizes = {str(ref): int(size) for ref, size in raw["sizes"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise GangwayError(f"its list of images can't be read: {error}", where=where) from None
    return Parcel(release, files, others), sizes


def shown(count: float) -> str:
    """Return a number of bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
