"""The contract of an adopted app's stack: what its own variables mean."""

from __future__ import annotations

from collections.abc import Iterator

from gangway.operations.adoption import parts
from gangway.operations.adoption.parts import Fields
from gangway.operations.adoption.services import BROKER_PORTS, Given, Other


def contract(given: Given) -> str:
    """Return the stack's part of the contract: the variables that no other stack has."""
    project = given.names.project
    entries = "".join(parts.spec(name, fields) for name, fields in _variables(given))
    below = f"\n{entries}" if entries else " {}\n"
    return (
        f"# What the variables of {project} mean, and may be: those of your own, too.\n"
        f"groups:\n  The {project} stack:{below}"
    )


def _variables(given: Given) -> Iterator[tuple[str, Fields]]:
    for program in given.programs:
        yield from parts.specs(program)
    for name, value in given.secrets.items():
        known = {"insecure": [value]} if value.isprintable() and value else {}
        meaning = f"A secret that the app reads as {name}"
        secret = {"secret": True, "secret_file": name.lower(), **known, "meaning": meaning}
        yield name, {"type": "string", **secret}
    if given.queue:
        yield from _broker()
    for other in given.others:
        yield from _other(other)


def _broker() -> Iterator[tuple[str, Fields]]:
    yield "PUBLISHED_BROKER_PORT", parts.port_fields("broker", BROKER_PORTS, "The broker")
    where = {"default": "broker", "meaning": "Where the app finds its queue"}
    yield "BROKER_HOST", {"type": "string", **where}
    yield "BROKER_PORT", {"type": "port", "default": 6379, "meaning": "The port there"}
    most = {"default": "128mb", "meaning": "How much the queue may hold before it takes no more"}
    yield "BROKER_MAXMEMORY", {"type": "redis_size", "below": "BROKER_MEMORY", **most}
    yield from parts.limit_specs("BROKER", "the broker", memory="192m")


def _other(other: Other) -> Iterator[tuple[str, Fields]]:
    for port in other.ports:
        what = f"Port {port.number} of {other.name}"
        yield port.variable, parts.port_fields(other.name, {"dev": port.published}, what)
    limits = other.limits()
    yield from parts.limit_specs(
        other.prefix, other.name, cpus=limits["cpus"], memory=limits["memory"]
    )
