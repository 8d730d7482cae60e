"""Commands in a stack's containers, and prompts on its data stores."""

from __future__ import annotations

from collections.abc import Sequence

from gangway.base.errors import GangwayError
from gangway.operations import calls, image_builds, preflight, redis_keys
from gangway.operations.calls import no_terminal
from gangway.operations.project import Project


def exec_(project: Project, service: str, command: Sequence[str]) -> int:
    """Run a command in a service's running container."""
    calls.check_services(project, [service])
    if not command:
        raise GangwayError(
            "no command to run", fix=f"invoke {project.name}.exec {service} -- ls -l"
        )
    return calls.run(
        project, "exec", *no_terminal(), service, *_as_served(project, service, command)
    )


def shell(project: Project, services: Sequence[str]) -> int:
    """Open bash, or sh where there is none, in the running container of one service, or of api."""
    if len(services) > 1:
        raise GangwayError("one shell at a time", fix=f"invoke {project.name}.shell {services[0]}")
    service = services[0] if services else "api"
    calls.check_services(project, [service])
    start = "command -v bash >/dev/null && exec bash || exec sh"
    words = _as_served(project, service, ["sh", "-c", start])
    return calls.run(project, "exec", *no_terminal(), service, *words)


def _as_served(project: Project, service: str, command: Sequence[str]) -> list[str]:
    """Return a command that sees what the service's program sees.

    What an app reads (APP_READS) is put together by the entrypoint, which an engine's exec goes by.
    """
    environment = project.model.services[service].get("environment") or {}
    return [*(["entrypoint"] if environment.get("APP_READS") else []), *command]


def run(project: Project, service: str, command: Sequence[str]) -> int:
    """Run a command in a new container of a service, removed when it ends."""
    calls.check_services(project, [service])
    preflight.check_files(project, [service])
    image_builds.refresh(project, project.model.wanted([service]))
    return calls.run(project, "run", "--rm", *no_terminal(), service, *command)


def psql(project: Project, arguments: Sequence[str]) -> int:
    """Open psql on the stack's database, as its owner."""
    return calls.run(project,
        "exec", *no_terminal(), "postgres",
        "psql", "-U", project.environment.get("POSTGRES_USER"),
        "-d", project.environment.get("POSTGRES_DB"), *arguments,
    )  # fmt: skip


def redis(project: Project, arguments: Sequence[str]) -> int:
    """Open redis-cli on the stack's Redis; the password stays out of the process list."""
    return calls.run(project, "exec", *no_terminal(), "redis", *redis_keys.TOOL, "cli", *arguments)
