"""Running PostgreSQL's programs: argument lists in, text out."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pwd
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from backup.errors import Failed

LINES = 5
"""How much of a program's complaints goes into an error."""


def run(
    argv: Sequence[str | Path], environment: Mapping[str, str] | None = None, text: str = ""
) -> str:
    """Run a program to its end with `text` as its input, and return what it wrote.

    `environment` is added to this process's own. Raises Failed with the program's last words for a
    status other than 0, and where there is no such program.
    """
    try:
        done = subprocess.run(
            argv, env=variables(environment), input=text, capture_output=True, text=True,
            errors="replace", check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise missing(argv[0]) from error
    if done.returncode:
        raise failed(argv[0], done.returncode, done.stderr)
    return done.stdout


def variables(added: Mapping[str, str] | None) -> dict[str, str]:
    """Return the environment of a program: messages in English, whatever the machine speaks."""
    return {**os.environ, "LC_MESSAGES": "C", **_named(), **(added or {})}


@functools.cache
def _named() -> dict[str, str]:
    """Give a user that the system has no name for one: initdb insists on that.

    By the library that PostgreSQL's images have for it.
    """
    user, group = os.geteuid(), os.getegid()
    with contextlib.suppress(KeyError):
        pwd.getpwuid(user)
        return {}
    library = next((str(path) for path in Path("/usr/lib").glob("*/libnss_wrapper.so")), "")
    if not library:
        return {}
    users = _written(f"postgres:x:{user}:{group}:PostgreSQL:/:/bin/false\n")
    return {
        "LD_PRELOAD": library,
        "NSS_WRAPPER_PASSWD": users,
        "NSS_WRAPPER_GROUP": _written(f"postgres:x:{group}:\n"),
    }


def _written(text: str) -> str:
    """Return a file with a text in it, which is there as long as this process is."""
    descriptor, path = tempfile.mkstemp(prefix="backup-")
    atexit.register(Path(path).unlink, missing_ok=True)
    with open(descriptor, "w") as file:  # noqa: PTH123 - it is open
        file.write(text)
    return path


def failed(program: str | Path, status: int, complaints: str) -> Failed:
    """Return the error for a program that ended with a status, by its last words."""
    last = [line for line in complaints.splitlines() if line.strip()][-LINES:]
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return Failed(f"{Path(program).name} {how}: {' | '.join(last) or 'it said nothing'}")


def missing(program: str | Path) -> Failed:
    """Return the error for a program that isn't there."""
    return Failed(
        f"there is no {Path(program).name} here",
        fix="build the image anew: invoke prod.rebuild backup",
    )
