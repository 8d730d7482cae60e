"""What a failed start leaves behind, put so that the cause can be seen."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from typing import Final

from gangway.base.errors import Finding, GangwayError
from gangway.base.output import say
from gangway.engines.container import Container as Found
from gangway.engines.interface import Engine

LOG_LINES = 20
# What a shell makes of SIGKILL.
KILLED: Final = 137


def show(
    engine: Engine, services: Sequence[str], containers: Sequence[Found] | None = None
) -> None:
    """Print the last log lines and the last health output of each service's containers.

    Of `containers` alone, where some are given.
    """
    for container in engine.containers() if containers is None else containers:
        if container.service not in services:
            continue
        state = container.state
        if state == "exited":
            state += f" with status {container.exit_code}"
            state += ", out of memory" if container.out_of_memory else ""
        elif container.health:
            state += f", {container.health}"
        say(f"\n{container.service} ({container.id[:12]}): {state}")
        text = engine.logs(container, LOG_LINES)
        say(_indented(text) if text else "  | (it wrote nothing)")
        health = engine.health_output(container)
        if health and container.health != "healthy":
            say(f"  its health check said:\n{_indented(health)}")
    say()


def did_not_start(
    engine: Engine,
    failed: Sequence[str],
    out_of_memory: Container[str] = (),
    containers: Sequence[Found] | None = None,
) -> GangwayError:
    """Return the error for services that failed, after their last words: see `show`."""
    show(engine, failed, containers)
    if hungry := next((name for name in failed if name in out_of_memory), None):
        finding = ran_out_of_memory(engine, hungry)
        return GangwayError(finding.what, fix=finding.fix)
    logs = f"invoke {engine.environment.name}.logs {failed[0]}"
    return GangwayError(
        f"{', '.join(failed)} did not start",
        fix=f"the lines above are its last words; more: {logs}",
    )


def ran_out_of_memory(engine: Engine, service: str) -> Finding:
    """Return what to say of a service that wanted more memory than its limit."""
    what = f"{service} ran out of memory{_its_limit(engine, service)}"
    return Finding(what, None, _more_memory(engine, service))


def was_killed(engine: Engine, service: str) -> str:
    """Return what to say of a command in a service's place that ended with status 137."""
    return (
        f"status {KILLED}: it was killed, and most likely because it ran out of memory"
        f"{_its_limit(engine, service)}; {_more_memory(engine, service)}"
    )


def _its_limit(engine: Engine, service: str) -> str:
    limits = engine.model.services[service].get("deploy") or {}
    size = str(((limits.get("resources") or {}).get("limits") or {}).get("memory"))
    return f": its limit is {int(size) // 2**20}m" if size.isdecimal() else ""


def _more_memory(engine: Engine, service: str) -> str:
    """Return how to give a service more, by the variable that its Compose file has."""
    from gangway.model.written import as_written  # with YAML, and only a message needs it

    keys = ("deploy", "resources", "limits", "memory")
    found = re.match(r"\$\{(\w+)", as_written(engine.environment, service, *keys))
    if found:
        return f"raise {found[1]}, in the env file or for once with -e {found[1]}=…"
    return f"raise the memory limit of {service} in the Compose file"


def _indented(text: str) -> str:
    return "\n".join(f"  | {line}" for line in text.splitlines())
