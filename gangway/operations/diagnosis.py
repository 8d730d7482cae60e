"""What a failed start leaves behind, put so that the cause can be seen."""

from __future__ import annotations

from collections.abc import Sequence

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.interface import Engine

LOG_LINES = 20


def show(engine: Engine, services: Sequence[str]) -> None:
    """Print the last log lines and the last health output of each service's containers."""
    for container in engine.containers():
        if container.service not in services:
            continue
        state = container.state
        if state == "exited":
            state += f" with status {container.exit_code}"
        elif container.health:
            state += f", {container.health}"
        say(f"\n{container.service} ({container.id[:12]}): {state}")
        text = engine.logs(container, LOG_LINES)
        say(_indented(text) if text else "  | (it wrote nothing)")
        health = engine.health_output(container)
        if health and container.health != "healthy":
            say(f"  its health check said:\n{_indented(health)}")
    say()


def did_not_start(engine: Engine, failed: Sequence[str]) -> GangwayError:
    """Return the error for services that failed, after their last words."""
    show(engine, failed)
    logs = f"invoke {engine.environment.name}.logs {failed[0]}"
    return GangwayError(
        f"{', '.join(failed)} did not start",
        fix=f"the lines above are its last words; more: {logs}",
    )


def _indented(text: str) -> str:
    return "\n".join(f"  | {line}" for line in text.splitlines())
