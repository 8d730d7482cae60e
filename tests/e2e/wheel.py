"""The wheel, built from this checkout and installed where nothing else of it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.native.checkout import NOBODY_ANSWERS
from tests.e2e.support import ROOT, User

UV = Path(sys.executable).with_name("uv")


def run(*words: str | Path, cwd: Path) -> str:
    """Run a program to its end; return what it printed."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def installed() -> Iterator[Path]:
    """Build the wheel and install it, with what it asks for as we have it locked; the Python."""
    top = Path(tempfile.mkdtemp(prefix="gangway-wheel-"))
    run(UV, "build", "--quiet", "--wheel", "--out-dir", top, ROOT, cwd=top)
    (wheel,) = top.glob("*.whl")
    run(UV, "venv", "--quiet", "--python", sys.executable, top / "venv", cwd=top)
    python = top / "venv" / "bin" / "python"
    install = (UV, "pip", "install", "--quiet", "--python", python)
    locks = [word for name in ("tasks", "native") for word in ("-r", f"requirements/{name}.txt")]
    run(*install, "--require-hashes", *locks, cwd=ROOT)
    run(*install, "--no-deps", wheel, cwd=top)
    yield python
    shutil.rmtree(top)


def user(python: Path) -> User:
    """Return oneself with that Python, and with nothing of this checkout on PATH."""
    path = f"{python.parent}{os.pathsep}/usr/local/bin{os.pathsep}/usr/bin{os.pathsep}/bin"
    environ = {"PATH": path, "PYTHONPATH": ""}
    return User(os.getuid(), os.getgid(), tuple(os.getgroups()), (str(python),), environ)


def shell(engine: str) -> dict[str, str]:
    """Return the variables that choose an engine; without containers, none answers."""
    return {"GANGWAY_ENGINE": engine, **(NOBODY_ANSWERS if engine == "native" else {})}
