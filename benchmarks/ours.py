"""This project's own way of changing what runs: its tasks."""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import bench
from benchmarks.bench import Failed
from benchmarks.shipped import Shipped
from benchmarks.trial import Move, Step

#: Seconds that a release may take to be healthy.
PATIENCE = 20.0
_TAKEN_BACK = re.compile(r"^\s+taken back\s+([\d.]+) s$")


class Ours:
    """`invoke prod.deploy` and its like."""

    name, undoes = "`invoke prod.deploy`", True

    def __init__(self, shipped: Shipped) -> None:
        self._shipped = shipped
        self.back: list[float] = []
        """Seconds from when a failure was known to the end of the task."""
        self.made: Callable[[], None] = lambda: None

    def _task(self, *words: str) -> None:
        """Run a task; raises Failed with what it said."""
        program, checkout = str(Path(sys.executable).with_name("invoke")), self._shipped.checkout
        lines, known = [], 0.0
        with subprocess.Popen(
            [program, *words], cwd=checkout.path, env=checkout.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as running:  # fmt: skip
            for line in running.stdout or ():
                lines.append(line)
                if line.startswith("release "):
                    self.made()
                if found := _TAKEN_BACK.match(line):
                    known = time.monotonic() - float(found[1])
        if known:
            self.back.append(time.monotonic() - known)
        if running.returncode != 0:
            raise Failed(
                f"{' '.join(words)}: status {running.returncode}\n{''.join(lines)[-3000:]}"
            )

    def start(self) -> None:
        """Start the first release."""
        self._task("prod.up")

    def deploy(self) -> None:
        """Deploy the sources as they are."""
        self._task("prod.deploy", "--timeout", f"{PATIENCE:g}")

    def others(self) -> list[Move]:
        """Return what else changes what runs."""
        return [
            ("rollback", lambda _: self._timed("rollback", "prod.rollback")),
            ("up", lambda _: self._timed("scale 1 to 5", "prod.scale", "api=5")),
            ("down", lambda _: self._timed("scale 5 to 1", "prod.scale", "api=1")),
            ("restart", lambda _: self._timed("rolling restart", "prod.restart")),
            ("certificate", lambda _: self._certificate()),
            ("secret", lambda _: self._timed("secret", "prod.rotate", "postgres_password")),
        ]

    def _timed(self, kind: str, *words: str) -> Step:
        return Step(kind, bench.timed(lambda: self._task(*words)))

    def _certificate(self) -> Step:
        address = ("127.0.0.1", self._shipped.ports[1])
        before = ssl.get_server_certificate(address)
        began = time.monotonic()
        self._shipped.new_certificate()
        bench.until(lambda: ssl.get_server_certificate(address) != before)
        return Step("certificate", time.monotonic() - began)
