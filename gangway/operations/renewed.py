"""Services that still run with a secret or a config as it was before its file was renewed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gangway.engines.container import Container
from gangway.model.model import Model, unescaped


def outdated(model: Model, containers: Iterable[Container]) -> dict[str, list[str]]:
    """Return the running services whose files changed since they started, each with their names.

    A mounted file stays the one that it was when the container started, and a program read it then.
    """
    found: dict[str, dict[str, None]] = {}
    for container in containers:
        service = model.services.get(container.service)
        if container.state != "running" or service is None:
            continue
        for name, file in _files(model, service).items():
            if (changed := _changed(file)) and changed > container.started:
                found.setdefault(container.service, {})[name] = None
    return {service: list(names) for service, names in found.items()}


def _files(model: Model, service: Mapping[str, Any]) -> dict[str, Path]:
    found = {}
    for kind in ("secrets", "configs"):
        described = model.raw.get(kind) or {}
        for entry in service.get(kind) or ():
            if file := (described.get(entry["source"]) or {}).get("file"):
                found[str(entry["source"])] = Path(unescaped(file))
    return found


def _changed(file: Path) -> float:
    """Return when a file was written, or put into its place; 0 where it is none."""
    try:
        status = file.stat()
    except OSError:
        return 0.0
    return max(status.st_mtime, status.st_ctime) if file.is_file() else 0.0
