"""PostgreSQL drivers, each in a folder of its own, and what a process that uses one holds."""

import contextlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

DRIVERS = ("asyncpg", "psycopg", "psycopg2", "pg8000")
LOCK = Path(__file__).with_name("requirements-drivers.txt")


def install(folder: Path, *, python: str = "") -> dict[str, Path]:
    """Install the drivers below `folder`, for this Python or for a version of it such as 3.13.

    Returns each driver's folder, for PYTHONPATH.
    """
    together = folder / "all"
    version = ["--python-version", python] if python else []
    subprocess.run(
        [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--require-hashes",
         "--no-build", "--python", sys.executable, *version, "--target", together, "-r", LOCK],
        check=True,
    )  # fmt: skip
    for driver in DRIVERS:
        others = [name for name in DRIVERS if name != driver]
        shutil.copytree(together, folder / driver, ignore=shutil.ignore_patterns(*others))
    shutil.rmtree(together)
    return {driver: folder / driver for driver in DRIVERS}


@dataclass(frozen=True)
class Held:
    """What processes hold, all together; `memory` in bytes."""

    threads: int
    files: int
    memory: int


def held(*pids: int) -> Held:
    """Return what the processes hold now; one that has ended holds nothing."""
    threads = files = memory = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            threads += _entries(f"/proc/{pid}/task")
            files += _entries(f"/proc/{pid}/fd")
            pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
            memory += pages * os.sysconf("SC_PAGE_SIZE")
    return Held(threads, files, memory)


def _entries(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())


def family(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(FileNotFoundError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                children = (thread / "children").read_text(encoding="ascii")
                found += [int(child) for child in children.split()]
    return found
