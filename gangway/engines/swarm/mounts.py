"""What is mounted into a service's containers, as the Engine's API has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from gangway.base.errors import Finding
from gangway.engines.swarm import units
from gangway.engines.swarm.keys import finding
from gangway.engines.swarm.labels import MEMORY, STACK
from gangway.model.model import Model, keeps_data, unescaped

Service = Mapping[str, Any]
Json = dict[str, Any]

# What the engine adds to a tmpfs by itself.
_FLAGS: Final = {"noexec": "exec", "nosuid": "suid", "nodev": "dev"}
_KINDS: Final = ("volume", "bind", "tmpfs")


def mounts(model: Model, service: Service) -> Iterator[Json]:
    """Yield what is mounted into a service's containers, but for secrets and configs."""
    for entry in service.get("tmpfs") or ():
        yield _tmpfs(entry, model.project)
    if shared := service.get("shm_size"):
        size = units.size(shared)
        yield {"Type": "tmpfs", "Target": "/dev/shm", "TmpfsOptions": {"SizeBytes": size}}  # noqa: S108
    for mount in service.get("volumes") or ():
        made: Json = {"Type": mount["type"], "Target": mount["target"]}
        if mount.get("read_only"):
            made["ReadOnly"] = True
        match mount["type"]:
            case "volume":
                made |= _volume(model, mount)
            case "bind":
                bind = mount.get("bind") or {}
                made["Source"] = mount["source"]
                if bind.get("propagation"):
                    made["BindOptions"] = {"Propagation": bind["propagation"]}
            case "tmpfs":
                made["TmpfsOptions"] = _options(mount.get("tmpfs") or {})
        yield made


def data(model: Model, service: Service) -> list[str]:
    """Return the engine's names of the volumes with data that a service has mounted."""
    return [
        _name(model, mount["source"])
        for mount in service.get("volumes") or ()
        if mount.get("source") and keeps_data(mount)
    ]


def complaints(name: str, service: Service) -> Iterator[Finding]:
    """Yield what a Swarm can't keep of what a service has mounted."""
    for mount in service.get("volumes") or ():
        where = f"volumes {mount['target']}"
        if mount["type"] not in _KINDS:
            yield finding(name, where, f"Swarm has no mount of the type {mount['type']}")
        if (mount.get("bind") or {}).get("selinux"):
            yield finding(name, where, "Swarm labels no folder (bind.selinux)", "chcon it by hand")
        if (mount.get("volume") or {}).get("subpath"):
            yield finding(name, where, "Swarm mounts whole volumes", "mount the volume itself")
    for entry in service.get("tmpfs") or ():
        try:
            _tmpfs(entry, "")
        except ValueError as error:
            yield finding(name, f"tmpfs {entry}", str(error))


def _tmpfs(entry: str, project: str) -> Json:
    """Return the mount of a `tmpfs` in Compose's short form, `PATH:OPTION,…`.

    The API's own tmpfs has a size and a mode; with an owner it is a volume of the node's memory.
    What is in it goes with its container; the empty volume is for `Swarm.clear` to remove.
    """
    path, _, text = entry.partition(":")
    options = dict(_split(word) for word in filter(None, text.split(",")))
    own = {key: value for key, value in options.items() if key not in _FLAGS and key != "rw"}
    if own.keys() <= {"size", "mode"}:
        return {"Type": "tmpfs", "Target": path, "TmpfsOptions": _options(own)}
    words = [no for no, yes in _FLAGS.items() if yes not in own]
    words += [f"{key}={value}" if value else key for key, value in own.items()]
    driver = {
        "Name": "local",
        "Options": {"type": "tmpfs", "device": "tmpfs", "o": ",".join(words)},
    }
    return {
        "Type": "volume",
        "Target": path,
        "VolumeOptions": {
            "NoCopy": True,
            "DriverConfig": driver,
            "Labels": {STACK: project, MEMORY: "yes"},
        },
    }


def _split(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    if key == "size":
        units.size(value)
    if key == "mode":
        units.mode(value, 0)
    return key, value


def _options(options: Mapping[str, Any]) -> Json:
    found: Json = {}
    if options.get("size"):
        found["SizeBytes"] = units.size(options["size"])
    # Without any, the engine's own is 1777.
    if options.get("mode"):
        found["Mode"] = units.mode(options["mode"], 0o1777)
    return found


def _volume(model: Model, mount: Mapping[str, Any]) -> Json:
    given = mount.get("volume") or {}
    options: Json = {"NoCopy": True} if given.get("nocopy") else {}
    if labels := given.get("labels"):
        options["Labels"] = labels
    if not mount.get("source"):
        return {"VolumeOptions": options}
    raw = unescaped((model.raw.get("volumes") or {}).get(mount["source"]) or {})
    if raw.get("driver") or raw.get("driver_opts"):
        options["DriverConfig"] = {
            "Name": raw.get("driver") or "local",
            "Options": {key: str(value) for key, value in (raw.get("driver_opts") or {}).items()},
        }
    if not raw.get("external"):
        options["Labels"] = {
            **{key: str(value) for key, value in (raw.get("labels") or {}).items()},
            **(options.get("Labels") or {}),
            STACK: model.project,
        }
    return {"Source": _name(model, mount["source"]), "VolumeOptions": options}


def _name(model: Model, source: str) -> str:
    raw = (model.raw.get("volumes") or {}).get(source) or {}
    return str(unescaped(raw.get("name") or f"{model.project}_{source}"))
