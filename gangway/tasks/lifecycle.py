"""Starting, stopping and building a stack."""

from __future__ import annotations

from typing import Annotated as A

from gangway.operations.project import Project
from gangway.tasks.options import Option, Service, Services, Yes


def up(
    project: Project,
    *services: Services,
    build: A[bool, Option("build the images first", "b")] = False,
    watch: A[bool, Option("stay, and rebuild or sync as files change", "w")] = False,
    ports: A[str, Option("auto: move to free ports where these are taken", "p")] = "",
    timeout: A[float, Option("give up after this many seconds; 0: once nothing happens")] = 0.0,
    https: A[bool, Option("development: production's proxy in front, with TLS")] = False,
) -> int:
    """Start the stack; returns when every service is healthy, and lists the URLs."""
    from gangway.operations import start

    if https:
        from gangway.operations import local_tls

        project, services = local_tls.with_https(project, services)

    options = start.StartOptions(services, build=build, ports=ports, timeout=timeout)
    return start.show(start.up(project, options), services, watch=watch)


def down(
    project: Project,
    volumes: A[bool, Option("delete the data too; asks first")] = False,
    yes: Yes = False,
) -> int:
    """Stop and remove the stack; the data stays unless --volumes."""
    from gangway.operations import down

    return down.down(project, volumes=volumes, yes=yes)


def restart(project: Project, *services: Services) -> None:
    """Restart all services, or those named; returns when they are healthy again."""
    from gangway.operations import start

    start.restart(project, services)


def build(
    project: Project,
    *services: Services,
    no_cache: A[bool, Option("build every layer anew")] = False,
) -> None:
    """Build the images of all services, or of those named."""
    from gangway.operations import image_builds

    image_builds.build(project, services, no_cache=no_cache)


def rebuild(project: Project, service: Service) -> None:
    """Build the image of one service without the cache, and run the service from it."""
    from gangway.operations import start

    start.rebuild(project, service)


def scale(project: Project, *services: A[str, Option("SERVICE=NUMBER, such as api=3")]) -> None:
    """Run several containers of a service: prod.scale api=3."""
    from gangway.operations import scale

    scale.scale(project, services)


def reset(project: Project, yes: Yes = False) -> int:
    """Delete the database's data, then start again with an empty one; asks first."""
    from gangway.operations import down

    return down.reset(project, yes=yes)
