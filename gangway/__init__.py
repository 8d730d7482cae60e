"""Gangway: one stack, described once in Compose files, run in every environment.

The modules are nouns of the domain. Nothing here imports another module at package import, so
that a command which needs one of them pays for that one only.
"""

import sys

# Everything below needs what only such systems have: locks, groups of processes, owners of files.
if sys.platform == "win32":
    print(
        "error: Gangway doesn't run on Windows itself\n"
        "  fix: run it in WSL, where Docker Desktop's engine is reached as well: "
        "https://learn.microsoft.com/windows/wsl/install",
        file=sys.stderr,
    )
    raise SystemExit(2)

__version__ = "0.1.0"

# Invoke forbids Python to keep bytecode, and every task would compile these modules anew.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
