"""The blocks of text that one service more is made of, in each file of a stack.

Those of Compose files are indented as entries of `services`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import yaml

Fields = Mapping[str, Any]
"""What the contract says about a variable."""

# What an entrypoint does that begins as root and goes on as somebody else.
_CAPABILITIES: Final = "[CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID]"


# What `serve` gives a heartbeat.
_HAS_HEARTBEAT: Final = re.compile(r"\b(celery|rq|rqworker)\b")
_WIDTH: Final = 100


class Port(NamedTuple):
    """A port of a container, the one on this machine that is proposed for it, and its variable."""

    variable: str
    published: int
    number: int


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
        clock = re.search(r"\bbeat\b|\s-B\b|schedul|\bcron", words)
        return self.alone or bool(self.schedule or clock)


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
    replicas = f"      replicas: ${{{prefix}_REPLICAS:-1}}\n"
    if beside.is_one:
        # The api's says start-first.
        replicas = "      replicas: 1\n      update_config: {order: stop-first}\n"
    about = f"  # A second {beside.name} would do everything twice.\n" if beside.is_one else ""
    app = "    <<: *app\n" if anchors.app else ""
    environment = "      <<: *app-environment\n" if anchors.environment else ""
    needs = "    depends_on: *needs\n" if anchors.needs else ""
    return f"""\
{about}  {beside.name}:
    extends: {{file: {base}, service: api}}
{app}    profiles: !override [{beside.name}]
    environment:
{environment}{_runs(beside)}{needs}{_health(beside)}    deploy:
{replicas}      resources: {limits(prefix)}
"""


def _runs(beside: Beside) -> str:
    command = f"${{{beside.prefix}_COMMAND:?}}"
    if not beside.schedule:
        return f"      APP_INTERFACE: program\n      APP_TARGET: {command}\n"
    schedule = f"${{{beside.prefix}_SCHEDULE:?}}"
    return f"      APP_INTERFACE: cron\n      APP_TARGET: {schedule} {command}\n"


def _health(beside: Beside) -> str:
    test = '{test: [CMD, healthcheck, heartbeat, "30"]}'
    if beside.schedule or _HAS_HEARTBEAT.search(beside.command):
        return f"    healthcheck: {test}\n"
    return f"""\
    # Nothing says whether it hangs. If it writes the time to /tmp/heartbeat every few seconds:
    # {test}
    healthcheck: !override {{disable: true}}
"""


def overlay(name: str, file: str) -> str:
    """Return a program's block in an overlay; `file` is the base's overlay that has the api."""
    return f"  {name}:\n    extends: {{file: {file}, service: api}}\n    ports: !reset []\n"


def contained(own_limits: str) -> list[str]:
    """Return what any image that isn't the app's is kept to, besides its own limits."""
    return [
        '    networks: !override [data, "web-${EGRESS:-none}"]',
        "    cap_drop: [ALL]",
        "    # For an image that begins as root and goes on as a user of its own.",
        f"    cap_add: {_CAPABILITIES}",
        '    security_opt: ["no-new-privileges:true"]',
        "    restart: unless-stopped",
        "    logging:",
        "      driver: json-file",
        '      options: {max-size: "${LOG_MAX_SIZE:-10m}", max-file: "${LOG_MAX_FILES:-3}"}',
        f"    deploy: {{resources: {own_limits}}}",
    ]


def limits(prefix: str, *, cpus: str = "1.0", memory: str = "512m", pids: str = "") -> str:
    """Return the limits of a service whose variables begin so; without `pids`, those it has."""
    more = f", pids: {pids}" if pids else ""
    return (
        f'{{limits: {{cpus: "${{{prefix}_CPUS:-{cpus}}}", '
        f'memory: "${{{prefix}_MEMORY:-{memory}}}"{more}}}}}'
    )


def local(name: str) -> str:
    """Return a service's block where it needn't outlive anything and has the whole machine."""
    cpus = '    deploy: {resources: {limits: {cpus: "0"}}}\n'
    return f'  {name}:\n    restart: "no"\n{cpus}'


def published(*ports: Port) -> str:
    """Return the lines that publish ports of a service on this machine."""
    address = "${BIND_ADDRESS:-127.0.0.1}"
    lines = [
        f'      - "{address}:${{{port.variable}:-{port.published}}}:{port.number}"\n'
        for port in ports
    ]
    return "    ports:\n" + "".join(lines) if lines else ""


def not_native(name: str) -> str:
    """Return a service's block where services run without containers, and this one can't."""
    return f"  # In containers alone.\n  {name}: {{profiles: !override [containers-only]}}\n"


def specs(beside: Beside) -> Iterator[tuple[str, Fields]]:
    """Yield a program's variables, and what the contract says about each."""
    name, prefix = beside.name, beside.prefix
    runs = {"required": ["dev", "test", "prod"], "meaning": f"What the {name} runs"}
    yield f"{prefix}_COMMAND", {"type": "string", **runs}
    if beside.schedule:
        clock = {"required": runs["required"], "meaning": f"When the {name} runs, as cron has it"}
        yield f"{prefix}_SCHEDULE", {"type": "string", **clock}
    if not beside.is_one:
        number = {"type": "int", "min": 0, "max": 100, "default": 1}
        yield f"{prefix}_REPLICAS", {**number, "meaning": f"Containers of the {name}"}
    yield from limit_specs(prefix, f"the {name}" if beside.is_one else f"each {name}")


def limit_specs(
    prefix: str, whose: str, *, cpus: str = "1.0", memory: str = "512m"
) -> Iterator[tuple[str, Fields]]:
    """Yield the variables of a service's limits; `whose` they are stands in their meaning."""
    number = {"type": "number", "min": 0.01, "default": {"prod": cpus}}
    yield f"{prefix}_CPUS", {**number, "meaning": f"CPUs for {whose}"}
    size = {"type": "memory", "default": memory}
    yield f"{prefix}_MEMORY", {**size, "meaning": f"Memory for {whose}"}


def port_fields(service: str, default: Mapping[str, int], what: str, profile: str = "") -> Fields:
    """Return what the contract says of a port that a service publishes, by kind of environment."""
    own = {"profile": profile} if profile else {}
    where = {"published": True, "service": service, **own, "default": default}
    return {"type": "port", **where, "meaning": f"{what} on this machine"}


def spec(name: str, fields: Fields) -> str:
    """Return the text of a variable in a contract: a line, or several."""
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
    try:
        return bool(yaml.safe_load(f"[{text}]") == [text])
    except yaml.YAMLError:
        return False
