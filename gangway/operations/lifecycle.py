"""What a user asks of a whole stack: up, scale, reset, secrets, base images."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gangway.base.errors import GangwayError
from gangway.operations import calls, image_builds, operations, preflight
from gangway.operations import start as starting
from gangway.operations.project import Project, say

# Compose 2.26 can be deaf to Ctrl-C: while it builds, and now and then while it restarts a service.
_WATCH_SECONDS = 5.0


def up(
    project: Project,
    services: Sequence[str],
    *,
    build: bool,
    watch: bool,
    ports: str,
    timeout: float,
) -> int | None:
    """Start the services and list the URLs; with `watch` stay until Ctrl-C.

    `timeout` is in seconds, 0 for as long as something happens. Raises GangwayError when
    something doesn't start.
    """
    wish = starting.Wish(
        tuple(services), build=build, auto_ports=auto_ports(ports), timeout=timeout
    )
    project = starting.up(project, wish)
    if project.dry_run:
        return None
    say()
    operations.show_urls(project, services)
    if not watch:
        return None
    if project.native:
        say("sources are watched anyway; run up again when a lock file has changed")
        return None
    argv = project.command("watch", "--no-up", *services)
    project.announce(argv)
    return project.runner.stay(argv, _WATCH_SECONDS)


def auto_ports(ports: str) -> bool:
    """Return what `--ports` asks for; raises GangwayError for anything but `auto`."""
    if ports not in ("", "auto"):
        raise GangwayError(
            f"--ports is {ports!r}",
            fix="--ports auto finds free ports; a port of your own: -e PUBLISHED_API_PORT=8100",
        )
    return bool(ports)


def restart(project: Project, services: Sequence[str]) -> None:
    """Restart the named services, or all, and return when they are healthy again."""
    calls.check_services(project, services)
    with project.changing("restart"):
        starting.watched(
            calls.answering(project), starting.Wish(tuple(services)), "restart", *services
        )


def build(project: Project, services: Sequence[str], *, no_cache: bool) -> None:
    """Build the images of the named services, or of all."""
    calls.check_services(project, services)
    if not project.dry_run:
        project.engine.check()
    image_builds.build(project, services, no_cache=no_cache)


def rebuild(project: Project, service: str) -> None:
    """Build one service's image, every layer anew, and replace its container alone.

    What it needs is started where it doesn't run. Raises GangwayError for a service that isn't
    built here.
    """
    calls.check_services(project, [service])
    if "build" not in project.model.services[service]:
        raise GangwayError(
            f"{service} isn't built here: its image comes from elsewhere",
            fix=f"invoke {project.name}.restart {service} starts it again",
        )
    with project.changing("rebuild"):
        project = preflight.prepare(project, [service])
        image_builds.build(project, [service], no_cache=True)
        wish = starting.Wish((service,))
        # Native services have no image: what is built anew are the libraries of all apps.
        tail = ["restart"] if project.native else ["up", "--detach", "--force-recreate"]
        starting.watched(project, wish, *tail, *starting.alone(project, service), service)


def scale(project: Project, wishes: Sequence[str]) -> int | None:
    """Run the wished numbers of containers, leaving those that run as they are.

    The numbers are kept in the checkout's layer (API_REPLICAS), so that the next `up` has them.
    """
    kept = operations.scale(project, wishes)
    services = tuple(wish.partition("=")[0] for wish in wishes)
    options = ["--no-recreate", *(word for wish in wishes for word in ("--scale", wish))]
    starting.up(project, starting.Wish(services, options=tuple(options)), task="scale")
    project.with_checkout_layer({} if project.dry_run else kept)
    return None


def reset(project: Project, *, yes: bool) -> int | None:
    """Delete the data after asking, and start again from an empty database."""
    status = operations.down(project, volumes=True, yes=yes)
    if status:
        return status
    starting.up(project, starting.Wish())
    return None


def init(project: Project) -> None:
    """Make the environment's secret files; those that exist are kept."""
    from gangway.settings import contract, secrets

    folder = project.root / project.environment.get("SECRETS_DIR")
    names = contract.load(project.root).secret_files()
    if project.dry_run:
        missing = [folder / name for name in names if not (folder / name).exists()]
        for path in missing:
            print(f"# would make {path}")
        return
    for outcome in secrets.init(folder, names):
        print(f"{outcome.action:<8}  {outcome.path.relative_to(project.root)}")


def offline_images(root: Path, *, force: bool, also: Sequence[str]) -> None:
    """Build the offline base images, with the CA bundle that the shell names for pip."""
    from gangway.operations import offline_images

    bundle = os.environ.get("BUILD_CA_BUNDLE") or os.environ.get("PIP_CERT")
    offline_images.build_offline(
        root, ca_bundle=Path(bundle) if bundle else None, force=force, also=also, say=say
    )
    print("use them with --images offline, or GANGWAY_IMAGES=offline in env/local.env or the shell")
    sys.stdout.flush()
