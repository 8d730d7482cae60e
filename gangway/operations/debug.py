"""A debugger for one service: an overlay that opens its port, and how an editor attaches to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.engines.native import tools
from gangway.operations import calls
from gangway.operations import start as starting
from gangway.operations.project import Project, say
from gangway.settings import checkout, environment

PORT: Final = 5678
"""Where the debugger listens in a container; on this machine it is PUBLISHED_DEBUG_PORT."""
_PUBLISHED: Final = "PUBLISHED_DEBUG_PORT"
# Whoever reaches a debugger can run what they like: never on another address than this.
_HOST: Final = "127.0.0.1"
_SOURCES: Final = "/srv/app"


@dataclass(frozen=True)
class Wish:
    """What `debug` was asked for; `wait` keeps the program from starting without a debugger."""

    service: str
    wait: bool = False
    off: bool = False
    auto_ports: bool = False


def debug(project: Project, wish: Wish) -> None:
    """Start a service, with all that it needs, so that a debugger can attach; or without again.

    Prints an editor's settings on standard output. Raises GangwayError for a service that isn't
    a Python program under the reloader, and when it doesn't start.
    """
    calls.check_services(project, [wish.service])
    if wish.off:
        _turn_off(project, wish.service)
        return
    if wish.service not in (possible := debuggable(project.model.services)):
        raise GangwayError(
            f"{wish.service} can't be debugged: it doesn't reload on save",
            fix=f"these are: {', '.join(possible)}" if possible else None,
        )
    before = debugged(project)
    if before and before != wish.service:
        say(f"{before} had the debugger's port")
        _turn_off(project, before)
    path = overlay_path(project)
    # Without the file, a command that is only printed could not be pasted.
    path.write_text(overlay(wish, native=_native_folder(project)), encoding="utf-8")
    opened = _with_overlay(project, path)
    options = starting.alone(project, wish.service)
    up = starting.Wish((wish.service,), auto_ports=wish.auto_ports, options=options)
    if wish.wait and not project.native:
        # It can't be healthy before a debugger has come.
        opened = opened if opened.dry_run else _prepared(opened, up)
        status = calls.run(opened, "up", "--detach", *options, wish.service)
        if status:
            raise GangwayError(f"{wish.service} did not start", fix="the lines above say why")
    else:
        opened = starting.up(opened, up, task="debug")
    if not project.dry_run:
        tell(opened, wish)


def debuggable(services: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the services that run under the reloader: only that allows a debugger."""
    return [
        name
        for name, service in services.items()
        if str((service.get("environment") or {}).get("RELOAD") or "") in ("1", "true", "yes", "on")
    ]


def overlay(wish: Wish, *, native: str = "") -> str:
    """Return the Compose file that opens the port of one service.

    `native` is the folder of the debugger where the service is a process of this machine.
    """
    port = f"${{{_PUBLISHED}:-{PORT}}}"
    settings = {
        "DEBUG_HOST": _HOST if native else "0.0.0.0",
        "DEBUG_PORT": port if native else str(PORT),
        "DEBUG_PATH": native or "/opt/debugger",
        "DEBUG_WAIT": "1" if wish.wait else "0",
    }
    service = {"environment": settings, "ports": [f"{_HOST}:{port}:{PORT}"]}
    # JSON is YAML.
    return json.dumps({"services": {wish.service: service}}, indent=2) + "\n"


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
    if not project.native:
        found["pathMappings"] = [
            {"localRoot": _local(project, str(mount["source"])), "remoteRoot": mount["target"]}
            for mount in project.model.services[service].get("volumes") or ()
            if mount.get("type") == "bind" and str(mount["target"]).startswith("/srv/")
        ]
    return found


def tell(project: Project, wish: Wish) -> None:
    """Say how to attach, and print an editor's settings on standard output."""
    settings = configuration(project, wish.service)
    address = f"{settings['connect']['host']}:{settings['connect']['port']}"
    waits = ", and starts once one has come" if wish.wait else ""
    say(f"\n{wish.service} waits for a debugger on {address}{waits}; for .vscode/launch.json:")
    print(json.dumps(settings, indent=2))
    say(f"without it again: invoke {project.name}.debug {wish.service} --off")


def _turn_off(project: Project, service: str) -> None:
    wish = starting.Wish((service,), options=starting.alone(project, service))
    starting.up(project, wish, task="debug")
    if not project.dry_run and debugged(project) == service:
        overlay_path(project).unlink(missing_ok=True)


def _with_overlay(project: Project, path: Path) -> Project:
    """Return the project with one Compose file more, as if it had been given with `-e`."""
    env = project.environment
    separator = env.get("COMPOSE_PATH_SEPARATOR") or ":"
    files = f"{env.get('COMPOSE_FILE')}{separator}{path.relative_to(project.root)}"
    loaded = environment.load(
        env.root,
        env.name,
        stack=env.stack,
        images=env.images,
        engine=env.engine,
        overrides={**env.overrides, "COMPOSE_FILE": files},
        shell=env.shell,
    )
    return replace(project, environment=loaded)


def _prepared(project: Project, wish: starting.Wish) -> Project:
    from gangway.operations import image_builds, preflight

    with project.changing("debug"):
        ready = preflight.prepare(project, wish.services, auto_ports=wish.auto_ports)
        image_builds.refresh(ready, ready.model.wanted(wish.services))
    return ready


def _native_folder(project: Project) -> str:
    if not project.native:
        return ""
    if project.dry_run:
        return str(tools.debugger_folder(project.root))
    return str(tools.debugger(project.root, project.environment.shell))


def _local(project: Project, source: str) -> str:
    """Return a folder of this checkout as an editor that has it open writes it."""
    path = Path(source)
    if path.is_relative_to(project.root):
        return f"${{workspaceFolder}}/{path.relative_to(project.root).as_posix()}"
    return source
