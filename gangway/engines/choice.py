"""Which engine runs an environment: the one place that knows what there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.docker.engine import DockerEngine
from gangway.engines.interface import Engine
from gangway.model.model import Model
from gangway.settings.environment import NATIVE, Environment


def engine_of(environment: Environment, render: Callable[[], Model]) -> Engine:
    """Return the environment's engine: what GANGWAY_ENGINE names, Docker for `auto`.

    `render` returns the merged model, the same at every call.
    """
    return _made(environment.engine, environment, render)


def others(engine: Engine) -> Iterator[Engine]:
    """Yield every other engine that may run the same project, with data of its own."""
    environment = engine.environment
    if environment.kind != "prod":
        other = "docker" if engine.name == NATIVE else NATIVE
        yield _made(other, environment, lambda: engine.model)


def instead(engine: Engine, *, dry_run: bool) -> str | None:
    """Return the engine that `auto` means where `engine` isn't it; None where it is.

    Services that run already stay where they are; else, `engine` is it where it answers. A dry run
    asks none, and takes it from the program that would. Production waits for `engine`.
    """
    for other in others(engine):
        if other.running():
            return other.name
        if not (engine.installed() if dry_run else _answers(engine)):
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


def _made(name: str, environment: Environment, render: Callable[[], Model]) -> Engine:
    if name != NATIVE:
        return DockerEngine(environment, render)
    from gangway.engines.native.engine import NativeEngine

    return NativeEngine(environment, render)
