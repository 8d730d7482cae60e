"""The contract of an adopted app's stack: what its own variables mean."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gangway.operations.adoption import compose
from gangway.operations.adoption.services import Beside, Given, Other

Fields = Mapping[str, Any]

_EVERYWHERE: Final = ["dev", "test", "prod"]
_WIDTH: Final = 100


def contract(given: Given) -> str:
    """Return the stack's part of the contract: the variables that no other stack has."""
    project = given.names.project
    entries = "".join(_entry(name, fields) for name, fields in _variables(given))
    below = f"\n{entries}" if entries else " {}\n"
    return (
        f"# What the variables of {project} mean, and may be: those of your own, too.\n"
        f"groups:\n  The {project} stack:{below}"
    )


def _variables(given: Given) -> Iterator[tuple[str, Fields]]:
    for program in given.programs:
        yield from _program(program)
    for name, value in given.secrets.items():
        known = {"insecure": [value]} if value.isprintable() and value else {}
        meaning = f"A secret that the app reads as {name}"
        secret = {"secret": True, "secret_file": name.lower(), **known, "meaning": meaning}
        yield name, {"type": "string", **secret}
    if given.queue:
        yield from _broker()
    for other in given.others:
        yield from _other(other)


def _program(program: Beside) -> Iterator[tuple[str, Fields]]:
    name, prefix = program.name, program.prefix
    runs = {"required": _EVERYWHERE, "meaning": f"What the {name} runs"}
    yield f"{prefix}_COMMAND", {"type": "string", **runs}
    if not program.is_one:
        number = {"type": "int", "min": 0, "max": 100, "default": 1}
        yield f"{prefix}_REPLICAS", {**number, "meaning": f"Containers of the {name}"}
    yield from _limits(prefix, f"the {name}" if program.is_one else f"each {name}")


def _broker() -> Iterator[tuple[str, Fields]]:
    yield "PUBLISHED_BROKER_PORT", _port("broker", {"dev": 6381, "test": 6382}, "The broker")
    where = {"default": "broker", "meaning": "Where the app finds its queue"}
    yield "BROKER_HOST", {"type": "string", **where}
    yield "BROKER_PORT", {"type": "port", "default": 6379, "meaning": "The port there"}
    most = {"default": "128mb", "meaning": "How much the queue may hold before it takes no more"}
    yield "BROKER_MAXMEMORY", {"type": "size", **most}
    yield from _limits("BROKER", "the broker", memory="192m")


def _other(other: Other) -> Iterator[tuple[str, Fields]]:
    for port in other.ports:
        what = f"Port {port.number} of {other.name}"
        yield port.variable, _port(other.name, {"dev": port.published}, what)
    limits = compose.limits_of(other)
    yield from _limits(other.prefix, other.name, cpus=limits["cpus"], memory=limits["memory"])


def _port(service: str, default: Mapping[str, int], what: str) -> Fields:
    where = {"published": True, "service": service, "default": default}
    return {"type": "port", **where, "meaning": f"{what} on this machine"}


def _limits(
    prefix: str, whose: str, *, cpus: str = "1.0", memory: str = "512m"
) -> Iterator[tuple[str, Fields]]:
    number = {"type": "number", "min": 0.01, "default": {"prod": cpus}}
    yield f"{prefix}_CPUS", {**number, "meaning": f"CPUs for {whose}"}
    size = {"type": "size", "default": memory}
    yield f"{prefix}_MEMORY", {**size, "meaning": f"Memory for {whose}"}


def _entry(name: str, fields: Fields) -> str:
    line = f"    {name}: {_flow(fields)}\n"
    if len(line) <= _WIDTH:
        return line
    lines = [f"      {key}: {_flow(value)}\n" for key, value in fields.items()]
    return f"    {name}:\n" + "".join(lines)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, str):
        return value if _is_plain(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _is_plain(text: str) -> bool:
    import yaml  # late: only what adopts needs it

    try:
        return bool(yaml.safe_load(f"[{text}]") == [text])
    except yaml.YAMLError:
        return False
