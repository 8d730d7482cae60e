"""A release in a registry: its images, and beside them its records as an image of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.releases import Held
from gangway.model.release import Image, Release, release_file
from gangway.operations.project import Project
from gangway.operations.release_records import Known
from gangway.operations.releases import parcel
from gangway.settings import contract

_PARCEL: Final = "parcel.json"


def publish(project: Project, named: Sequence[str] = ()) -> None:
    """Send a release to RELEASE_REGISTRY, and print its name there.

    Its records go last: without them nobody finds a half of it. Raises GangwayError where the
    registry refuses it or goes away.
    """
    registry = contract.needed("RELEASE_REGISTRY", project.environment)
    release = parcel.chosen(project, named)
    place = _place(registry, release.project, release.name)
    if project.dry_run:
        for image in sorted(set(release.images.values())):
            print(f"docker push {_image_place(registry, image)}")
        print(f"docker push {place}")
        return
    shipping = project.engine.production.shipping
    packed, held = parcel.packed(project, release)
    before = shipping.pull_files(place)
    if before is not None:
        release = _published(packed.release, before, place)
        say(f"{release.name} is there already")
    else:
        digests: dict[str, str] = {}
        for image in packed.images:
            # What a registry has that isn't ours needs no second place.
            if image not in packed.others or not held[image.ref].known_to:
                digests[image.ref] = shipping.push(image.ref, _image_place(registry, image))
        release = _with(release, digests)
        others = [i._replace(digest=digests[i.ref]) for i in packed.others if i.ref in digests]
        sizes = {ref: held[ref].size for ref in digests}
        files = {
            **packed.files,
            release_file(release.name): release.to_json(),
            _PARCEL: parcel.described(packed._replace(others=others), sizes),
        }
        shipping.push_files({path: text.encode() for path, text in files.items()}, place)
    project.engine.production.records.write({release_file(release.name): release.to_json()})
    print(place)


def fetch(project: Project, name: str) -> Release:
    """Return the release that the registry has by this whole name, its images on the engine.

    Only what is missing there is pulled, by its digest. Raises GangwayError, with nothing of it
    left, where the registry hasn't got it or goes away, or where images aren't the recorded ones.
    """
    registry = contract.needed("RELEASE_REGISTRY", project.environment)
    shipping = project.engine.production.shipping
    place = _place(registry, project.model.project, name)
    raw = shipping.pull_files(place)
    if raw is None:
        raise GangwayError(
            f"there is no release {name!r} here, and the registry has none of that name",
            where=place,
            fix=f"invoke {project.name}.releases lists those here; one of the registry must be "
            "given by its whole name",
        )
    files = {path: data.decode(errors="replace") for path, data in raw.items()}
    release = parcel.arrived(project, files, name, place)
    whole, sizes = parcel.read(release, files, files.get(_PARCEL, ""), place)
    held = shipping.held(image.ref for image in whole.images)
    missing = parcel.lacking(whole.images, held, list(release.images.values()))
    # How much of it is there already only a pull tells: the largest alone needs this much.
    parcel.refuse_full(
        shipping.room(), max((sizes.get(image.ref, 0) for image in missing), default=0)
    )
    _pull(project, registry, missing)
    return parcel.kept(project, release, files)


def found(project: Project, known: Known, text: str) -> Release:
    """Return the release whose name has `text` in it, with its images.

    Where it isn't known here, or images of it have gone, RELEASE_REGISTRY has it, perhaps. Raises
    GangwayError as `Known.find` and `fetch` do.
    """
    has_registry = bool(project.environment.get("RELEASE_REGISTRY"))
    if has_registry and not any(text in each.name for each in known.releases):
        return fetch(project, text)
    release = known.find(text)
    built = list(release.images.values())
    if has_registry and all(image.digest for image in built):
        held = project.engine.production.shipping.held(image.ref for image in built)
        if any(image.ref not in held for image in built):
            return fetch(project, release.name)
    return release


def _pull(project: Project, registry: str, images: list[Image]) -> None:
    shipping = project.engine.production.shipping
    places: dict[str, Image] = {}
    named: list[str] = []
    try:
        for image in images:
            place = _place_by_digest(project, registry, image)
            places[place] = image
            shipping.pull(place)
        _refuse_others(places, shipping.held(places))
        for place, image in places.items():
            shipping.name(place, image.ref)
            named.append(image.ref)
    except BaseException:
        shipping.forget(named)
        raise
    finally:
        # By their own names they stay.
        shipping.forget(places)


def _place_by_digest(project: Project, registry: str, image: Image) -> str:
    if image.digest:
        return f"{_image_place(registry, image).rpartition(':')[0]}@{image.digest}"
    raise GangwayError(
        f"{image.ref} has no digest in the record: it was never published",
        fix=f"invoke {project.name}.publish, where the release was made",
    )


def _refuse_others(wanted: Mapping[str, Image], held: Mapping[str, Held]) -> None:
    """Raise GangwayError where what was pulled isn't what the record says, each by its place."""
    for place, image in wanted.items():
        if place not in held or held[place].image.id not in (image.id, image.digest):
            raise GangwayError(
                f"what came isn't the image of the record, {image.ref} ({image.id[:19]})",
                where=place,
            )


def _published(release: Release, files: Mapping[str, bytes], place: str) -> Release:
    """Return a release as it was published before; raises GangwayError where that is another."""
    text = files.get(release_file(release.name), b"").decode(errors="replace")
    there = Release.from_json(text or "{}")
    if {i.id for i in there.images.values()} != {i.id for i in release.images.values()}:
        raise GangwayError(
            f"the registry has another release of the name {release.name}",
            where=place,
            fix="a name is never given twice: make a new release",
        )
    return _with(release, {image.ref: image.digest for image in there.images.values()})


def _with(release: Release, digests: Mapping[str, str]) -> Release:
    images = {
        service: image._replace(digest=digests.get(image.ref, image.digest))
        for service, image in release.images.items()
    }
    return replace(release, images=images)


def _place(registry: str, project: str, name: str) -> str:
    return f"{registry.rstrip('/')}/{project}-release:{name}"


def _image_place(registry: str, image: Image) -> str:
    name = image.ref.rpartition("/")[2]
    return f"{registry.rstrip('/')}/{name if ':' in name else f'{name}:latest'}"
