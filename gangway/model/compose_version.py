"""Which Compose the `docker` command has: asked once for each one that is installed.

Asking takes a tenth of a second, as long as many a task. The answer is kept together with what
tells one installation from another: path, time and size of `docker` and of its plugin.
"""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.process import Runner
from gangway.settings import cache

_KEPT: Final = Path(".gangway") / "compose.json"
# Where docker looks for its plugins, after the user's own folder.
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
        fix=f"{sys.executable} -m pip install --require-hashes -r requirements-native.txt, "
        "or the Compose plugin: https://docs.docker.com/compose/install/",
    )


def installed(runner: Runner) -> str:
    """Return the version of `docker compose` as it says it; empty where there is none.

    Raises GangwayError where there is no `docker`, or it doesn't answer in time.
    """
    found = list(installation("docker", runner.environment))
    path = runner.cwd / _KEPT
    before = cache.read(path)
    if before.get("installation") == found and before.get("version"):
        return str(before["version"])
    done = runner.capture(["docker", "compose", "version", "--short"], timeout=30)
    if done.status != 0:
        return ""
    said = done.stdout.strip()
    # Without the plugin's own file (docker may be told of other folders) a change would go unseen.
    if len(found) > 1:
        cache.write(path, {"installation": found, "version": said})
    return said


def installation(program: str, environment: Mapping[str, str]) -> Iterator[list[str | int]]:
    """Yield path, time and size of a program, and for `docker` of each plugin it may mean."""
    own = environment.get("DOCKER_CONFIG") or f"{environment.get('HOME', '')}/.docker"
    found = shutil.which(program, path=environment.get("PATH"))
    folders = (f"{own}/cli-plugins", *_FOLDERS) if program == "docker" else ()
    plugins = (Path(folder) / name for folder in folders for name in _PLUGINS)
    for path in (*([Path(found)] if found else ()), *plugins):
        try:
            status = path.stat()
        except OSError:
            continue
        yield [str(path), status.st_mtime_ns, status.st_size]
