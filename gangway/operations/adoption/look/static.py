"""Static and media files of a Django site, and the steps of a build."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from gangway.operations.adoption.look.django import Settings, listed
from gangway.operations.adoption.look.gathered import Gathered
from gangway.operations.adoption.look.handing import Sorted, harmless
from gangway.operations.adoption.look.place import Place
from gangway.operations.adoption.look.reads import Read
from gangway.operations.adoption.look.shell import Command
from gangway.operations.adoption.look.tree import join, seen_from, within
from gangway.operations.adoption.look.values import UNKNOWN, repository_path
from gangway.operations.adoption.look.variable_names import is_ours

_COLLECT = "python manage.py collectstatic --no-input"


@dataclass
class Static:
    """The facts about static and media files, and the build step."""

    gathered: Gathered = field(default_factory=Gathered)
    command: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    """What an existing step sets for itself."""


def static_files(
    place: Place, settings: Settings | None, steps: Iterable[tuple[Command, str]]
) -> Static:
    """Return what is collected and uploaded; `steps` are those of an existing build."""
    result = Static()
    lines: dict[str, None] = {}
    for command, where in steps:
        text = _without_python3(command)
        if "collectstatic" in text:
            text = _COLLECT
        if text not in lines:
            result.gathered.saw(f"build step: {text}", where)
        lines[text] = None
        result.environment.update(command.environment)
    if settings is not None:
        _static(result.gathered, place, settings, lines)
        _media(result.gathered, place, settings)
    if lines:
        every = " && ".join(lines)
        result.command = every if len(lines) == 1 else f"sh -c {shlex.quote(every)}"
        result.gathered.facts["API_BUILD_COMMAND"] = result.command
    return result


def _without_python3(command: Command) -> str:
    words = list(command.words)
    if re.fullmatch(r".*python3?(\.\d+)?", words[0]):
        words[0] = "python"
        words[1:2] = [re.sub(r"^.*/manage\.py$", "manage.py", words[1])]
    return Command(tuple(words), {}).text


def _static(found: Gathered, place: Place, settings: Settings, lines: dict[str, None]) -> None:
    root, url = settings.get("STATIC_ROOT"), settings.get("STATIC_URL")
    if root is UNKNOWN and "STATIC_ROOT" in settings.names:
        lines[_COLLECT] = None
        found.lose(
            "where static files are collected can't be told",
            settings.where("STATIC_ROOT"),
            "name the folder in API_STATIC, seen from the working directory, and API_STATIC_URL",
        )
    elif not root or not isinstance(root, str | PurePosixPath):
        lines.pop(_COLLECT, None)
        if "django.contrib.staticfiles" in listed(settings.get("INSTALLED_APPS")):
            found.lose(
                "STATIC_ROOT isn't set: static files can't be collected for production",
                settings.where("INSTALLED_APPS"),
                'set STATIC_ROOT = BASE_DIR / "staticfiles"; then API_STATIC=staticfiles and'
                f' API_BUILD_COMMAND="{_COLLECT}"',
            )
    else:
        lines[_COLLECT] = None
        folder = _seen(root, place)
        found.saw(f"static files in {folder}", settings.where("STATIC_ROOT"))
        address = _address("/static/" if url is UNKNOWN else url)
        if address is None:
            what = f"STATIC_URL = {url!r} is elsewhere"
            found.lose(what, settings.where("STATIC_URL"), "upload them there as before")
        else:
            found.facts.update(API_STATIC=folder, API_STATIC_URL=address)


def _media(found: Gathered, place: Place, settings: Settings) -> None:
    root, url = settings.get("MEDIA_ROOT"), settings.get("MEDIA_URL")
    if not root or not isinstance(root, str | PurePosixPath):
        return
    where = settings.where("MEDIA_ROOT")
    path = _path(root, place)
    if path is None or not within(place.source, path):
        found.lose(
            f"MEDIA_ROOT = {root} is outside the app's folder",
            where,
            "add a volume for it to the services in the stack's compose.yml",
        )
        return
    found.facts["API_MEDIA"] = seen_from(place.workdir, path)
    found.facts["API_MEDIA_URL"] = _address(url) or ""
    found.saw(f"uploads in {found.facts['API_MEDIA']}", where)


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
    wanted: Sorted,
    found: Static,
    module: str,
    imported: frozenset[str],
) -> str:
    """Return the variables with which the build step can import the app: harmless words.

    `module` is Django's settings module, `imported` the files that it comes to import.
    """
    values: dict[str, str] = {}
    if module:
        values["DJANGO_SETTINGS_MODULE"] = module
    production = wanted.environment("prod")
    for name, every in reads.items():
        required = [read for read in every if read.is_required and read.path in imported]
        if required and not is_ours(name):
            known = production.get(name, "")
            simple = re.fullmatch(r"[\w.:/@,+-]+", known)
            values[name] = known if simple else harmless(required[0])
    # Static files are production's, whatever else a step was run with.
    own = {"DJANGO_SETTINGS_MODULE"} if module else set()
    steps = found.environment.items()
    values.update((name, value) for name, value in steps if "$" not in value and name not in own)
    if found.command.startswith(("flask ", "sh -c 'flask ")) and "FLASK_APP" in production:
        values["FLASK_APP"] = production["FLASK_APP"]
    return " ".join(
        f"{name}={shlex.quote(value) if value else ''}" for name, value in values.items()
    )
