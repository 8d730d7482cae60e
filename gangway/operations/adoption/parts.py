"""The blocks of text that one service more is made of, in each file of a stack.

Those of Compose files are indented as entries of `services`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

Fields = Mapping[str, Any]
"""What the contract says about a variable."""

# What an entrypoint does that begins as root and goes on as somebody else.
_CAPABILITIES: Final = "[CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID]"


@dataclass(frozen=True)
class Beside:
    """A service of the app's own image beside the web service, with its variables' prefix."""

    name: str
    command: str
    schedule: str = ""
    """When it runs, as cron has it (`0 3 * * *`); empty for a program that goes on."""
    alone: bool = False

    @property
    def prefix(self) -> str:
        """What its variables begin with: WORKER of WORKER_COMMAND."""
        return variable(self.name)

    @property
    def is_one(self) -> bool:
        """Whether a second one would do everything twice."""
        words = f"{self.name} {self.command}"
        return self.alone or bool(self.schedule or re.search(r"\bbeat\b|schedule", words))


class Anchors(NamedTuple):
    """Which anchors a stack's compose.yml has, for what all of the app's services are given.

    `app` is the whole, `environment` its variables, `needs` what they wait for.
    """

    app: bool
    environment: bool
    needs: bool


def variable(name: str) -> str:
    """Return what a service's variables begin with."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def program(beside: Beside, base: str, anchors: Anchors) -> str:
    """Return a program's block in compose.yml; `base` is the Compose file that has the api."""
    prefix = beside.prefix
    replicas = "1" if beside.is_one else f"${{{prefix}_REPLICAS:-1}}"
    lines = [
        *([f"  # One alone: two {beside.name}s would do everything twice."] * beside.is_one),
        f"  {beside.name}:",
        f"    extends: {{file: {base}, service: api}}",
        *(["    <<: *app"] if anchors.app else []),
        f"    profiles: !override [{beside.name}]",
        "    environment:",
        *(["      <<: *app-environment"] if anchors.environment else []),
        "      APP_INTERFACE: program",
        f"      APP_TARGET: ${{{prefix}_COMMAND:?}}",
        *(["    depends_on: *needs"] if anchors.needs else []),
        # A mapping is merged: what the api is asked for stays otherwise.
        '    healthcheck: {test: [CMD, healthcheck, heartbeat, "30"]}',
        "    deploy:",
        f"      replicas: {replicas}",
        f"      resources: {limits(prefix)}",
    ]
    return "\n".join(lines) + "\n"


def overlay(name: str, file: str) -> str:
    """Return a program's block in an overlay; `file` is the base's overlay that has the api."""
    return f"  {name}:\n    extends: {{file: {file}, service: api}}\n    ports: !reset []\n"


def contained(own_limits: str) -> list[str]:
    """Return what any image that isn't the app's is kept to; `own_limits` may be empty."""
    return [
        "    networks: !override [data, web]",
        "    cap_drop: [ALL]",
        "    # For an image that begins as root and goes on as a user of its own.",
        f"    cap_add: {_CAPABILITIES}",
        '    security_opt: ["no-new-privileges:true"]',
        "    restart: unless-stopped",
        '    logging: {driver: json-file, options: {max-size: 10m, max-file: "3"}}',
        *([f"    deploy: {{resources: {own_limits}}}"] if own_limits else []),
    ]


def limits(prefix: str, pids: str = "") -> str:
    """Return the limits of a service whose variables begin so; `pids` with a comma before it."""
    cpus, memory = f'"${{{prefix}_CPUS:-1.0}}"', f'"${{{prefix}_MEMORY:-512m}}"'
    return f"{{limits: {{cpus: {cpus}, memory: {memory}{pids}}}}}"


def local(name: str, *, limited: bool) -> str:
    """Return a service's block where it needn't outlive anything and has the whole machine."""
    cpus = '    deploy: {resources: {limits: {cpus: "0"}}}\n' if limited else ""
    return f'  {name}:\n    restart: "no"\n{cpus}'


def published(variable: str, number: int, target: int) -> str:
    """Return the line that publishes a port of a service on this machine."""
    return f'    ports: ["${{BIND_ADDRESS:-127.0.0.1}}:${{{variable}:-{number}}}:{target}"]\n'


def not_native(name: str) -> str:
    """Return a service's block where services run without containers, and this one can't."""
    return f"  # Containers alone have it.\n  {name}: {{profiles: !override [containers-only]}}\n"


def port_fields(name: str, port: int, published: int, profile: str = "") -> Fields:
    """Return what the contract says of a container's port; `published` is that in development."""
    return {
        "type": "port", "published": True, "service": name,
        **({"profile": profile} if profile else {}), "default": {"dev": published},
        "meaning": f"Port {port} of {name} on this machine",
    }  # fmt: skip


def specs(beside: Beside) -> Iterator[tuple[str, Fields]]:
    """Yield a program's variables, and what the contract says about each."""
    name, prefix = beside.name, beside.prefix
    yield (
        f"{prefix}_COMMAND",
        {
            "type": "string", "required": ["dev", "test", "prod"],
            "meaning": f"What the {name} runs",
        },
    )  # fmt: skip
    if not beside.is_one:
        yield (
            f"{prefix}_REPLICAS",
            {
                "type": "int", "min": 0, "max": 100, "default": 1,
                "meaning": f"Containers of the {name}",
            },
        )  # fmt: skip
    yield from limit_specs(prefix, f"each {name}")


def limit_specs(prefix: str, whose: str) -> Iterator[tuple[str, Fields]]:
    """Yield the variables of a service's limits; `whose` they are stands in their meaning."""
    yield (
        f"{prefix}_CPUS",
        {"type": "number", "min": 0.01, "default": {"prod": "1.0"}, "meaning": f"CPUs for {whose}"},
    )
    yield (
        f"{prefix}_MEMORY",
        {"type": "size", "default": "512m", "meaning": f"Memory for {whose}"},
    )


def spec(name: str, fields: Fields) -> Iterator[str]:
    """Yield the lines of a variable in a contract."""
    yield f"    {name}:\n"
    for key, value in fields.items():
        yield f"      {key}: {_scalar(value)}\n"


def _scalar(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_scalar(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_scalar(item) for item in value) + "]"
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z][A-Za-z0-9 _',;().-]*", value):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)
