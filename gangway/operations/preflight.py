"""Everything that is checked before an engine is asked to change anything."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from gangway.base.errors import Finding, GangwayError
from gangway.engines import choice
from gangway.engines.container import Container
from gangway.model import queues
from gangway.operations import (
    calls,
    data_owner,
    kept_data,
    links,
    majors,
    missing_files,
    project_name,
    published,
    readable,
)
from gangway.operations.project import Project
from gangway.settings import contract, contract_check, resets, tls
from gangway.settings.environment import stack_file


def prepare(
    project: Project, services: Sequence[str], *, auto_ports: bool = False, upgrade: bool = False
) -> tuple[Project, list[Container]]:
    """Return the project as it may go on, and its containers: variables, engine, names and ports.

    The checkout's own layer is written where this checkout must differ from the plain
    environment. An `upgrade` of PostgreSQL isn't kept from what it is there for. Raises
    GangwayError, with nothing changed, when something is not in order.
    """
    if not project.dry_run:
        # Wrong variables may leave no model to look at, and are told next.
        with suppress(GangwayError, KeyError):
            readable.open_up(project)
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
        kept = pool.submit(kept_data.check, project, services)
        containers = present.result()
    calls.check_services(project, services)
    check_files(project, services)
    alone.result()
    kept.result()
    owned = project_name.own(project)
    if owned is not project:
        containers = owned.engine.containers()
    refuse_two_stacks(project, containers)
    data_owner.check(owned)
    if not upgrade:
        majors.check(owned, services)
    settled = published.settle(owned, services, containers, auto=auto_ports)
    project_name.keep(settled)
    data_owner.keep(settled)
    if not upgrade:
        majors.keep(settled, services)
    links.warn(settled, services)
    return settled, containers


def check_variables(project: Project, services: Sequence[str]) -> None:
    """Refuse what the contract finds, with the files that are missing as well where it finds any.

    Raises FindingsError with all of it.
    """
    known = contract.load(project.root)
    findings = contract_check.check(project.environment, known)
    findings += tls.findings(project.environment)
    if findings:
        # Wrong variables may leave no model to look at.
        with suppress(GangwayError, KeyError):
            findings += _missing(project, services)
    contract_check.refuse(project.environment, _once(findings))


def check_files(project: Project, services: Sequence[str]) -> None:
    """Refuse what the Compose files of these services, or of all, get wrong.

    That is: files that are mounted and aren't there, what comes back that `!reset` took away, and
    a queue whose jobs may be evicted.
    Raises FindingsError with all of it.
    """
    findings = [*_missing(project, services), *_lost_resets(project, services)]
    findings += _lost_jobs(project)
    contract_check.refuse(project.environment, findings)


def _lost_jobs(project: Project) -> Iterator[Finding]:
    env, model = project.environment, project.model
    if (names := queues.workers(model)) and queues.loses_jobs(model):
        found = env.variable("REDIS_MAXMEMORY_POLICY")
        policy = model.services[queues.REDIS]["environment"]["REDIS_MAXMEMORY_POLICY"]
        yield Finding(
            f"{', '.join(names)} takes its jobs from Redis, where {policy} lets any key go "
            "once it is full, jobs as well",
            found.origin if found else stack_file(env.stack),
            "set REDIS_MAXMEMORY_POLICY: volatile-lru lets only go what has an expiry, "
            "noeviction nothing",
        )


def _lost_resets(project: Project, services: Sequence[str]) -> Iterator[Finding]:
    env, model = project.environment, project.model
    wanted = model.wanted(services)
    for file, line, path, first in resets.repeated(env.root, env.compose_files):
        name, *keys = path
        if name in wanted and resets.is_there(model.services, path):
            extends = (
                f"begin {name} with `extends: {{service: {first}}}` in place of the alias, or "
            )
            yield Finding(
                f"{name} has {'.'.join(keys)} again, which `!reset` takes away in {first}: this "
                "Compose forgets that where a block is repeated by an alias",
                f"{file}:{line}",
                ("" if first.startswith("x-") else extends) + f"write the `!reset` in {name}, too",
            )


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
