"""What of a model's restrictions a running container hasn't got, as the engine and itself say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.e2e.swarm.machine import Machine

Record = Mapping[str, Any]
#: What a process knows of itself, and what its files are: one line for each secret.
LOOK = """
sed -n 's/^NoNewPrivs:[[:space:]]*/NoNewPrivs /p; s/^CapBnd:[[:space:]]*/CapBnd /p' /proc/1/status
for file in /run/secrets/*; do [ ! -f "$file" ] || stat -L -c "%n %u:%g:%a" "$file"; done
touch /no 2>/dev/null && echo "root writable" || echo "root read-only"
"""


def faults(model: Record, service: str, record: Record, machine: Machine) -> list[str]:
    """Return what isn't as the service has it in the model; `record` is the engine's own."""
    wanted = model["services"][service]
    pairs = {**_by_record(wanted, record), **_by_itself(wanted, record, machine)}
    return [
        f"{service}: {key} is {there!r}, and {here!r} in the model"
        for key, (here, there) in pairs.items()
        if here != there
    ]


def _by_record(wanted: Record, record: Record) -> dict[str, tuple[Any, Any]]:
    host, config = record["HostConfig"], record["Config"]
    limits = wanted["deploy"]["resources"]["limits"]
    logging = wanted["logging"]
    mounts = {mount["Target"]: mount for mount in host.get("Mounts") or ()}
    found = {
        "read_only": (wanted.get("read_only", False), host["ReadonlyRootfs"]),
        "cap_drop": (wanted.get("cap_drop") or [], host["CapDrop"] or []),
        "cap_add": (wanted.get("cap_add") or [], host["CapAdd"] or []),
        "security_opt": (
            ["no-new-privileges" in each for each in wanted.get("security_opt") or ()],
            ["no-new-privileges=true" in each for each in host["SecurityOpt"] or ()],
        ),
        "privileged": (False, host["Privileged"]),
        "user": (wanted.get("user", ""), config["User"]),
        "init": (bool(wanted.get("init")), bool(host.get("Init"))),
        "cpus": (float(limits["cpus"]), host["NanoCpus"] / 1e9),
        "memory": (int(limits["memory"]), host["Memory"]),
        "pids": (limits["pids"], host["PidsLimit"]),
        "logging": (
            (logging["driver"], logging["options"]),
            (host["LogConfig"]["Type"], host["LogConfig"]["Config"]),
        ),
        "healthcheck": (bool(wanted.get("healthcheck")), bool(config.get("Healthcheck"))),
        "binds": ([], [each for each in mounts.values() if _of_the_machine(each)]),
        "ports": (
            sorted(f"{port['target']}/tcp" for port in wanted.get("ports") or ()),
            sorted(host["PortBindings"] or {}),
        ),
    }
    for entry in wanted.get("tmpfs") or ():
        path = entry.partition(":")[0]
        found[f"tmpfs {path}"] = (True, _in_memory(mounts.get(path) or {}))
    return found


def _of_the_machine(mount: Record) -> bool:
    """Say whether it is a file or folder of the machine's; an empty secret is its /dev/null."""
    return bool(mount["Type"] == "bind" and mount["Source"] != "/dev/null")


def _in_memory(mount: Record) -> bool:
    driver = (mount.get("VolumeOptions") or {}).get("DriverConfig") or {}
    return mount.get("Type") == "tmpfs" or (driver.get("Options") or {}).get("type") == "tmpfs"


def _by_itself(wanted: Record, record: Record, machine: Machine) -> dict[str, tuple[Any, Any]]:
    if not record["State"]["Running"]:
        return {}
    said = machine.ask("exec", record["Id"], "sh", "-c", LOOK).splitlines()
    lines = dict(line.rsplit(" ", 1) for line in said)
    user, _, group = str(wanted["user"]).partition(":")
    return {
        "NoNewPrivs": ("1", lines.get("NoNewPrivs")),
        "CapBnd": ("0000000000000000", lines.get("CapBnd")),
        "root": ("read-only", lines.get("root")),
        "secrets": (
            {f"{user}:{group}:400"} if _secrets(lines) else set(),
            set(_secrets(lines).values()),
        ),
    }


def _secrets(lines: Mapping[str, str]) -> dict[str, str]:
    return {name: mode for name, mode in lines.items() if name.startswith("/run/secrets/")}


def records(machine: Machine) -> Iterator[tuple[str, Record]]:
    """Yield each running container's service, as the Swarm calls it, and the engine's record."""
    if ids := machine.ask("ps", "--quiet", "--no-trunc").split():
        for record in json.loads(machine.ask("inspect", *ids)):
            yield record["Config"]["Labels"].get("com.docker.swarm.service.name", ""), record
