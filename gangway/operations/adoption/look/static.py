"""Static and media files of a Django site, and the steps of a build."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.django import Settings, listed
from gangway.operations.adoption.look.handing import Sorted, harmless, is_ours
from gangway.operations.adoption.look.locks import Lock
from gangway.operations.adoption.look.place import Place
from gangway.operations.adoption.look.reads import Read
from gangway.operations.adoption.look.shell import Command
from gangway.operations.adoption.look.tree import Tree, join, seen_from, within
from gangway.operations.adoption.look.values import UNKNOWN, repository_path

_COLLECT = "python manage.py collectstatic --no-input"


@dataclass
class Static:
    """The facts about static and media files and the build step."""

    facts: dict[str, str] = field(default_factory=dict)
    command: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    """What an existing step sets for itself."""
    evidence: list[tuple[str, str]] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)


def static_files(
    tree: Tree, place: Place, settings: Settings | None, steps: Iterable[tuple[Command, str]]
) -> Static:
    """Return what is collected and uploaded; `steps` are those of an existing build."""
    found = Static()
    lines: dict[str, None] = {}
    for command, where in steps:
        text = _without_python3(command)
        if "collectstatic" in text:
            text = _COLLECT
        if text not in lines:
            found.evidence.append((f"build step: {text}", where))
        lines[text] = None
        found.environment.update(command.environment)
    if settings is not None:
        _static(found, place, settings, lines)
        _media(found, place, settings)
    if lines:
        found.command = (
            next(iter(lines)) if len(lines) == 1 else f"sh -c {shlex.quote(' && '.join(lines))}"
        )
        found.facts["API_BUILD_COMMAND"] = found.command
    return found


def _without_python3(command: Command) -> str:
    words = list(command.words)
    if re.fullmatch(r".*python3?(\.\d+)?", words[0]):
        words[0] = "python"
        words[1:2] = [re.sub(r"^.*/manage\.py$", "manage.py", words[1])]
    return Command(tuple(words), {}).text


def _static(found: Static, place: Place, settings: Settings, lines: dict[str, None]) -> None:
    root, url = settings.get("STATIC_ROOT"), settings.get("STATIC_URL")
    if root is UNKNOWN and "STATIC_ROOT" in settings.names:
        lines[_COLLECT] = None
        found.losses.append(
            Loss(
                "where static files are collected can't be told",
                settings.where("STATIC_ROOT"),
                "name the folder in API_STATIC, seen from the working directory, and API_STATIC_URL",
            )
        )
        return
    if not root or not isinstance(root, str | PurePosixPath):
        lines.pop(_COLLECT, None)
        if "django.contrib.staticfiles" in listed(settings.get("INSTALLED_APPS")):
            found.losses.append(
                Loss(
                    "STATIC_ROOT isn't set: static files can't be collected for production",
                    settings.where("INSTALLED_APPS"),
                    'set STATIC_ROOT = BASE_DIR / "staticfiles"; then API_STATIC=staticfiles and'
                    f' API_BUILD_COMMAND="{_COLLECT}"',
                )
            )
        return
    lines[_COLLECT] = None
    folder = _seen(root, place)
    found.evidence.append((f"static files in {folder}", settings.where("STATIC_ROOT")))
    if (address := _address("/static/" if url is UNKNOWN else url)) is not None:
        found.facts["API_STATIC"] = folder
        found.facts["API_STATIC_URL"] = address
    else:
        found.losses.append(
            Loss(
                f"STATIC_URL = {url!r} is elsewhere",
                settings.where("STATIC_URL"),
                "upload them there as before",
            )
        )


def _media(found: Static, place: Place, settings: Settings) -> None:
    root, url = settings.get("MEDIA_ROOT"), settings.get("MEDIA_URL")
    if not root or not isinstance(root, str | PurePosixPath):
        return
    where = settings.where("MEDIA_ROOT")
    path = _path(root, place)
    if path is None or not within(place.source, path):
        found.losses.append(
            Loss(
                f"MEDIA_ROOT = {root} is outside the app's folder",
                where,
                "add a volume for it to the services in the stack's compose.yml",
            )
        )
        return
    folder = seen_from(place.workdir, path)
    found.facts["API_MEDIA"] = folder
    found.evidence.append((f"uploads in {folder}", where))
    if (address := _address(url)) is not None:
        found.facts["API_MEDIA_URL"] = address


def _path(root: Any, place: Place) -> str | None:
    """Return a folder of the settings as seen from the repository; a relative one is the app's."""
    if not str(root).startswith("/"):
        return join(place.workdir, str(root))
    return repository_path(root)


def _seen(root: Any, place: Place) -> str:
    path = _path(root, place)
    return str(root) if path is None else seen_from(place.workdir, path)


def _address(url: Any) -> str | None:
    """Return an address on this site as nginx takes it: `/static/`."""
    if not isinstance(url, str):
        return None
    url = re.sub(r"^https?://(localhost|127\.0\.0\.1)(:\d+)?(?=/)", "", url)
    if "://" in url or url.startswith("//") or not url.strip("/"):
        return None
    return f"/{url.strip('/')}/"


def build_environment(
    reads: Mapping[str, list[Read]],
    files: Iterable[str],
    sorted_: Sorted,
    found: Static,
    module: str,
    lock: Lock,
    needed: frozenset[str],
) -> str:
    """Return the variables with which the build step can import the app: harmless words."""
    values: dict[str, str] = {}
    if module:
        values["DJANGO_SETTINGS_MODULE"] = module
    production = sorted_.environment("prod")
    for name, every in reads.items():
        required = [read for read in every if read.is_required and read.path in needed]
        if required and not is_ours(name):
            known = production.get(name, "")
            simple = re.fullmatch(r"[\w.:/@,+-]+", known)
            values[name] = known if simple else harmless(required[0])
    for name, value in found.environment.items():
        # Static files are production's, whatever else a step was run with.
        if "$" not in value and not (module and name == "DJANGO_SETTINGS_MODULE"):
            values[name] = value
    if found.command.startswith(("flask ", "sh -c 'flask ")) and "FLASK_APP" in production:
        values["FLASK_APP"] = production["FLASK_APP"]
    return " ".join(
        f"{name}={shlex.quote(value) if value else ''}" for name, value in values.items()
    )
