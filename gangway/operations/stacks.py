"""The stack presets, each with what it runs, on which ports, and where it is meant to run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gangway.base import output
from gangway.model.model import Model
from gangway.model.render import rendered
from gangway.settings import environment
from gangway.settings.environment import DEFAULT_STACK, Environment


@dataclass(frozen=True)
class Preset:
    """One stack: `ports` are those that each environment publishes, as `service 8000`."""

    name: str
    about: str
    services: tuple[str, ...]
    optional: tuple[str, ...]
    ports: dict[str, tuple[str, ...]]


def about(root: Path, stack: str) -> str:
    """Return the first sentence of the comment that a preset's file begins with."""
    text = (root / "env" / "stacks" / f"{stack}.env").read_text(encoding="utf-8")
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines).partition(". ")[0].rstrip(".")


def having(asked: Environment, profiles: Collection[str]) -> list[str]:
    """Return the other stacks that turn one of these Compose profiles on in this environment."""
    found = []
    for stack in environment.stacks(asked.root):
        if stack == asked.stack:
            continue
        other = environment.load(asked.root, asked.name, stack=stack, shell={})
        if set(profiles).intersection([*other.profiles, *other.optional]):
            found.append(stack)
    return found


def load(root: Path) -> list[Preset]:
    """Return every stack as Compose renders it; no engine is needed.

    Raises GangwayError where one can't be rendered.
    """
    found = []
    with ThreadPoolExecutor(max_workers=4) as pool:
        for stack in environment.stacks(root):
            meant = _meant(root, stack)
            found.append(_preset(root, stack, meant, list(pool.map(rendered, meant))))
    return sorted(found, key=lambda preset: preset.name != DEFAULT_STACK)


def _meant(root: Path, stack: str) -> list[Environment]:
    """Return every environment that the stack is meant for."""
    loaded = (
        environment.load(root, name, stack=stack, engine="docker")
        for name in environment.environments(root)
    )
    return [each for each in loaded if each.kind in each.meant_for]


def _preset(
    root: Path, stack: str, environments: Sequence[Environment], models: Sequence[Model]
) -> Preset:
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
    ports = {
        each.name: tuple(f"{port.service} {port.port}" for port in model.published())
        for each, model in zip(environments, models, strict=True)
    }
    return Preset(stack, about(root, stack), tuple(services), tuple(optional), ports)


def show(presets: Iterable[Preset]) -> str:
    """Return the stacks as text: what each is and runs, and its ports in each environment."""
    blocks = []
    for preset in presets:
        rows = [("runs", ", ".join(preset.services))]
        if preset.optional:
            rows.append(("on demand", ", ".join(preset.optional)))
        rows += [(name, ", ".join(ports) or "no port") for name, ports in preset.ports.items()]
        blocks.append(f"{preset.name}: {preset.about}\n" + _indented(output.table(rows)))
    return "\n\n".join(blocks)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
