"""One service as a supervised local process: what it is made of, and how to reach its monitor."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gangway.base.errors import GangwayError

MONITOR: Final = Path(__file__).with_name("monitor.py")
# What a service gets of this process's own environment; all else is the model's.
INHERITED: Final = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TERM", "TZ", "USER", "SSL_CERT_FILE"}
)
_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZES: Final = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_DURATION: Final = re.compile(r"([\d.]+)(us|ms|s|m|h)")
# Seconds after a service's own grace period until it is given up.
_LAST_RESORT: Final = 3.0


def seconds(text: str | None, default: float) -> float:
    """Return a duration as Compose writes it (`1m30s`, `200ms`) in seconds."""
    found = _DURATION.findall(text or "")
    return sum(float(number) * _UNITS[unit] for number, unit in found) if found else default


def size(text: str | None, default: int) -> int:
    """Return a size as Compose writes it (`10m`) in bytes."""
    found = re.fullmatch(r"(\d+)([bkmg]?)b?", (text or "").lower())
    return int(found[1]) * _SIZES[found[2]] if found else default


def private(folder: Path) -> None:
    """Make a folder, and all that is missing above it, for this user alone."""
    if not folder.is_dir():
        private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


@dataclass(frozen=True)
class Place:
    """Where services run: the checkout, their state, and the programs they find first.

    `venvs` has the environment with a service's libraries, `variables` what all of them are told.
    """

    root: Path
    state: Path
    programs: tuple[Path, ...]
    shell: Mapping[str, str]
    venvs: Mapping[str, Path] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def folder(self, service: str) -> Path:
        """Return the folder of a service's state."""
        return self.state / "services" / service

    def environment(self, name: str, service: Mapping[str, Any]) -> dict[str, str]:
        """Return the variables of a service: an allow-list of this process's, then the model's."""
        kept = {
            key: value
            for key, value in self.shell.items()
            if key in INHERITED or key.startswith("LC_")
        }
        own_programs = [self.venvs[name] / "bin"] if name in self.venvs else []
        path = [*map(str, (*own_programs, *self.programs)), kept.get("PATH", os.defpath)]
        model = service.get("environment") or {}
        own = {key: value for key, value in model.items() if value is not None}
        given = {
            "TMPDIR": str(self.folder(name) / "tmp"),
            # For a server that comes as a library of ours.
            "GANGWAY_PYTHON": sys.executable,
            # As the official image says it.
            **({"PYTHON_VERSION": found} if (found := self._python(name)) else {}),
        }
        return {**kept, **given, **self.variables, **own, "PATH": os.pathsep.join(path)}

    def _python(self, name: str) -> str:
        """Return the version of the Python that a service's libraries are for, "" without any."""
        try:
            text = (self.venvs[name] / "pyvenv.cfg").read_text(encoding="utf-8")
        except (KeyError, OSError):
            return ""
        lines = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
        return lines.get("version_info") or lines.get("version", "")

    def directory(self, service: Mapping[str, Any]) -> Path:
        """Return a service's working directory; one in a bind mount is that folder here."""
        wanted = Path(service.get("working_dir") or ".")
        for mount in service.get("volumes") or ():
            if mount["type"] == "bind" and wanted.is_relative_to(mount["target"]):
                return Path(mount["source"]) / wanted.relative_to(mount["target"])
        return self.root / wanted

    def program(self, words: Sequence[str]) -> list[str]:
        """Return a command with a first word that has a slash seen from the checkout."""
        first, *rest = words
        return [str(self.root / first) if "/" in first else first, *rest]


def command(
    place: Place, name: str, service: Mapping[str, Any], words: Sequence[str] | None = None
) -> list[str]:
    """Return what a service runs: its entrypoint with `words`, or with its own command.

    Raises GangwayError for a service that nothing describes natively.
    """
    entrypoint = service.get("entrypoint")
    if not entrypoint:
        raise GangwayError(
            f"{name} has no native command",
            where="docker-compose.native.yml",
            fix=f"give {name} an entrypoint there, or a profile that isn't on (docs/native.md)",
        )
    own = service.get("command") or []
    return place.program([*entrypoint, *(own if words is None else words)])


def as_user(service: Mapping[str, Any]) -> list[str]:
    """Return the words before a command that make it see itself as the service's user.

    Only root can, and only by name: a user namespace in which the files stay root's own.
    """
    uid, _, gid = str(service.get("user") or "0").partition(":")
    if os.geteuid() != 0 or uid in ("0", "root") or not shutil.which("unshare"):
        return []
    return ["unshare", "--user", f"--map-user={uid}", f"--map-group={gid or uid}", "--"]


def spec(place: Place, name: str, service: Mapping[str, Any], *, build: str = "") -> dict[str, Any]:
    """Return what the monitor needs to know of a service; equal ones need no restart.

    `build` is what tells one set of installed dependencies from another.
    """
    stop = signal.Signals[service.get("stop_signal") or "SIGTERM"]
    # Without its monitor nobody would restart, probe or stop it.
    leash = ["setpriv", "--pdeathsig", stop.name.removeprefix("SIG"), "--"]
    logging = (service.get("logging") or {}).get("options") or {}
    return {
        "argv": [
            *as_user(service),
            *(leash if shutil.which("setpriv") else []),
            *command(place, name, service),
        ],
        "cwd": str(place.directory(service)),
        "environment": place.environment(name, service),
        "healthcheck": _healthcheck(place, service.get("healthcheck") or {}),
        "restart": service.get("restart") or "no",
        "stop_signal": int(stop),
        "stop_seconds": seconds(service.get("stop_grace_period"), 10.0),
        "log_bytes": size(logging.get("max-size"), 10 * 1024**2),
        "build": build,
        "depends_on": sorted(service.get("depends_on") or ()),
    }


def _healthcheck(place: Place, check: Mapping[str, Any]) -> dict[str, Any] | None:
    test = check.get("test") or ["NONE"]
    if check.get("disable") or test[0] == "NONE":
        return None
    words = ["sh", "-c", test[1]] if test[0] == "CMD-SHELL" else place.program(test[1:])
    interval = seconds(check.get("interval"), 30.0)
    return {
        "argv": words,
        "interval": interval,
        "timeout": seconds(check.get("timeout"), 30.0),
        "retries": int(check.get("retries") or 3),
        "start_period": seconds(check.get("start_period"), 0.0),
        "start_interval": seconds(check.get("start_interval"), interval),
    }


@dataclass(frozen=True)
class Supervised:
    """A service's monitor, as others reach it: through the files in its folder."""

    folder: Path

    @property
    def name(self) -> str:
        """The service's name."""
        return self.folder.name

    def runs(self) -> bool:
        """Say whether any process of the service, or its monitor, is there: by the lock alone.

        With the state, ask `seen`: what was read before or after may be of another moment.
        """
        try:
            lock = os.open(self.folder / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            # Shared: who looks at the same time is no service.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def read(self, file: str) -> dict[str, Any]:
        """Return a file of the folder; an empty one where it isn't there, or isn't whole."""
        try:
            found: dict[str, Any] = json.loads((self.folder / file).read_text())
        except (OSError, ValueError):
            return {}
        return found

    def seen(self) -> tuple[dict[str, Any], bool]:
        """Return the state, and whether the service runs: both of one moment.

        A monitor's last word comes before it lets go of the lock, and the state goes before the
        next monitor comes: a state that is the same before and after belongs to the lock between.
        """
        state = self.read("state.json")
        while True:
            runs = self.runs()
            again = self.read("state.json")
            if again == state:
                return state, runs
            state = again

    def launch(self, wanted: Mapping[str, Any]) -> subprocess.Popen[bytes]:
        """Start the monitor, which starts the service; `wanted` is its spec. See `begun`.

        Raises GangwayError where the folder can't be written.
        """
        try:
            private(self.folder / "tmp")
            (self.folder / "state.json").unlink(missing_ok=True)
            descriptor = os.open(
                self.folder / "spec.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600
            )
            with os.fdopen(descriptor, "w") as file:
                json.dump(wanted, file)
            if not (self.folder / "control").exists():
                os.mkfifo(self.folder / "control", 0o600)
        except OSError as error:
            raise GangwayError(
                f"cannot write it: {error.strerror}", where=str(self.folder), fix="df -h, ls -ld"
            ) from None
        return subprocess.Popen(
            [sys.executable, "-S", "-E", "-s", str(MONITOR), str(self.folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, cwd="/",
        )  # fmt: skip

    def begun(self, monitor: subprocess.Popen[bytes]) -> None:
        """Return once the monitor holds the lock, which its first word in state.json says.

        Raises GangwayError where it ends before that.
        """
        state = self.folder / "state.json"
        while not state.exists():
            # It may have said all that it had to say between the two looks.
            if monitor.poll() is not None and not state.exists():
                raise GangwayError(
                    f"the monitor of {self.name} ended with status {monitor.returncode}",
                    where=str(self.folder),
                    fix="is the disk full, or another up under way?",
                )
            time.sleep(0.002)
        # Whoever asks for its status later is init, not this process.
        monitor.returncode = 0

    def order(self, word: str) -> bool:
        """Send the monitor `stop` or `kill`; return whether there is one."""
        try:
            pipe = os.open(self.folder / "control", os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENOENT):
                return False
            raise
        with os.fdopen(pipe, "w") as file:
            file.write(f"{word}\n")
        return True

    def attended(self) -> bool:
        """Say whether there is a monitor: a service that has lost its own is on its way out."""
        return self.order("")

    def kill(self) -> None:
        """Kill what runs on without a monitor.

        The lock that its processes hold says that the group in the state is still theirs.
        """
        state, runs = self.seen()
        group = state.get("pid")
        if group and runs:
            try:
                os.killpg(int(group), signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                return


def stop(services: Sequence[Supervised], *, at_once: bool = False) -> None:
    """Stop services side by side and return when all have ended; `at_once` kills them.

    Raises GangwayError when one doesn't end even so.
    """
    word = "kill" if at_once else "stop"
    waiting: dict[Supervised, float] = {}
    told: set[Supervised] = set()
    for service in services:
        if service.runs():
            grace = 0.0 if at_once else float(service.read("spec.json").get("stop_seconds", 10.0))
            waiting[service] = time.monotonic() + grace + _LAST_RESORT
    while waiting:
        for service in waiting.keys() - told:
            # A monitor that has only just begun hears nothing yet; without one, the service has had
            # its signal already.
            if service.order(word):
                told.add(service)
        time.sleep(0.01)
        for service, deadline in list(waiting.items()):
            if not service.runs():
                del waiting[service]
            elif time.monotonic() > deadline + _LAST_RESORT:
                raise GangwayError(
                    f"{service.name} doesn't end, not even killed", where=str(service.folder)
                )
            elif time.monotonic() > deadline:
                service.kill()
