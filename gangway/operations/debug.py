"""A debugger for one service: an overlay that opens its port, and how an editor attaches to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.interface import Debugger
from gangway.operations import calls
from gangway.operations.project import Project, with_choices
from gangway.operations.start import StartOptions, alone, up
from gangway.settings import checkout

PORT: Final = 5678
"""Where the debugger listens in a container; on this machine it is PUBLISHED_DEBUG_PORT."""
_PUBLISHED: Final = "PUBLISHED_DEBUG_PORT"
# Whoever reaches a debugger can run what they like: never on another address than this.
_HOST: Final = "127.0.0.1"
_SOURCES: Final = "/srv/app"


@dataclass(frozen=True)
class DebugOptions:
    """What `debug` was asked for; `wait` keeps the program from starting without a debugger."""

    service: str
    wait: bool = False
    off: bool = False
    ports: str = ""


def debug(project: Project, options: DebugOptions) -> None:
    """Start a service, with all that it needs, so that a debugger can attach; or without again.

    Prints an editor's settings on standard output. Raises GangwayError for a service that isn't
    a Python program under the reloader, and when it doesn't start.
    """
    calls.check_services(project, [options.service])
    # One that waits can't be healthy before a debugger has come.
    enough = () if options.wait else None
    start = StartOptions((options.service,), ports=options.ports, enough=enough)
    if options.off:
        _turn_off(project, options.service)
        return
    if options.service not in (possible := debuggable(project.model.services)):
        raise GangwayError(
            f"{options.service} can't be debugged: it doesn't reload on save",
            fix=f"these are: {', '.join(possible)}" if possible else None,
        )
    before = debugged(project)
    if before and before != options.service:
        say(f"{before} had the debugger's port")
        _turn_off(project, before)
    path = overlay_path(project)
    # Without the file, a command that is only printed could not be pasted.
    way = project.engine.debugger(install=not project.dry_run)
    path.write_text(overlay(options, way), encoding="utf-8")
    files = [*project.environment.compose_files, str(path.relative_to(project.root))]
    joined = project.environment.separator.join(files)
    changed = with_choices(project, overrides={"COMPOSE_FILE": joined})
    start = replace(start, flags=alone(changed, options.service))
    changed = up(changed, start, task="debug")
    if not project.dry_run:
        tell(changed, options)


def debuggable(services: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the services that run under the reloader: only that allows a debugger."""
    return [
        name
        for name, service in services.items()
        if str((service.get("environment") or {}).get("RELOAD") or "") in ("1", "true", "yes", "on")
    ]


def overlay(options: DebugOptions, way: Debugger) -> str:
    """Return the Compose file that opens the port of one service the engine's way."""
    settings = {
        "DEBUG_HOST": way.host,
        "DEBUG_PORT": way.port,
        "DEBUG_PATH": way.path,
        "DEBUG_WAIT": "1" if options.wait else "0",
    }
    port = f"{_HOST}:${{{_PUBLISHED}:-{PORT}}}:{PORT}"
    # JSON is YAML.
    services = {options.service: {"environment": settings, "ports": [port]}}
    return json.dumps({"services": services}, indent=2) + "\n"


def overlay_path(project: Project) -> Path:
    """Return where an environment's overlay is kept."""
    return checkout.state(project.root, f"{project.name}.debug.yml")


def debugged(project: Project) -> str:
    """Return the service that the last `debug` was for; empty where there is none."""
    try:
        text = overlay_path(project).read_text(encoding="utf-8")
        return next(iter(json.loads(text)["services"]), "")
    except (OSError, ValueError, KeyError):
        return ""


def configuration(project: Project, service: str) -> dict[str, Any]:
    """Return the settings with which VS Code attaches to the service."""
    found: dict[str, Any] = {
        "name": f"gangway {project.name}: {service}",
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": _HOST, "port": int(project.environment.get(_PUBLISHED) or PORT)},
    }
    if project.engine.debugger(install=False).maps_paths:
        found["pathMappings"] = [
            {"localRoot": _local(project, str(mount["source"])), "remoteRoot": mount["target"]}
            for mount in project.model.services[service].get("volumes") or ()
            if mount.get("type") == "bind" and str(mount["target"]).startswith("/srv/")
        ]
    return found


def tell(project: Project, options: DebugOptions) -> None:
    """Say how to attach, and print an editor's settings on standard output."""
    settings = configuration(project, options.service)
    address = f"{settings['connect']['host']}:{settings['connect']['port']}"
    waits = ", and starts once one has come" if options.wait else ""
    say(f"\n{options.service} waits for a debugger on {address}{waits}; for .vscode/launch.json:")
    print(json.dumps(settings, indent=2))
    say(f"without it again: invoke {project.name}.debug {options.service} --off")


def _turn_off(project: Project, service: str) -> None:
    up(project, StartOptions((service,), flags=alone(project, service)), task="debug")
    if not project.dry_run and debugged(project) == service:
        overlay_path(project).unlink(missing_ok=True)


def _local(project: Project, source: str) -> str:
    """Return a folder of this checkout as an editor that has it open writes it."""
    path = Path(source)
    if path.is_relative_to(project.root):
        return f"${{workspaceFolder}}/{path.relative_to(project.root).as_posix()}"
    return source
