"""Running several containers of a service."""

from __future__ import annotations

from collections.abc import Sequence

from gangway.base.errors import GangwayError
from gangway.operations import calls
from gangway.operations.project import Project, with_settings
from gangway.operations.start import StartOptions, up


def scale(project: Project, wishes: Sequence[str]) -> None:
    """Run the wished numbers of containers, leaving those that run as they are.

    The numbers are kept in the checkout's layer (API_REPLICAS), so that the next `up` has them.
    """
    kept = replicas(project, wishes)
    services = tuple(wish.partition("=")[0] for wish in wishes)
    flags = ["--no-recreate", *(word for wish in wishes for word in ("--scale", wish))]
    up(project, StartOptions(services, flags=tuple(flags)), task="scale")
    if not project.dry_run:
        with_settings(project, kept)


def replicas(project: Project, wishes: Sequence[str]) -> dict[str, str]:
    """Return the variables (API_REPLICAS) for wishes such as `api=3`; refuse impossible ones."""
    from gangway.settings import contract

    known = contract.load(project.root).variables
    kept: dict[str, str] = {}
    for wish in wishes:
        service, equals, number = wish.partition("=")
        if not equals or not number.isdecimal():
            raise GangwayError(
                f"{wish!r} is not SERVICE=NUMBER", fix=f"invoke {project.name}.scale api=3"
            )
        calls.check_services(project, [service])
        port = next((p for p in project.model.published() if p.service == service), None)
        if port and int(number) > 1:
            raise GangwayError(
                f"{service} publishes port {port.port}, which only one container can have",
                where=f"{project.name}.scale",
                fix="use an environment that doesn't publish its port, such as production",
            )
        variable = f"{service.upper().replace('-', '_')}_REPLICAS"
        if variable not in known:
            can = [name.removesuffix("_REPLICAS").lower() for name in known if "_REPLICAS" in name]
            raise GangwayError(
                f"{service} can't be scaled: there is no variable {variable}",
                fix=f"these can: {', '.join(can)}; docs/stacks.md shows how to add one",
            )
        kept[variable] = number
    if not kept:
        raise GangwayError("nothing to scale", fix=f"invoke {project.name}.scale api=3")
    return kept
