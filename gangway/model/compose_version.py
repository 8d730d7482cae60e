"""Which Compose the `docker` command has: asked once for each plugin that is installed.

Asking takes a tenth of a second, as long as many a task.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.process import Runner
from gangway.settings import cache

_NAME: Final = "version of Compose"
# Where docker looks for its plugins, after the user's own folders.
_FOLDERS: Final = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
_PLUGINS: Final = ("docker-compose", "docker-compose.exe")

MINIMUM: Final = (2, 24, 4)
"""The first Compose with both !override and !reset."""


def version(text: str) -> tuple[int, int, int]:
    """Return the first three numbers of a version such as `v2.26.1-4`; zeros where none are."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if not found:
        return (0, 0, 0)
    major, minor, patch = found.groups(default="0")
    return (int(major), int(minor), int(patch))


def shown(numbers: Sequence[int]) -> str:
    """Return version numbers joined by dots."""
    return ".".join(str(number) for number in numbers)


def program(runner: Runner) -> list[str]:
    """Return the words that call a Compose which can merge the files; no daemon is needed.

    The system's own where it is new enough, else the wheel's. Raises GangwayError for neither.
    """
    there = shutil.which("docker", path=runner.environment.get("PATH"))
    if there and version(installed(runner)) >= MINIMUM:
        return ["docker", "compose"]
    wheel = Path(sysconfig.get_path("scripts")) / "docker-compose"
    if wheel.exists():
        return [str(wheel)]
    raise GangwayError(
        f"there is no Docker Compose {shown(MINIMUM)} or later here to merge the files",
        fix=f"{sys.executable} -m pip install 'gangway[native]', "
        "or the Compose plugin: https://docs.docker.com/compose/install/",
    )


def installed(runner: Runner) -> str:
    """Return the version of `docker compose` as it says it; empty where there is none.

    Raises GangwayError where there is no `docker`, or it doesn't answer in time.
    """
    plugin = answering("docker", runner.environment)
    if plugin and (before := cache.kept(runner.cwd, _NAME, plugin)):
        return str(before)
    done = runner.capture(["docker", "compose", "version", "--short"], timeout=30)
    if done.status != 0:
        return ""
    said = done.stdout.strip()
    if plugin:
        cache.keep(runner.cwd, _NAME, plugin, said)
    return said


def answering(program: str, environment: Mapping[str, str]) -> list[str | int]:
    """Return path, time and size of what answers where a program is called for Compose.

    That is the program, but for `docker` its plugin. Empty where it can't be found.
    """
    if program == "docker":
        paths = [folder / name for folder in _folders(environment) for name in _PLUGINS]
    else:
        paths = [Path(shutil.which(program, path=environment.get("PATH")) or program)]
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            return [str(path), status.st_mtime_ns, status.st_size]
    return []


def _folders(environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield the folders of docker's plugins: of two in them, docker takes the first."""
    own = Path(environment.get("DOCKER_CONFIG") or f"{environment.get('HOME', '')}/.docker")
    try:
        more = json.loads((own / "config.json").read_text()).get("cliPluginsExtraDirs") or ()
    except (OSError, ValueError, AttributeError):
        more = ()
    yield from map(Path, (*more, own / "cli-plugins", *_FOLDERS))
