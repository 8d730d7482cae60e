"""Whether a Swarm's service is as restricted as the Compose model wants it, read from its spec."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]


def missing(model: Json, name: str, spec: Json) -> Iterator[str]:
    """Yield each restriction of a service that its spec hasn't, by Compose's key."""
    service = model["services"][name]
    for key, wanted, found in _pairs(model, name, service, spec["TaskTemplate"], spec):
        if wanted != found:
            yield f"{name}: {key} is {found!r} in the Swarm, and {wanted!r} in the model"


def _pairs(
    model: Json, name: str, service: Json, task: Json, spec: Json
) -> Iterator[tuple[str, Any, Any]]:
    container = task["ContainerSpec"]
    yield "read_only", service.get("read_only", False), container.get("ReadOnly", False)
    yield "cap_drop", service.get("cap_drop"), container.get("CapabilityDrop")
    yield "cap_add", service.get("cap_add"), container.get("CapabilityAdd")
    wants = any("no-new-privileges" in each for each in service.get("security_opt") or ())
    yield "security_opt", wants, container.get("Privileges", {}).get("NoNewPrivileges", False)
    yield "user", service.get("user"), container.get("User")
    yield "init", service.get("init"), container.get("Init")
    limits = service["deploy"]["resources"]["limits"]
    given = task["Resources"]["Limits"]
    yield "cpus", float(limits["cpus"]), given.get("NanoCPUs", 0) / 10**9
    yield "memory", int(limits["memory"]), given.get("MemoryBytes")
    yield "pids", limits["pids"], given.get("Pids")
    yield "stop_grace_period", _ns(service["stop_grace_period"]), container.get("StopGracePeriod")
    logging = service.get("logging") or {}
    log = task.get("LogDriver") or {}
    yield "logging", (logging.get("driver"), logging.get("options")), (
        log.get("Name"), log.get("Options"),
    )  # fmt: skip
    yield (
        "ulimits",
        _limits(service),
        {each["Name"]: (each["Soft"], each["Hard"]) for each in container.get("Ulimits") or ()},
    )
    yield "healthcheck", *_checks(service, container)
    mounts = {mount["Target"]: mount for mount in container.get("Mounts") or ()}
    for entry in service.get("tmpfs") or ():
        path, _, words = entry.partition(":")
        yield f"tmpfs {path}", sorted(words.split(",")), sorted(_tmpfs(mounts.get(path) or {}))
    if shared := service.get("shm_size"):
        size = (mounts.get("/dev/shm") or {}).get("TmpfsOptions", {}).get("SizeBytes")
        yield "shm_size", int(shared), size
    for mount in service.get("volumes") or ():
        volume = model["volumes"][mount["source"]]["name"]
        there = mounts.get(mount["target"]) or {}
        yield f"volumes {mount['target']}", volume, there.get("Source")
        yield "read-only", mount.get("read_only", False), there.get("ReadOnly", False)
    yield from _files(service, container)
    yield (
        "networks",
        {
            model["networks"][each]["name"]: {name, *((how or {}).get("aliases") or ())}
            for each, how in (service.get("networks") or {}).items()
        },
        {each["Target"]: set(each["Aliases"]) for each in task["Networks"]},
    )
    ports = spec.get("EndpointSpec", {}).get("Ports") or ()
    yield (
        "ports",
        [(p["target"], int(p["published"])) for p in service.get("ports") or ()],
        [(p["TargetPort"], p["PublishedPort"]) for p in ports],
    )


def _checks(service: Json, container: Json) -> tuple[Any, Any]:
    check = service.get("healthcheck") or {}
    there = container.get("Healthcheck") or {}
    names = {
        "interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod",
        "start_interval": "StartInterval",
    }  # fmt: skip
    test = [word.replace("$$", "$") for word in check.get("test") or ()]
    wanted = {key: _ns(check[key]) if check.get(key) else None for key in names}
    found = {key: there.get(field) for key, field in names.items()}
    return (test, check.get("retries"), wanted), (
        there.get("Test") or [], there.get("Retries"), found,
    )  # fmt: skip


def _files(service: Json, container: Json) -> Iterator[tuple[str, Any, Any]]:
    user, _, group = (service.get("user") or "0").partition(":")
    for kind, owner, mode in (
        ("secrets", (user, group), 0o400),
        ("configs", ("0", "0"), 0o444),
    ):
        found = {}
        for entry in container.get(kind.capitalize()) or ():
            file = entry["File"]
            found[file["Name"]] = (file["UID"], file["GID"], file["Mode"])
        wanted = {
            entry["target"]: (
                entry.get("uid") or owner[0], entry.get("gid") or owner[1],
                int(str(entry["mode"]), 8) if entry.get("mode") else mode,
            )
            for entry in service.get(kind) or ()
        }  # fmt: skip
        yield kind, wanted, found


def _limits(service: Json) -> dict[str, tuple[int, int]]:
    return {
        key: (value["soft"], value["hard"]) if isinstance(value, Mapping) else (value, value)
        for key, value in (service.get("ulimits") or {}).items()
    }


def _tmpfs(mount: Json) -> Iterator[str]:
    """Yield the words of Compose's short form that a mount in memory is."""
    if mount.get("Type") == "tmpfs":
        options = mount["TmpfsOptions"]
        yield f"size={options.get('SizeBytes', 0) // 1024**2}m"
        yield f"mode={options.get('Mode', 0):o}"
    elif mount.get("Type") == "volume":
        options = mount["VolumeOptions"]["DriverConfig"]["Options"]
        words = options["o"].split(",")
        if options["type"] == "tmpfs" and {"noexec", "nosuid", "nodev"} <= set(words):
            yield from (word for word in words if "=" in word)


def _ns(text: str) -> int:
    units = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6}
    found = re.findall(r"(\d+)(ms|h|m|s)", text)
    return sum(int(number) * units[unit] for number, unit in found)
