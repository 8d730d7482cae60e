"""Everything that is checked before an engine is asked to change anything."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines import choice
from gangway.engines.container import Container
from gangway.operations import calls, project_name
from gangway.operations.project import Project, with_settings
from gangway.settings import contract, contract_check, ports


def prepare(
    project: Project, services: Sequence[str], *, auto_ports: bool = False
) -> tuple[Project, list[Container]]:
    """Return the project as it may go on, and its containers: variables, engine, names and ports.

    The checkout's own layer is written where this checkout must differ from the plain
    environment. Raises GangwayError, with nothing changed, when something is not in order.
    """
    contract_check.require(project.environment, contract.load(project.root))
    if project.dry_run:
        calls.check_services(project, services)
        return project, []
    with ThreadPoolExecutor(max_workers=4) as pool:
        engine = pool.submit(project.engine.check)
        rendered = pool.submit(lambda: project.model)
        present = pool.submit(project.engine.containers)
        alone = pool.submit(refuse_two_engines, project)
        engine.result()
        rendered.result()
        containers = present.result()
    calls.check_services(project, services)
    alone.result()
    owned = project_name.own(project)
    if owned is not project:
        containers = owned.engine.containers()
    refuse_two_stacks(project, containers)
    settled = settle_ports(owned, services, containers, auto=auto_ports)
    project_name.keep(settled)
    return settled, containers


def refuse_two_engines(project: Project) -> None:
    """Refuse to start what another engine runs: each would change its own copy of the data.

    Raises GangwayError with the way to end the other.
    """
    for other in choice.others(project.engine):
        if other.running():
            name = project.name
            raise GangwayError(
                f"{name} runs {other.manner} already",
                fix=f"invoke {name}.down --engine {other.name} ends it, "
                f"or go on with --engine {other.name}",
            )


def refuse_two_stacks(project: Project, containers: Sequence[Container]) -> None:
    """Refuse a stack beside another one in the same environment: they share names and data.

    Raises GangwayError with what runs and the way to end it.
    """
    others = sorted(
        container.service
        for container in containers
        if container.state == "running" and container.service not in project.model.services
    )
    if others:
        name = project.name
        raise GangwayError(
            f"{name} runs another stack already: the {project.environment.stack} stack has no "
            + ", ".join(dict.fromkeys(others)),
            fix=f"invoke {name}.down ends it; the data stays",
        )


def settle_ports(
    project: Project, services: Sequence[str], containers: Sequence[Container], *, auto: bool
) -> Project:
    """Refuse published ports that somebody else has; with `auto`, move to a free block.

    `containers` are the project's own, whose ports count as free.
    """
    own = {
        port
        for container in containers
        if container.state == "running"
        for port in container.published
    }
    wanted = set(project.model.wanted(services))
    published = [port for port in project.model.published() if port.service in wanted]
    taken = [
        port
        for port in published
        if port.port not in own and not ports.is_free(port.port, port.host)
    ]
    if not taken:
        return project
    if not auto:
        port, publisher = taken[0], project.engine.publisher(taken[0].port)
        raise ports.taken(project.environment, port.port, publisher, port.service)
    known = contract.load(project.root)
    variables = ports.published(project.environment, known)
    if not variables:
        raise GangwayError("no PUBLISHED_ variable to move", fix="see docs/environments.md")
    block = ports.free_block(project.root, variables, host=taken[0].host)
    moved = with_settings(project, {name: str(port) for name, port in block.items()})
    # The others move along, for the stacks and tasks that want them later.
    used = {port.port for port in moved.model.published() if port.service in wanted}
    shown = [
        f"{name} {port}"
        for name, port in sorted(block.items())
        if port in used and (not known.knows(name) or known.variables[name].service in wanted)
    ]
    say("ports: " + ", ".join(shown))
    return moved
