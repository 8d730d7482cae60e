"""What a user asks of a whole stack: up, scale, reset, secrets, base images."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gangway.base.errors import GangwayError
from gangway.operations import builds, calls, operations, preflight
from gangway.operations import up as starting
from gangway.operations.session import Session, say

# Compose 2.26 can be deaf to Ctrl-C: while it builds, and now and then while it restarts a service.
_WATCH_SECONDS = 5.0


def up(
    session: Session,
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
    session = starting.up(session, wish)
    if session.dry_run:
        return None
    say()
    operations.show_urls(session, services)
    if not watch:
        return None
    if session.native:
        say("sources are watched anyway; run up again when a lock file has changed")
        return None
    argv = session.command("watch", "--no-up", *services)
    session.announce(argv)
    return session.runner.stay(argv, _WATCH_SECONDS)


def auto_ports(ports: str) -> bool:
    """Return what `--ports` asks for; raises GangwayError for anything but `auto`."""
    if ports not in ("", "auto"):
        raise GangwayError(
            f"--ports is {ports!r}",
            fix="--ports auto finds free ports; a port of your own: -e PUBLISHED_API_PORT=8100",
        )
    return bool(ports)


def restart(session: Session, services: Sequence[str]) -> None:
    """Restart the named services, or all, and return when they are healthy again."""
    calls.check_services(session, services)
    with session.changing("restart"):
        starting.watched(
            calls.answering(session), starting.Wish(tuple(services)), "restart", *services
        )


def build(session: Session, services: Sequence[str], *, no_cache: bool) -> None:
    """Build the images of the named services, or of all."""
    calls.check_services(session, services)
    if not session.dry_run:
        session.engine.check()
    builds.build(session, services, no_cache=no_cache)


def rebuild(session: Session, service: str) -> None:
    """Build one service's image, every layer anew, and replace its container alone.

    What it needs is started where it doesn't run. Raises GangwayError for a service that isn't
    built here.
    """
    calls.check_services(session, [service])
    if "build" not in session.model.services[service]:
        raise GangwayError(
            f"{service} isn't built here: its image comes from elsewhere",
            fix=f"invoke {session.name}.restart {service} starts it again",
        )
    with session.changing("rebuild"):
        session = preflight.prepare(session, [service])
        builds.build(session, [service], no_cache=True)
        wish = starting.Wish((service,))
        # Native services have no image: what is built anew are the libraries of all apps.
        tail = ["restart"] if session.native else ["up", "--detach", "--force-recreate"]
        starting.watched(session, wish, *tail, *starting.alone(session, service), service)


def scale(session: Session, wishes: Sequence[str]) -> int | None:
    """Run the wished numbers of containers, leaving those that run as they are.

    The numbers are kept in the checkout's layer (API_REPLICAS), so that the next `up` has them.
    """
    kept = operations.scale(session, wishes)
    services = tuple(wish.partition("=")[0] for wish in wishes)
    options = ["--no-recreate", *(word for wish in wishes for word in ("--scale", wish))]
    starting.up(session, starting.Wish(services, options=tuple(options)), task="scale")
    session.with_checkout_layer({} if session.dry_run else kept)
    return None


def reset(session: Session, *, yes: bool) -> int | None:
    """Delete the data after asking, and start again from an empty database."""
    status = operations.down(session, volumes=True, yes=yes)
    if status:
        return status
    starting.up(session, starting.Wish())
    return None


def init(session: Session) -> None:
    """Make the environment's secret files; those that exist are kept."""
    from gangway.settings import contract, secrets

    folder = session.root / session.environment.get("SECRETS_DIR")
    names = contract.load(session.root).secret_files()
    if session.dry_run:
        missing = [folder / name for name in names if not (folder / name).exists()]
        for path in missing:
            print(f"# would make {path}")
        return
    for outcome in secrets.init(folder, names):
        print(f"{outcome.action:<8}  {outcome.path.relative_to(session.root)}")


def offline_images(root: Path, *, force: bool, also: Sequence[str]) -> None:
    """Build the offline base images, with the CA bundle that the shell names for pip."""
    from gangway.operations import images

    bundle = os.environ.get("BUILD_CA_BUNDLE") or os.environ.get("PIP_CERT")
    images.build_offline(
        root, ca_bundle=Path(bundle) if bundle else None, force=force, also=also, say=say
    )
    print("use them with --images offline, or GANGWAY_IMAGES=offline in env/local.env or the shell")
    sys.stdout.flush()
