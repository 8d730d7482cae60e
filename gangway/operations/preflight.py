"""Everything that is checked before an engine is asked to change anything."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from gangway.base.errors import Finding, GangwayError
from gangway.base.output import say
from gangway.engines import choice
from gangway.engines.container import Container
from gangway.operations import calls, missing_files, project_name
from gangway.operations.project import Project, with_settings
from gangway.settings import contract, contract_check, ports


def prepare(
    project: Project, services: Sequence[str], *, auto_ports: bool = False
) -> tuple[Project, list[Container]]:
    """Return the project as it may go on, and its containers: variables, engine, names and ports.

    The checkout's own layer is written where this checkout must differ from the plain
    environment. Raises GangwayError, with nothing changed, when something is not in order.
    """
    check_variables(project, services)
    if project.dry_run:
        calls.check_services(project, services)
        check_files(project, services)
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
    check_files(project, services)
    alone.result()
    owned = project_name.own(project)
    if owned is not project:
        containers = owned.engine.containers()
    refuse_two_stacks(project, containers)
    settled = settle_ports(owned, services, containers, auto=auto_ports)
    project_name.keep(settled)
    return settled, containers


def check_variables(project: Project, services: Sequence[str]) -> None:
    """Refuse what the contract finds, with the files that are missing as well where it finds any.

    Raises FindingsError with all of it.
    """
    known = contract.load(project.root)
    findings = contract_check.check(project.environment, known)
    if findings:
        # Wrong variables may leave no model to look at.
        with suppress(GangwayError, KeyError):
            findings += _missing(project, services)
    contract_check.refuse(project.environment, _once(findings))


def check_files(project: Project, services: Sequence[str]) -> None:
    """Refuse files that aren't there and that these services, or all, have mounted.

    Raises FindingsError with all of them.
    """
    contract_check.refuse(project.environment, _missing(project, services))


def _missing(project: Project, services: Sequence[str]) -> list[Finding]:
    wanted = project.model.wanted(services)
    known = contract.load(project.root)
    return list(missing_files.missing(project.environment, project.model, wanted, known))


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings without those of a missing file that another one tells of."""
    kept: list[Finding] = []
    for finding in findings:
        where = finding.where or ""
        told = any(_names(each, where) for each in kept)
        if not told or not finding.what.endswith("has no file"):
            kept.append(finding)
    return kept


def _names(finding: Finding, file: str) -> bool:
    words = [os.path.normpath(word.rstrip(",")) for word in finding.what.split()]
    return file in (finding.where, *words)


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
