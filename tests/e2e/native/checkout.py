"""A copy of the checkout whose services are processes of this machine, and who may run them."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.e2e.support import ROOT, Checkout, User, eventually, myself

#: A machine whose docker, if there is one, reaches no engine.
NOBODY_ANSWERS: Final[Mapping[str, str]] = {"DOCKER_HOST": "unix:///nonexistent.sock"}
#: What runs until it is stopped.
SERVICES: Final = ("api", "app", "postgres", "redis", "scheduler")
_ENVIRONMENTS: Final = ("dev", "test")


@dataclass(frozen=True)
class NativeCheckout(Checkout):
    """A copy whose services are reached through the files that their monitors keep."""

    def state(self, environment: str = "dev") -> Path:
        """Return the folder of all that an environment keeps."""
        return self.root / ".gangway" / "native" / self.project(environment)

    def folder(self, service: str, environment: str = "dev") -> Path:
        """Return the folder that a service's monitor keeps."""
        return self.state(environment) / "services" / service

    def seen(self, service: str, environment: str = "dev") -> dict[str, Any]:
        """Return what a service's monitor knows of it; nothing where there was none."""
        try:
            text = (self.folder(service, environment) / "state.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        found: dict[str, Any] = json.loads(text)
        return found

    def held(self, service: str, environment: str = "dev") -> bool:
        """Say whether a monitor, or a process of the service, holds the service's lock."""
        try:
            file = (self.folder(service, environment) / "lock").open("rb")
        except FileNotFoundError:
            return False
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def healthy(self, *services: str, environment: str = "dev") -> bool:
        """Say whether the services (all for none named) run and their health checks pass."""
        return all(
            self.held(name, environment) and self.seen(name, environment).get("health") == "healthy"
            for name in services or SERVICES
        )

    def pids(self, environment: str = "dev") -> dict[str, tuple[int, int]]:
        """Return the process and the monitor of each service that runs."""
        found = {}
        for name in SERVICES:
            if self.held(name, environment):
                seen = self.seen(name, environment)
                found[name] = (int(seen["pid"]), int(seen["monitor"]))
        return found

    def processes(self, under: Path | None = None) -> dict[int, str]:
        """Return each process that works in the checkout, or has something of it open."""
        top = str(under or self.root)
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (process / "cmdline").read_bytes().decode(errors="replace")
                links = [process / "cwd", *(process / "fd").iterdir()]
                if top in words or any(_target(link).startswith(top) for link in links):
                    found[int(process.name)] = words.replace("\0", " ")
        return found

    def of(self, service: str) -> dict[int, str]:
        """Return the processes of a service, its monitor among them."""
        return self.processes(self.folder(service) / "lock")

    def kill(self, pid: int) -> None:
        """Kill one process of the checkout: never one whose number has gone to another."""
        assert pid in self.processes(), f"{pid} isn't of this checkout"
        os.kill(pid, signal.SIGKILL)

    def kill_all(self) -> None:
        """Kill everything that runs in the checkout, all at once."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self.processes(), within=10, what="all killed")

    def dump(self) -> str:
        """Return what was run, and each service's state and last log lines, for a report."""
        parts = ["\n".join(self.history[-5:])]
        for folder in sorted((self.root / ".gangway" / "native").glob("*/services/*")):
            seen = _text(folder / "state.json")
            log = "\n".join(_text(folder / "log").splitlines()[-15:])
            parts.append(f"--- {folder.parents[1].name} {folder.name}: {seen}\n{log}")
        return "\n".join(parts)

    def remove(self) -> None:
        """Take everything of this checkout down, data too; nothing may be left of it."""
        for environment in _ENVIRONMENTS:
            self.invoke(f"{environment}.down", "--engine", "native", "--volumes", "--yes")
        left = self.processes()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert not left, left


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@functools.cache
def ordinary() -> User:
    """Return a user who isn't root and has a name, with a Python that has what the tasks need.

    Oneself, unless one is root: root's own Python may be closed to others. What is made for that
    stays until the tests end.
    """
    if os.getuid() != 0:
        return myself()
    nobody = pwd.getpwnam("nobody")
    user = User(nobody.pw_uid, nobody.pw_gid, (), (_python_for(nobody.pw_uid),))
    environ = {"PATH": f"{Path(user.python[0]).parent}:/usr/local/bin:/usr/bin:/bin"}
    return User(user.uid, user.gid, (), user.python, environ)


def _python_for(uid: int) -> str:
    for base in ("/usr/bin/python3", getattr(sys, "_base_executable", sys.executable)):
        probe = [base, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        with suppress(OSError, subprocess.CalledProcessError):
            subprocess.run(probe, check=True, capture_output=True, cwd="/", user=uid)
            break
    else:
        raise AssertionError(f"no Python that the user {uid} may run")
    venv = _folder() / "venv"
    uv = str(Path(sys.executable).with_name("uv"))
    locks = [word for name in ("tasks", "native") for word in ("-r", f"requirements/{name}.txt")]
    # Copied, so that no file of root's cache gets another owner or mode.
    environment = os.environ | {"UV_LINK_MODE": "copy"}
    for words in (
        ["venv", "--python", base, str(venv)],
        ["pip", "install", "--python", f"{venv}/bin/python", "--require-hashes", *locks],
    ):
        subprocess.run([uv, *words, "--quiet"], check=True, cwd=ROOT, env=environment)
    return f"{venv}/bin/python"


@functools.cache
def _folder() -> Path:
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="gangway-e2e-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
