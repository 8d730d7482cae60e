"""What a model asks for that only a container can give, in one line for people."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gangway.model.model import replicas

Service = Mapping[str, Any]


def _limits(service: Service) -> bool:
    limits = ((service.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    return bool(limits) or any(service.get(name) for name in ("mem_limit", "cpus", "pids_limit"))


def _user(service: Service) -> bool:
    uid = str(service.get("user") or "").partition(":")[0]
    return bool(uid) and uid != str(os.geteuid())


def _mounts(service: Service) -> bool:
    return any(mount.get("read_only") for mount in service.get("volumes") or ())


_ASKS: Mapping[str, Callable[[Service], bool]] = {
    "users": _user,
    "limits": _limits,
    "read-only files": lambda service: bool(service.get("read_only")) or _mounts(service),
    "capabilities": lambda service: bool(service.get("cap_drop")),
    "no-new-privileges": lambda service: any(
        "no-new-privileges" in option for option in service.get("security_opt") or ()
    ),
    "networks": lambda service: bool(service.get("networks")),
    "replicas": lambda service: replicas(service) > 1,
}


def unenforced(services: Mapping[str, Service], wanted: Sequence[str]) -> str:
    """Return the line that says what isn't enforced, and for which services; empty for nothing."""
    parts = []
    for what, asks in _ASKS.items():
        names = [name for name in wanted if asks(services[name])]
        if len(names) == len(wanted):
            parts.append(what)
        elif names:
            parts.append(f"{what} ({', '.join(names)})")
    return "not enforced without containers: " + ", ".join(parts) if parts else ""
