"""What an app's image and services do today that nothing here stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look import programs
from gangway.operations.adoption.look.app import App
from gangway.operations.adoption.look.compose import Service
from gangway.operations.adoption.look.migrations import understood
from gangway.operations.adoption.look.starts import Start
from gangway.operations.adoption.look.wishes import Wishes

_KEYS = (
    "cap_add", "devices", "extra_hosts", "ipc", "network_mode", "pid", "privileged", "ulimits",
)  # fmt: skip
_WRITES = "where the app writes there, name the folder in API_MEDIA: a volume, in every environment"
_AT_START = (
    "do it in MIGRATE_COMMAND, which runs once before the app starts, or in API_BUILD_COMMAND"
)
_SCRATCH = re.compile(r"node_modules|\.venv|venv|cache")


def of_image(app: App) -> Iterator[Loss]:
    """Yield what the Dockerfile does, and what is done at every start."""
    if app.image:
        yield from app.image.losses
    built = {step.text for step, _ in app.image.steps} if app.image else set()
    serving = next((start for start in app.own if start.server), None)
    for command, where in understood(serving.commands) if serving else ():
        if command.text not in built:
            when = "where a variable says so" if command.perhaps else "at every start"
            yield Loss(f"{command.text} {when}", where, _AT_START)
    for start in app.own:
        yield from _configuration(start)


def _configuration(start: Start) -> Iterator[Loss]:
    for command, where in start.commands:
        known = programs.server(command)
        if not known or known.program != "gunicorn":
            continue
        for option, value in zip(command.words, command.words[1:], strict=False):
            if option in ("-c", "--config") and not value.endswith("gunicorn.conf.py"):
                yield Loss(
                    f"gunicorn's configuration {value}",
                    where,
                    "Gangway's own is taken, unless the working directory has a gunicorn.conf.py",
                )


def of_services(app: App, wishes: Wishes) -> Iterator[Loss]:
    """Yield what Compose gives to the app's services besides."""
    known = {"media", "static", *_uploads(wishes)} - {""}
    seen: set[str] = set()
    for target, where in app.image.volumes if app.image else ():
        if known.isdisjoint(target.strip("/").split("/")):
            yield Loss(f"the volume {target}", where, _WRITES)
            seen.add(target.rstrip("/"))
    for service in app.services.own:
        for key in _KEYS:
            what = f"{key} of {service.name}"
            if service.content.get(key) and what not in seen:
                seen.add(what)
                yield Loss(what, service.where, "add it to the stack's compose.yml")
        for loss, target in _volumes(service):
            if target not in seen and known.isdisjoint(target.strip("/").split("/")):
                seen.add(target)
                yield loss


def _volumes(service: Service) -> Iterator[tuple[Loss, str]]:
    for source, target in service.mounts:
        if source in service.volumes and not _SCRATCH.search(target):
            what = f"the volume {source} at {target} of {service.name}"
            yield Loss(what, service.where, _WRITES), target.rstrip("/")


def _uploads(wishes: Wishes) -> set[str]:
    """Return the names of the folders of uploads and static files."""
    production = wishes.settings.get("prod")
    if production is None:
        return set()
    names = ("MEDIA_ROOT", "STATIC_ROOT")
    return {str(production.get(name)).rstrip("/").rpartition("/")[2] for name in names}
