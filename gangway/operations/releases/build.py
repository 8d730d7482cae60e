"""Making a release: the images built and named, the model frozen, all of it written down."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from gangway.base import user
from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.releases import Mark
from gangway.model.differences import differences
from gangway.model.release import Image, Release, release_file
from gangway.model.released import released, services_of
from gangway.operations import image_builds
from gangway.operations import release_records as records
from gangway.operations.project import Project
from gangway.operations.releases import parcel, sbom, sign
from gangway.operations.releases.revision import Revision, last_commit, revision
from gangway.settings import contract

# As many differences as are named.
_NAMED: Final = 4
_FORMAT: Final = "%Y%m%d-%H%M%S"


def sources_file(name: str) -> str:
    """Return the path of what the images of a release were made of."""
    return f"sources/{name}.json"


def build(project: Project, *, no_cache: bool = False, images_of: Release | None = None) -> Release:
    """Build the images of all services that are built here, and make a release of them.

    With `images_of` nothing is built: the images are that release's, and the model is today's.
    Where neither an image nor the model differs from that release's, or else the newest one's, that
    one is returned. An image that an earlier release has keeps the name that it has there. Raises
    GangwayError when a build fails, or where a service can't be without the checkout.
    """
    sign.require(project)
    services, here = _services(project)
    known = records.load(project.engine.production.records)
    found = revision(project.environment.runner)
    name = _name(found, known)
    newest = images_of or (known.releases[0] if known.releases else None)
    sources: Any = None
    if images_of:
        images = dict(images_of.images)
    else:
        sources = project.engine.production.images.sources(here)
        images = _built(project, here, name, known, found, sources, no_cache=no_cache)
    model = _model(project, services, images)
    if newest and _same(newest.images, images) and _settings(newest.model) == _settings(model):
        if not images_of:
            say(f"nothing has changed since {newest.name}: that one stays the newest release")
        sign.make_up(project, newest)
        return newest
    release = Release(
        name, project.model.project, project.environment.stack, found.number, found.dirty,
        made=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.strptime(name[:15], _FORMAT)),
        made_by=user.at_host(), images=images, model=model,
    )  # fmt: skip
    text = json.dumps(sources)
    if images_of:
        text = project.engine.production.records.read().get(sources_file(images_of.name), text)
    project.engine.production.records.write(
        {
            **sbom.made(project, release, known),
            **sign.sign(project, release),
            sources_file(name): text,
            release_file(name): release.to_json(),
        }
    )
    say(f"release {name}")
    return release


def _built(
    project: Project,
    here: Sequence[str],
    name: str,
    known: records.Known,
    found: Revision,
    sources: Mapping[str, Any],
    *,
    no_cache: bool,
) -> dict[str, Image]:
    if not here:
        return {}
    _require_room(project, known)
    images = project.engine.production.images
    image_builds.run(project, images.building(here, no_cache=no_cache))
    marks = {image: marked(project, made_of["files"], found) for image, made_of in sources.items()}
    return _named(project, images.built(here, marks), name, known)


def _require_room(project: Project, known: records.Known) -> None:
    """Refuse to begin what may fill the disk: a build may need what the newest release takes."""
    if known.releases:
        shipping = project.engine.production.shipping
        held = shipping.held(image.ref for image in known.releases[0].images.values())
        parcel.refuse_full(shipping.room(), sum(each.size for each in held.values()))


def make(project: Project, *, no_cache: bool = False) -> None:
    """Make a release and print its name; a dry run prints what would build the images."""
    if project.dry_run:
        here = _services(project)[1]
        image_builds.run(
            project, project.engine.production.images.building(here, no_cache=no_cache)
        )
    else:
        print(build(project, no_cache=no_cache).name)


def newer(project: Project, release: Release) -> str:
    """Return in what sources or settings are newer than a release, for people; empty where not."""
    services, _ = _services(project)
    # Services that came since have no image there.
    model = _model(project, services, release.images)
    found = map(str, differences(_settings(release.model), _settings(model)))
    return _shown([*_newer_sources(project, release), *found])


def newer_sources(project: Project, release: Release) -> str:
    """Return in what the sources are newer than a release's, for people; empty where not."""
    return _shown(_newer_sources(project, release))


def covers(project: Project, release: Release) -> bool:
    """Say whether a release has the image of every service that is built here now."""
    return set(_services(project)[1]) <= set(release.images)


def _newer_sources(project: Project, release: Release) -> Sequence[str]:
    before = json.loads(
        project.engine.production.records.read().get(sources_file(release.name), "null")
    )
    if before:
        return project.engine.production.images.changed(_services(project)[1], before)
    now = revision(project.environment.runner)
    if now.number == release.revision and not now.dirty:
        return []
    return [f"revision {now.number[:7]}{' with changes' if now.dirty else ''}"]


def _settings(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model without the numbers of replicas, which are no reason for a release."""
    services = {}
    for name, service in model["services"].items():
        deploy = {k: value for k, value in (service.get("deploy") or {}).items() if k != "replicas"}
        services[name] = {k: value for k, value in service.items() if k not in ("deploy", "scale")}
        services[name] |= {"deploy": deploy} if deploy else {}
    return {**model, "services": services}


def _services(project: Project) -> tuple[list[str], list[str]]:
    """Return the services of a release, and those of them that are built here."""
    services = services_of(project.model, project.environment.optional)
    return services, [name for name in services if "build" in project.model.services[name]]


def _name(found: Revision, known: records.Known) -> str:
    """Return a name for a release that no other has, later than all."""
    newest = known.releases[0].name if known.releases else ""
    while not (name := next_name(time.gmtime(), newest, found.number)):
        time.sleep(0.1)
    return name


def next_name(now: time.struct_time, newest: str, revision: str) -> str:
    """Return the name of a release that is made now; empty in the second of the newest one's.

    Raises GangwayError where the newest one's is still to come.
    """
    stamp = time.strftime(_FORMAT, now)
    if stamp < newest[:15]:
        raise GangwayError(
            f"the newest release is from later than it is here: {newest}",
            where=f"{stamp} UTC, by this machine's clock",
            fix="set the clock",
        )
    return "-".join(filter(None, (stamp, revision[:7]))) if stamp > newest[:15] else ""


def marked(project: Project, files: Mapping[str, Any], found: Revision) -> Mark:
    """Return what an image says of itself that is made of these files.

    It goes by the last commit that changed one of them, not by the newest of all: so an image
    stays the same for as long as its sources do.
    """
    inside = [file for file in files if not file.startswith("/")]
    commit = last_commit(project.environment.runner, inside) if found.number else None
    changed = found.changed.intersection(inside) if commit else inside
    times = [commit.time] if commit else [0]
    with suppress(OSError):
        times += [int((project.root / file).stat().st_mtime) for file in changed]
    moment = max(times)
    labels = {"org.opencontainers.image.created": stamp(moment)}
    if commit:
        dirty = "-dirty" if changed else ""
        labels |= {
            "org.opencontainers.image.revision": commit.number + dirty,
            "org.opencontainers.image.version": commit.number[:7] + dirty,
        }
    if found.source:
        labels["org.opencontainers.image.source"] = found.source
    return Mark(moment, labels)


def stamp(moment: float) -> str:
    """Return a moment, in seconds since the epoch, as ISO 8601 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _named(
    project: Project, built: Mapping[str, Image], name: str, known: records.Known
) -> dict[str, Image]:
    """Give each image that was built its name in the release; return them, by service."""
    earlier = {
        (_repository(image.ref), image.id): image
        for release in known.releases
        for image in release.images.values()
    }
    images: dict[str, Image] = {}
    for service, each in built.items():
        repository = _repository(each.ref)
        image = earlier.get((repository, each.id), each._replace(ref=f"{repository}:{name}"))
        project.engine.production.images.tag(image)
        images[service] = image
    return images


def _repository(ref: str) -> str:
    """Return an image's name without its tag; a registry's port is no tag."""
    head, colon, tag = ref.rpartition(":")
    return head if colon and "/" not in tag else ref


def _model(
    project: Project, services: Sequence[str], images: Mapping[str, Image]
) -> dict[str, Any]:
    env, model = project.environment, project.model
    known = contract.load(project.root)
    values = {name: env.get(name) for name in {*env.variables, *env.shell} if known.is_secret(name)}
    return released(
        model,
        services,
        {service: image.ref for service, image in images.items()},
        contents=_contents(project),
        secrets={name: value for name, value in sorted(values.items()) if value},
        root=project.root,
    )


def _contents(project: Project) -> dict[str, str]:
    """Return the contents of the configs that are files or variables."""
    found = {}
    for name, entry in (project.model.raw.get("configs") or {}).items():
        if variable := entry.get("environment"):
            found[name] = project.environment.get(variable)
        if file := entry.get("file"):
            try:
                found[name] = (project.root / file).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise GangwayError(
                    f"the config {name} can't be read: {error}",
                    where=file,
                    fix="a config is one text file; what is larger goes into an image",
                ) from None
    return found


def _same(first: Mapping[str, Image], second: Mapping[str, Image]) -> bool:
    def compared(images: Mapping[str, Image]) -> dict[str, tuple[str, str]]:
        return {service: (image.ref, image.id) for service, image in images.items()}

    return compared(first) == compared(second)


def _shown(said: Sequence[str]) -> str:
    shown = ", ".join(said[:_NAMED])
    return shown + (f" and {len(said) - _NAMED} more" if len(said) > _NAMED else "")
