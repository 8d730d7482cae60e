"""Which engine runs an environment: the one place that knows what there is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.docker.engine import DockerEngine
from gangway.engines.interface import Engine
from gangway.settings.environment import NATIVE, SWARM, Environment


def engine_of(environment: Environment, name: str | None = None) -> Engine:
    """Return the environment's own engine (Docker for `auto`), or the one of another name."""
    chosen = name or environment.engine
    if chosen == NATIVE:
        from gangway.engines.native.engine import NativeEngine

        return NativeEngine(environment)
    if chosen == SWARM:
        from gangway.engines.swarm.engine import SwarmEngine

        return SwarmEngine(environment, DockerEngine(environment))
    return DockerEngine(environment)


def others(engine: Engine) -> Iterator[Engine]:
    """Yield every other engine that may run the same project, with data of its own."""
    environment = engine.environment
    if environment.kind != "prod":
        other = "docker" if engine.name == NATIVE else NATIVE
        yield engine_of(environment, other)
    elif engine.name == SWARM:
        yield engine_of(environment, "docker")


def instead(engine: Engine, *, dry_run: bool) -> str | None:
    """Return the engine that `auto` means where `engine` isn't it; None where it is.

    Services that run already stay where they are; else, `engine` is it where it answers. A dry run
    asks none, and takes it from the program that would. Production waits for `engine`.
    """
    for other in others(engine):
        if other.running():
            return other.name
        path = engine.environment.process_environment().get("PATH")
        if not (shutil.which("docker", path=path) if dry_run else _answers(engine)):
            name = engine.environment.name
            say(
                f"no container engine answers: {name} runs natively, as local processes "
                "(docs/native.md; --engine docker says what is wrong with the engine)"
            )
            return other.name
    return None


def _answers(engine: Engine) -> bool:
    try:
        engine.reach()
    except GangwayError:
        return False
    return True
