"""The stacks, each with what it runs, on which ports, and where it is meant to run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from gangway.base import output
from gangway.model.model import Model
from gangway.model.render import rendered
from gangway.settings import environment
from gangway.settings.environment import DEFAULT_STACK, Environment


@dataclass(frozen=True)
class Stack:
    """One stack: `ports` are those that each environment publishes, as `service 8000`."""

    name: str
    about: str
    services: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    ports: dict[str, tuple[str, ...]] = field(default_factory=dict)


def about(one: Environment) -> str:
    """Return the first sentence of the comment that the file of an environment's stack begins with.

    The default stack's is the Compose file that all begin with.
    """
    file = one.base if one.stack == DEFAULT_STACK else environment.stack_file(one.stack)
    text = (one.root / file).read_text(encoding="utf-8")
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines).partition(". ")[0].rstrip(".")


def having(asked: Environment, service: str) -> list[str]:
    """Return the other stacks that have a service in this environment."""
    others = [stack for stack in environment.stacks(asked.root) if stack != asked.stack]
    loaded = [environment.load(asked.root, asked.name, stack=stack) for stack in others]
    meant = [each for each in loaded if each.kind in each.meant_for]
    with ThreadPoolExecutor(max_workers=4) as pool:
        models = pool.map(rendered, meant)
        return [
            each.stack
            for each, model in zip(meant, models, strict=True)
            if service in model.services
        ]


def load(root: Path) -> list[Stack]:
    """Return every stack as Compose renders it; no engine is needed.

    Raises GangwayError where one can't be rendered.
    """
    found = []
    with ThreadPoolExecutor(max_workers=4) as pool:
        for stack in environment.stacks(root):
            loaded = [
                environment.load(root, name, stack=stack, engine="docker")
                for name in environment.environments(root)
            ]
            meant = [each for each in loaded if each.kind in each.meant_for]
            shown = Stack(stack, about(loaded[0]))
            found.append(_with_models(shown, meant, list(pool.map(rendered, meant))))
    return sorted(found, key=lambda stack: stack.name != DEFAULT_STACK)


def _with_models(
    stack: Stack, environments: Sequence[Environment], models: Sequence[Model]
) -> Stack:
    services: dict[str, None] = {}
    optional: dict[str, None] = {}
    for each, model in zip(environments, models, strict=True):
        default = model.by_default()
        services |= dict.fromkeys(default)
        wished = set(each.optional)
        optional |= dict.fromkeys(
            name
            for name, service in model.services.items()
            if name not in default and wished.intersection(service.get("profiles") or ())
        )
    shown = {*services, *optional}
    ports = {
        each.name: tuple(
            f"{port.service} {port.port}" for port in model.published() if port.service in shown
        )
        for each, model in zip(environments, models, strict=True)
    }
    return replace(stack, services=tuple(services), optional=tuple(optional), ports=ports)


def show(stacks: Iterable[Stack]) -> str:
    """Return the stacks as text: what each is and runs, and its ports in each environment."""
    blocks = []
    for stack in stacks:
        rows = [("runs", ", ".join(stack.services))]
        if stack.optional:
            rows.append(("on demand", ", ".join(stack.optional)))
        rows += [(name, ", ".join(ports) or "no port") for name, ports in stack.ports.items()]
        title = f"{stack.name}: {stack.about}" if stack.about else stack.name
        blocks.append(f"{title}\n" + _indented(output.table(rows)))
    return "\n\n".join(blocks)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
