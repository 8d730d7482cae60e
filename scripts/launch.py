"""Run an ordinary command line inside this process where it is a Python program.

A fork that has imported a library already starts a program that uses it in a fraction of the time.
The command sees what it would see as a process of its own: its arguments, its ``sys.path``, the
name ``__main__``.
"""

from __future__ import annotations

import atexit
import gc
import os
import runpy
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

_HERE = os.path.dirname(os.path.abspath(__file__))
_INTERPRETERS = {"python", "python3"}


def forget_ourselves() -> None:
    """Make sure that our own modules are not found in place of the application's."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name != "__main__" and file and os.path.dirname(os.path.abspath(file)) == _HERE:
            del sys.modules[name]


def run(command: Sequence[str]) -> NoReturn:
    """Run ``command`` and end with it; what is not Python replaces us."""
    forget_ourselves()
    # Looking for garbage one last time takes 0.2 s or more with large libraries in memory.
    atexit.register(gc.freeze)
    _run(command)
    raise SystemExit(0)


def _run(command: Sequence[str]) -> None:
    program, *arguments = command
    if program in _INTERPRETERS and arguments[:1] == ["-m"] and len(arguments) > 1:
        sys.path.insert(0, os.getcwd())
        sys.argv = [arguments[1], *arguments[2:]]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return
    if program in _INTERPRETERS and arguments and not arguments[0].startswith("-"):
        script, arguments = arguments[0], arguments[1:]
    else:
        script = _own_script(program)
    if not script:
        replace(command)
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def _own_script(program: str) -> str:
    """Return the path of ``program`` where it is a script of this very environment, else ""."""
    found = shutil.which(program)
    if not found or not Path(found).parent.samefile(Path(sys.executable).parent):
        return ""
    with Path(found).open("rb") as file:
        first, second = file.readline(256), file.readline(256)
    # An interpreter with a long path, or a blank in it, is named below a shell's first line.
    named = b"python" in first or second.startswith(b"'''exec' ")
    return found if first.startswith(b"#!") and named else ""


def replace(command: Sequence[str]) -> NoReturn:
    """Become ``command``; status 127 where there is none of that name."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        raise SystemExit(127 if isinstance(error, FileNotFoundError) else 126) from None
