"""What a failed start leaves behind, put so that the cause can be seen."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence

from gangway.base.errors import GangwayError
from gangway.operations.project import Project, say
from gangway.settings import ports

LOG_LINES = 20
_NOISE = re.compile(r"^#\d+ (DONE|CACHED|sha256|transferring|naming|writing|exporting)|^\s*$")


def show(project: Project, services: Sequence[str]) -> None:
    """Print the last log lines and the last health output of each service's containers."""
    for container in project.engine.containers(project.compose_name):
        if container.service not in services:
            continue
        state = container.state
        if state == "exited":
            state += f" with status {container.exit_code}"
        elif container.health:
            state += f", {container.health}"
        say(f"\n{container.service} ({container.id[:12]}): {state}")
        text = project.engine.logs(container, LOG_LINES)
        say(_indented(text) if text else "  | (it wrote nothing)")
        health = project.engine.health_output(container)
        if health and container.health != "healthy":
            say(f"  its health check said:\n{_indented(health)}")
    say()


def did_not_start(project: Project, failed: Sequence[str]) -> GangwayError:
    """Return the error for services that failed, after their last words."""
    show(project, failed)
    return GangwayError(
        f"{', '.join(failed)} did not start",
        fix=f"the lines above are its last words; more: invoke {project.name}.logs {failed[0]}",
    )


def interrupted(project: Project) -> None:
    """Say what an interrupted start leaves."""
    say(
        f"\ninterrupted: what had started is still there "
        f"(invoke {project.name}.up goes on, invoke {project.name}.down ends it)"
    )


def compose_failed(project: Project, said: Sequence[str], status: int) -> GangwayError:
    """Return the error for a `docker compose up` that failed before any service did.

    `said` is what it wrote on stderr, `status` its exit status.
    """
    text = "\n".join(said)
    lines = [line for line in said if not _NOISE.search(line)]
    last = lines[-1].strip() if lines else f"docker compose ended with status {status}"
    name = project.name
    if project.engine.lost(last):
        return project.engine.unreachable(text)
    if "no space left on device" in text.lower():
        return GangwayError(
            "the disk is full: no space left on device",
            fix="free some: docker system df shows what the engine holds, "
            "docker builder prune clears the build cache",
        )
    port = re.search(
        r"(?:Bind for|listen tcp\d?) \S*?:(\d+).*(?:already allocated|already in use)", text
    )
    if port:
        return taken_port(project, int(port[1]))
    image = re.search(
        r"(?:failed to resolve source metadata for|Error response from daemon: Get|"
        r"pull access denied for|failed to do request|no such host)[^\n]*",
        text,
    )
    if image:
        return GangwayError(
            f"an image can't be pulled: {image[0].strip()[:200]}",
            fix="is the registry reachable? Without one: invoke images.offline, "
            f"then invoke {name}.up --images offline (or GANGWAY_IMAGES=offline); "
            "a mirror: --images mirror",
        )
    context = [line for line in lines if re.match(r"#\d+ (ERROR|\d)|\S* *>>>|error:|failed", line)]
    say("\n".join(f"  | {line}" for line in (context or lines)[-LOG_LINES:]))
    return GangwayError(f"docker compose failed: {last}", fix="the lines above say why")


def taken_port(project: Project, port: int, service: str = "") -> GangwayError:
    """Return the error for a host port of a service that somebody else listens on."""
    holder = None
    # An engine that has gone away meanwhile has no say in it; the port is taken all the same.
    with contextlib.suppress(GangwayError):
        holder = project.engine.publisher(port)
    who = f"container {holder}" if holder else ports.holder(port) or "another program"
    named = f"PUBLISHED_{service.upper()}_PORT"
    variables = [
        found.name
        for found in project.environment.variables.values()
        if found.name.startswith("PUBLISHED_") and found.value == str(port)
    ]
    variable = named if named in variables else next(iter(variables), None)
    name = project.name
    free = f"invoke {name}.up --ports auto picks free ports"
    fix = f"set {variable} to another port, or: {free}" if variable else free
    return GangwayError(f"port {port} is taken by {who}", fix=fix)


def _indented(text: str) -> str:
    return "\n".join(f"  | {line}" for line in text.splitlines())
