"""Starting services: checks first, then the engine, watched until they are ready."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from gangway.base import output
from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.interface import Engine
from gangway.engines.start import Start
from gangway.engines.timeline import View
from gangway.model import mount_points
from gangway.model.model import replicas
from gangway.operations import (
    calls,
    diagnosis,
    image_builds,
    inspect,
    kept_data,
    preflight,
    renewed,
)
from gangway.operations.copies import branches
from gangway.operations.copies.server import SERVICE
from gangway.operations.patience import Patience
from gangway.operations.project import Project

# Seconds that Compose has to end by itself once a service has failed.
_LAST_SECONDS = 5.0


@dataclass(frozen=True)
class StartOptions:
    """What to start, all that is on for no `services`, and how.

    `ports` is `auto` to move to free ones. `timeout` is in seconds, 0 for as long as something
    happens. `enough` are those that must be ready, None for all; others only have to be started.
    `flags` are more of `docker compose up`'s.
    """

    services: tuple[str, ...] = ()
    build: bool = False
    ports: str = ""
    timeout: float = 0.0
    enough: tuple[str, ...] | None = None
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse any other `ports`."""
        if self.ports not in ("", "auto"):
            raise GangwayError(
                f"--ports is {self.ports!r}",
                fix="--ports auto finds free ports; a port of your own: -e PUBLISHED_API_PORT=8100",
            )


def up(project: Project, options: StartOptions, *, task: str = "up") -> Project:
    """Start the services and return when they are ready.

    Returns the project with the checkout's own settings. Raises GangwayError, after
    showing the service's last log lines and health output, when one fails or `timeout` passes.
    """
    with project.changing(task):
        auto = options.ports == "auto"
        project, there = preflight.prepare(project, options.services, auto_ports=auto)
        project = branches.settle(project, _start_database)
        wanted = project.model.wanted(options.services)
        old = renewed.outdated(project.model, there)
        if options.build:
            built = [name for name in wanted if "build" in project.model.services[name]]
            image_builds.build(project, built)
        else:
            image_builds.refresh(project, wanted)
        watched(project, options, "up", "--detach", *options.flags, *options.services)
        if not there and not project.dry_run:
            # Images that have only come with this start.
            kept_data.check(project, options.services)
        if any(name in wanted for name in old):
            _renew(project, wanted)
        branches.tidy(project)
    return project


def _start_database(project: Project) -> None:
    """Start the database alone: a branch's own is a copy that only the server can make."""
    watched(project, StartOptions((SERVICE,)), "up", "--detach", SERVICE)


def _renew(project: Project, wanted: Sequence[str]) -> None:
    """Start anew what of these services Compose has left running with files that have changed."""
    found = renewed.outdated(project.model, project.engine.containers())
    if old := [name for name in wanted if name in found]:
        files = dict.fromkeys(file for name in old for file in found[name])
        say(f"{', '.join(files)} changed since {', '.join(old)} started")
        watched(project, StartOptions(tuple(old)), "restart", *old)


def show(project: Project, services: Sequence[str], *, watch: bool) -> int:
    """List the URLs of what was started; with `watch` stay, and follow changes until Ctrl-C."""
    if project.dry_run:
        return 0
    say()
    inspect.urls(project, services)
    return calls.run(project, "watch", "--no-up", *services, needs_engine=False) if watch else 0


def restart(project: Project, services: Sequence[str]) -> None:
    """Restart the named services, or all, and return when they are healthy again."""
    calls.check_services(project, services)
    with project.changing("restart"):
        found = calls.answering(project)
        watched(found, StartOptions(tuple(services)), "restart", *services)


def rebuild(project: Project, service: str) -> None:
    """Build one service's image, every layer anew, and replace its container alone.

    What it needs is started where it doesn't run. Raises GangwayError for a service that isn't
    built here.
    """
    calls.check_services(project, [service])
    require_built(project, service)
    with project.changing("rebuild"):
        project, _ = preflight.prepare(project, [service])
        image_builds.build(project, [service], no_cache=True)
        flags = ("--detach", "--force-recreate", *alone(project, service))
        watched(project, StartOptions((service,)), "up", *flags, service)


def require_built(project: Project, service: str) -> None:
    """Refuse a service whose image isn't built here."""
    if "build" not in project.model.services[service]:
        raise GangwayError(
            f"{service} isn't built here: its image comes from elsewhere",
            fix=f"invoke {project.name}.restart {service} starts it again",
        )


def alone(project: Project, service: str) -> tuple[str, ...]:
    """Return Compose's flag that leaves alone what a service needs, where all of that is ready."""
    if project.dry_run:
        return ()
    one_shots = project.model.one_shots()
    there = {
        found.service
        for found in project.engine.containers()
        if (found.state == "running" and found.health in ("", "healthy"))
        or (found.state == "exited" and found.exit_code == 0 and found.service in one_shots)
    }
    needed = set(project.model.wanted([service])) - {service}
    return ("--no-deps",) if needed <= there else ()


def watched(project: Project, options: StartOptions, *words: str) -> None:
    """Print and make the call that starts services, and watch until they are ready.

    The caller holds the environment's lock. Raises GangwayError as `up` does.
    """
    if not project.announce(*words):
        return
    mount_points.make(project.model)
    try:
        with project.engine.start(words, options.services) as start:
            follow(project.engine, start, options)
    except KeyboardInterrupt:
        name = project.name
        say(
            f"\ninterrupted: what had started is still there "
            f"(invoke {name}.up goes on, invoke {name}.down ends it)"
        )
        raise


def follow(engine: Engine, start: Start, options: StartOptions) -> None:
    """Show a start under way until what it starts is ready; raises GangwayError as `up` does."""
    timeline = start.timeline
    view = View(timeline, sys.stderr, output.state_colours(sys.stderr))
    patience = Patience(engine, timeline, view, options.timeout, start.containers)
    services = engine.model.services
    # What has no container is never ready.
    all_there_is = (name for name in timeline.services if replicas(services[name]))
    enough = set(all_there_is if options.enough is None else options.enough)
    while not start.done() or enough.intersection(timeline.pending()):
        if start.poll():
            patience.renew()
            view.update()
        if start.fetching:
            patience.restart()
        if timeline.failed():
            start.give_up(_LAST_SECONDS)
            view.update()
            if failed := timeline.failed():
                there = start.containers()
                raise diagnosis.did_not_start(engine, failed, timeline.out_of_memory, there)
        if patience.is_over():
            start.give_up()
            view.update()
            raise patience.error()
