"""Stopwatch, checkout and HTTP for the measurements."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Failed(Exception):
    """A command that was to be measured failed; its output is the message."""


@dataclass(frozen=True)
class Samples:
    """Durations in seconds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        """Median with the range."""
        return f"{self.median:.2f} s ({min(self.values):.2f} to {max(self.values):.2f})"


@dataclass
class Checkout:
    """A copy of this checkout, so that the developer's own stacks and data stay untouched."""

    path: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    @classmethod
    def copied(cls, to: Path) -> Checkout:
        """Copy what git knows or would add."""
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (to / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, to / name)
        # Python keeps its bytecode unless told otherwise, and a user's machine doesn't tell it.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return cls(to, environment)

    def run(self, *argv: str, cwd: Path | None = None) -> str:
        """Run a command in the checkout; return all it wrote, raise Failed where it fails."""
        done = subprocess.run(
            argv, cwd=cwd or self.path, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Failed(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout[-3000:]}")
        return done.stdout

    def invoke(self, *argv: str) -> str:
        """Run a task."""
        return self.run(str(Path(sys.executable).with_name("invoke")), *argv)

    def invoke_until(self, line: re.Pattern[str], *argv: str) -> tuple[float, re.Match[str], float]:
        """Run a task; return seconds to the first line that matches, the match, and all seconds."""
        program = str(Path(sys.executable).with_name("invoke"))
        began, seen, said = time.monotonic(), None, []
        with subprocess.Popen(
            [program, *argv], cwd=self.path, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as running:  # fmt: skip
            for text in running.stdout or ():
                said.append(text)
                if seen is None and (found := line.search(text)):
                    seen = (time.monotonic() - began, found)
        if running.returncode != 0 or seen is None:
            raise Failed(f"{' '.join(argv)}: status {running.returncode}\n{''.join(said)[-3000:]}")
        return *seen, time.monotonic() - began

    def plain(self, environment: str, *args: str) -> list[str]:
        """Return the plain `docker compose` call that the tasks print for an environment."""
        out = self.invoke(f"{environment}.config", "--dry-run")
        return [*out.split(" config")[0].split(), *args]


def path_without(program: str, folder: Path, path: str) -> str:
    """Return a PATH like `path` where one program isn't found; `folder` holds links to the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    for directory in filter(None, path.split(os.pathsep)):
        for file in sorted(Path(directory).glob("*")):
            link = folder / file.name
            if file.name != program and not link.is_symlink():
                link.symlink_to(file)
    return str(folder)


def timed(work: Callable[[], object]) -> float:
    """Return how long `work` took, in seconds."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def sample(count: int, work: Callable[[], object], *, before: Callable[[], object]) -> Samples:
    """Time `work` `count` times, `before` each time untimed."""
    values = []
    for _ in range(count):
        before()
        values.append(timed(work))
    return Samples(tuple(values))


def get(url: str) -> str:
    """Return a page's text; an empty one while nothing answers properly."""
    with (
        contextlib.suppress(OSError, urllib.error.URLError),
        urllib.request.urlopen(url, timeout=5) as answer,
    ):
        return str(answer.read().decode())
    return ""


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return when a condition holds; it is looked at every 5 ms."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"still not so after {seconds:g} s")
        time.sleep(0.005)


def urls(listing: str) -> dict[str, str]:
    """Return service and URL of each line of `invoke X.urls`."""
    return dict(re.findall(r"^(\S+)\s+(\w+://\S+)$", listing, re.MULTILINE))


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def names(prefix: str, lines: Sequence[str]) -> list[str]:
    """Return the lines that begin with a prefix."""
    return [line for line in lines if line.startswith(prefix)]
