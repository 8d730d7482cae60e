"""Running several containers of a service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.model import moves
from gangway.model.model import replicas as current
from gangway.operations import calls
from gangway.operations.project import Project, with_overlay, with_settings
from gangway.operations.start import StartOptions, up
from gangway.settings import contract, overlay

# Of one service: an engine's network has addresses for some 250 in all.
_MOST: Final = 100

Numbers = Mapping[str, int]
"""How many containers of each service there are to be."""


def scale(project: Project, wishes: Sequence[str]) -> None:
    """Run the wished numbers of containers, leaving those that run as they are."""
    scaled(project, wishes, _started)


def scaled(
    project: Project, wishes: Sequence[str], start: Callable[[Project, Numbers], Project]
) -> None:
    """Have `start` run the wished numbers, and keep them for this checkout.

    So the next `up` has them: in the variable of the service (API_REPLICAS) where the stack has
    one, else in the checkout's overlay.
    """
    numbers = replicas(project, wishes)
    variables = {name: _variable(project, name) for name in numbers}
    if not all(variables.values()):
        overlay.refuse_unjoined(project.environment)
    started = start(project, numbers)
    if project.dry_run:
        return
    kept = {name: str(numbers[each]) for each, name in variables.items() if name}
    keep(with_settings(started, kept), numbers)


def _started(project: Project, numbers: Numbers) -> Project:
    wishes = [word for name, number in numbers.items() for word in ("--scale", f"{name}={number}")]
    enough = tuple(name for name, number in numbers.items() if number)
    options = StartOptions(tuple(numbers), enough=enough, flags=("--no-recreate", *wishes))
    return up(project, options, task="scale")


def keep(project: Project, numbers: Mapping[str, int]) -> Project:
    """Have the checkout's overlay say the numbers that the model doesn't have yet."""
    model = project.model
    left = {
        name: number for name, number in numbers.items() if current(model.services[name]) != number
    }
    if not left:
        return project
    services = overlay.read(project.environment)
    for name, number in left.items():
        added: dict[str, Any] = services.setdefault(name, {})
        # A `deploy` where there was none would count as another service to Compose up to 2.26, and
        # replace the containers that run; where both are said, they may not differ.
        added["scale"] = number
        if (model.services[name].get("deploy") or {}).get("replicas") is not None:
            added["deploy"] = {"replicas": number}
    return with_overlay(project, services, overlay.ports_before(project.environment))


def replicas(project: Project, wishes: Sequence[str]) -> dict[str, int]:
    """Return the numbers by service for wishes such as `api=3`; refuse impossible ones."""
    found: dict[str, int] = {}
    for wish in wishes:
        service, equals, number = wish.partition("=")
        if not equals or not number.isdecimal():
            raise GangwayError(
                f"{wish!r} is not SERVICE=NUMBER", fix=f"invoke {project.name}.scale api=3"
            )
        calls.check_services(project, [service])
        found[service] = int(number)
        for what, fix in _hindrances(project, service, int(number)):
            raise GangwayError(what, where=f"{project.name}.scale", fix=fix)
    if not found:
        raise GangwayError("nothing to scale", fix=f"invoke {project.name}.scale api=3")
    return found


def _hindrances(project: Project, name: str, number: int) -> Iterator[tuple[str, str | None]]:
    """Yield why there can't be so many containers of a service, and what to do about it."""
    model = project.model
    if name in model.one_shots():
        yield f"{name} runs once and ends: there is nothing to have several of", None
    if data := moves.own_data(model, name):
        yield (
            f"{name} keeps data of its own ({data}): several would each have another, or spoil it",
            "scale what uses it; more memory or CPUs for it are variables (docs/variables.md)",
        )
    if number == 0 and name == moves.PROXY:
        yield (
            f"without {name} nobody reaches anything",
            f"invoke {project.name}.pause has requests wait, {project.name}.down ends it all",
        )
    if number <= 1:
        return
    if number > _MOST:
        yield f"{number} of {name} on one machine: {_MOST} are the most that make sense", None
    if fixed := model.services[name].get("container_name"):
        yield (
            f"{name} has the container_name {fixed}, which only one container can have",
            f"take container_name out of {name}",
        )
    if port := next((p for p in model.published() if p.service == name), None):
        yield (
            f"{name} publishes port {port.port}, which only one container can have",
            f"take the port out of {name}, and have the proxy pass on to it"
            if project.environment.kind == "prod"
            else "use an environment that doesn't publish its port, such as production",
        )


def _variable(project: Project, service: str) -> str:
    """Return the stack's variable with a service's number; empty where it has none."""
    name = f"{service.upper().replace('-', '_')}_REPLICAS"
    specs = contract.load(project.root).of_stack(project.environment.stack)
    return name if any(spec.name == name for spec in specs) else ""
