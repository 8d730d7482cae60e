"""Running several containers of a service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.model.model import Model, keeps_data
from gangway.model.model import replicas as current
from gangway.operations import calls
from gangway.operations.project import Project, with_overlay, with_settings
from gangway.operations.start import StartOptions, up
from gangway.settings import contract, overlay

# Their data is in memory, and no volume tells.
_IN_MEMORY: Final = ("redis", "broker")


def scale(project: Project, wishes: Sequence[str]) -> None:
    """Run the wished numbers of containers, leaving those that run as they are.

    The numbers are kept for this checkout, so that the next `up` has them: in the variable of the
    service (API_REPLICAS) where the stack has one, else in the checkout's overlay.
    """
    numbers = replicas(project, wishes)
    variables = {name: _variable(project, name) for name in numbers}
    if not all(variables.values()):
        overlay.refuse_unjoined(project.environment)
    flags = ["--no-recreate", *(word for wish in wishes for word in ("--scale", wish))]
    enough = tuple(name for name, number in numbers.items() if number)
    options = StartOptions(tuple(numbers), enough=enough, flags=tuple(flags))
    started = up(project, options, task="scale")
    if project.dry_run:
        return
    kept = {name: str(numbers[each]) for each, name in variables.items() if name}
    keep(with_settings(started, kept), numbers)


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
    if data := _data(model, name):
        yield (
            f"{name} keeps data of its own ({data}): several would each have another, or spoil it",
            "scale what uses it; more memory or CPUs for it are variables (docs/variables.md)",
        )
    if number <= 1:
        return
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


def _data(model: Model, name: str) -> str:
    """Return the volume that a service has for itself alone, or what is like one."""
    others = {
        mount.get("source")
        for other, service in model.services.items()
        for mount in service.get("volumes") or ()
        if other != name and mount["type"] == "volume"
    }
    for mount in model.services[name].get("volumes") or ():
        if keeps_data(mount) and (not mount.get("source") or mount["source"] not in others):
            return f"the volume {mount.get('source') or mount['target']}"
    return "in memory" if name in _IN_MEMORY else ""


def _variable(project: Project, service: str) -> str:
    """Return the stack's variable with a service's number; empty where it has none."""
    name = f"{service.upper().replace('-', '_')}_REPLICAS"
    specs = contract.load(project.root).of_stack(project.environment.stack)
    return name if any(spec.name == name for spec in specs) else ""
