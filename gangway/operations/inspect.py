"""Looking at a stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gangway.base import output
from gangway.base.errors import Finding
from gangway.base.output import say
from gangway.model.model import Model
from gangway.operations import calls, diagnosis
from gangway.operations.project import Project
from gangway.settings import tls

_SCHEMES = {5432: "postgresql", 6379: "redis", tls.PORT: "https"}
# Whose health checks may have something to say of a service that is well, and what is to be done.
_NOTED = {
    "nginx": "invoke {}.tls shows more",
    "acme": "invoke {}.tls shows more",
    "backup": "invoke {}.backups shows more",
    "backup-log": "invoke {}.backups shows more",
    "postgres": "make room there: it goes on by itself",
}
_NOTE = "note: "


@dataclass(frozen=True)
class LogOptions:
    """Which log lines: `since` and `tail` as docker takes them."""

    services: tuple[str, ...] = ()
    follow: bool = False
    since: str = ""
    tail: str = ""


def logs(project: Project, options: LogOptions) -> int:
    """Show log lines of the named services, or of all."""
    calls.check_services(project, options.services)
    flags = ["--follow"] if options.follow else []
    if options.since:
        flags += ["--since", options.since]
    if options.tail:
        flags += ["--tail", options.tail]
    return calls.run(project, *calls.EVERYTHING, "logs", *flags, *options.services)


def ps(project: Project) -> int:
    """List the containers; then what their health checks found that somebody should see to."""
    status = calls.run(project, *calls.EVERYTHING, "ps", "--all")
    if status == 0 and not project.dry_run:
        for finding in notes(project):
            say(str(finding))
    return status


def notes(project: Project) -> Iterator[Finding]:
    """Yield what ran out of memory, what health checks say, and that nothing makes backups."""
    services = project.model.services
    # Staging does without.
    kept = project.environment.get("ENVIRONMENT") == "production" and "backup" in services
    if kept and {"postgres", "backup"} & {*project.model.by_default()} == {"postgres"}:
        yield Finding("nothing makes backups", "COMPOSE_PROFILES", "add backup to it")
    for container in project.engine.containers():
        if container.out_of_memory and container.service in services:
            yield diagnosis.ran_out_of_memory(project.engine, container.service)
        # What is started again and again has said why.
        if container.service in _NOTED and container.state in ("running", "restarting"):
            for line in project.engine.health_output(container).splitlines():
                if line.startswith(_NOTE):
                    fix = _NOTED[container.service].format(project.name)
                    yield Finding(line.removeprefix(_NOTE), container.service, fix)


def config(project: Project, flags: Sequence[str]) -> int:
    """Print the merged model as Compose sees it, once the variables keep to the contract."""
    from gangway.settings import contract, contract_check

    contract_check.require(project.environment, contract.load(project.root), secrets=False)
    return calls.run(project, "config", *flags, needs_engine=False)


def urls(project: Project, services: Sequence[str] = ()) -> None:
    """Print the table of the URLs of these services, or of all, on standard output."""
    print(output.table(addresses(project.model, services, project.engine.host)))


def addresses(
    model: Model, services: Sequence[str] = (), machine: str = ""
) -> list[tuple[str, str]]:
    """Return (service, URL) for every published port of what these, or all, start.

    `machine` is the name of the one that they run on, empty for this one.
    """
    found = []
    started = model.wanted(services)
    for port in model.published():
        if port.service not in started:
            continue
        host = machine or "127.0.0.1" if port.host in ("0.0.0.0", "::") else port.host
        # In an address, the colons of an IPv6 one are in brackets.
        host = f"[{host}]" if ":" in host else host
        scheme = _SCHEMES.get(port.target, "http") if port.protocol == "tcp" else port.protocol
        found.append((port.service, f"{scheme}://{host}:{port.port}"))
    return found


def variables(project: Project) -> None:
    """Print every variable with its value and the layer it came from, secrets masked."""
    from gangway.settings import contract, reference
    from gangway.settings.plain import plain

    rows = reference.table(project.environment, contract.load(project.root))
    print(output.table(rows, ("NAME", "VALUE", "FROM")), flush=True)
    argv = project.engine.command("config")
    say(f"\nthe same, for Compose: {plain(project.environment, argv)}")
