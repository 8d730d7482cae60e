"""Deploys and rollbacks: which release becomes what runs, and what is looked at before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.releases import Target
from gangway.model import moves
from gangway.model.model import Model, replicas
from gangway.model.release import Release
from gangway.operations import calls, down, image_builds, preflight, start
from gangway.operations import scale as scaling
from gangway.operations.project import Project
from gangway.operations.release_records import Known
from gangway.operations.releases import build, bundle, keep, publish
from gangway.operations.rollout import transaction
from gangway.operations.rollout.transaction import How
from gangway.operations.start import StartOptions


@dataclass(frozen=True)
class Options:
    """Which release a deploy is of, and how; see the task."""

    release: str = ""
    bundle: str = ""
    allow_destructive: bool = False
    replace: tuple[str, ...] = ()
    timeout: float = 0.0


def deploy(project: Project, options: Options) -> None:
    """Make a release the one that runs: the one that is named, else one of what is here now.

    Raises GangwayError, with the former release serving as ever, when anything is wrong.
    """
    with project.changing("deploy"):
        project, _ = preflight.prepare(project, ())
        replace = _replaceable(project, options.replace)
        if project.dry_run:
            if not (options.release or options.bundle):
                build.make(project)
            _show_plainly(project)
            return
        with transaction.alone(project, "deploy") as known:
            release = _chosen(project, known, options)
            target = Target(release, replace=replace)
            how = How("deploy", options.timeout, options.allow_destructive)
            if transaction.run(project, known, target, how):
                keep.prune(project)


def _chosen(project: Project, known: Known, options: Options) -> Release:
    """Return the release that a deploy is of: a named one, that of a file, or one of the sources.

    One that isn't here, or has lost its images, comes from the registry where there is one.
    """
    if options.release and options.bundle:
        raise GangwayError("--release and --bundle each say which release", fix="leave one out")
    if options.bundle:
        return bundle.take(project, options.bundle)
    if options.release:
        return publish.found(project, known, options.release)
    return build.build(project)


def rebuild(project: Project, service: str) -> None:
    """Build one service's image, every layer anew, and deploy a release of that and the rest.

    Raises GangwayError as `deploy` does, and for a service that isn't built here.
    """
    calls.check_services(project, [service])
    start.require_built(project, service)
    image_builds.build(project, [service], no_cache=True)
    if not project.dry_run:
        deploy(project, Options())


def up(project: Project, options: StartOptions, *, task: str = "up") -> Project:
    """Have the current release run, with this checkout's settings; the first one is made.

    Sources that are newer are said, and left for a deploy. Raises GangwayError as `deploy` does.
    """
    with project.changing(task):
        auto = options.ports == "auto"
        project, _ = preflight.prepare(project, options.services, auto_ports=auto)
        if project.dry_run:
            project.announce("up", "--detach", *options.services)
            return project
        with transaction.alone(project, task) as known:
            release = _settled(project, known.current, rebuild=options.build)
            numbers, only = wanted_numbers(project, release), frozenset(options.services)
            target = Target(release, numbers, replace=only, only=only)
            if transaction.run(project, known, target, How(task, options.timeout)):
                keep.prune(project)
    return project


def _settled(project: Project, current: Release | None, *, rebuild: bool) -> Release:
    """Return the release that `up` is about."""
    if rebuild or current is None:
        return build.build(project)
    if why := build.newer_sources(project, current):
        say(f"{why} changed after {current.name} was made: its images run as they are")
        say(f"  invoke {project.name}.deploy makes a release of what is here, and runs that")
    # A service that came since has no image in it.
    return build.build(project, images_of=current) if build.covers(project, current) else current


def rollback(
    project: Project, name: str, *, timeout: float, allow_destructive: bool = False
) -> None:
    """Make an older release what runs: the one before, where none is named.

    Where a deploy was cut short, that is the one whose place it was to take. Raises GangwayError
    where there is none, or where the database has changed in a way that it can't live with.
    """
    with project.changing("rollback"):
        project, _ = preflight.prepare(project, ())
        if project.dry_run:
            _show_plainly(project)
            return
        with transaction.alone(project, "rollback") as known:
            current = known.current
            if not name and known.undone and current and current.name != known.undone:
                say(f"{current.name} runs, as before the deploy of {known.undone}")
                return
            before = name or _before(project, known).name
            release = publish.found(project, known, before)
            target = Target(release, wanted_numbers(project, release))
            transaction.run(project, known, target, How("rollback", timeout, allow_destructive))


def restart(project: Project, services: Sequence[str]) -> None:
    """Replace the replicas of these services, or of all that keep no data, as a deploy does."""
    calls.check_services(project, services)
    with project.changing("restart"):
        found = calls.answering(project)
        if project.dry_run:
            found.announce("restart", *services)
            return
        with transaction.alone(found, "restart") as known:
            release = running_release(found, known)
            names = frozenset(services or _without_data(release))
            target = Target(
                release, wanted_numbers(found, release), names, frozenset(services), names
            )  # fmt: skip
            transaction.run(found, known, target, How("restart", migrate=False))


def _without_data(release: Release) -> list[str]:
    """Return what a restart of all is about; the proxy, which nobody stands in for, is not."""
    model, built = Model(release.model), list(release.images)
    return [
        name
        for name in model.by_default()
        if name != moves.PROXY and moves.way(model, built, name) in ("beside", "after")
    ]


def scale(project: Project, wishes: Sequence[str]) -> None:
    """Run the wished numbers of replicas, and keep them for this checkout."""
    scaling.scaled(project, wishes, _scaled)


def _scaled(project: Project, numbers: Mapping[str, int]) -> Project:
    with project.changing("scale"):
        found = calls.answering(project)
        if project.dry_run:
            wishes = [f"--scale={name}={number}" for name, number in numbers.items()]
            found.announce("up", "--detach", *wishes, *numbers)
            return found
        with transaction.alone(found, "scale") as known:
            release, only = running_release(found, known), frozenset(numbers)
            target = Target(release, numbers, only=only)
            transaction.run(found, known, target, How("scale", migrate=False))
        return found


def reset(project: Project, *, yes: bool) -> int:
    """Delete the data after asking, and start again from an empty database."""
    status = down.down(project, volumes=True, yes=yes)
    if status == 0:
        up(project, StartOptions())
    return status


def running_release(project: Project, known: Known) -> Release:
    """Return the release that runs; raises GangwayError where none does."""
    if known.current is None:
        raise GangwayError(
            f"{project.name} runs no release", fix=f"invoke {project.name}.up starts one"
        )
    return known.current


def _before(project: Project, known: Known) -> Release:
    if name := known.state.get("before"):
        return known.find(str(name))
    raise GangwayError(
        "there is no release before the one that runs",
        fix=f"invoke {project.name}.releases lists what there is",
    )


def wanted_numbers(project: Project, release: Release) -> dict[str, int]:
    """Return how many replicas this checkout wants of the release's services."""
    here = project.model.services
    return {name: replicas(here[name]) for name in release.model["services"] if name in here}


def _show_plainly(project: Project) -> None:
    """Print what a deploy comes down to; which services move only an engine knows."""
    project.announce("up", "--detach", "--no-deps", "--force-recreate", "migrate")
    project.announce("up", "--detach", "--no-deps", "--no-recreate", "--scale", "SERVICE=NUMBER")


def _replaceable(project: Project, names: Sequence[str]) -> frozenset[str]:
    calls.check_services(project, names)
    return frozenset(names)
