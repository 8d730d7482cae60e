"""The load in a process of its own: start it, name its phases, stop it, read what it found."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.steady.client import Plan

ROOT = Path(__file__).resolve().parents[2]
#: Seconds that the last requests and the report may take.
ENDING = 30.0


@dataclass
class Load:
    """A run under way."""

    plan: Plan
    process: subprocess.Popen[str]
    report: dict[str, Any] = field(default_factory=dict)
    """The figures, once it has stopped."""

    def phase(self, name: str) -> None:
        """Count what is due from now on under this name."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"phase {name}\n")
        self.process.stdin.flush()

    def stop(self) -> dict[str, Any]:
        """End it and return the figures; again, and they are the same."""
        if not self.report:
            out, _ = self.process.communicate("stop\n", timeout=self.plan.seconds + ENDING)
            if self.process.returncode != 0:
                raise RuntimeError(f"the load ended with status {self.process.returncode}")
            self.report = json.loads(out)
        return self.report

    def of(self, phase: str) -> dict[str, Any]:
        """Return the figures of the first phase of this name."""
        return next(each for each in self.stop()["phases"] if each["name"] == phase)


@contextmanager
def running(plan: Plan) -> Iterator[Load]:
    """Load a server while the block lasts; it is stopped in the end, if nobody has done so."""
    words = [sys.executable, "-m", "benchmarks.steady", "--driven", plan.url]
    for each in dataclasses.fields(plan):
        value = getattr(plan, each.name)
        if each.name == "gets":
            words += [word for path in value for word in ("--get", path)]
        elif each.name not in ("url", "name") and value != "":
            words += [f"--{each.name}", str(value)]
    process = subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    load = Load(plan, process)
    try:
        yield load
        load.stop()
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@dataclass(frozen=True)
class Writes:
    """What the writes of a run came to."""

    acknowledged: int
    lost: dict[int, str]
    """Acknowledged, and not there under this id and name."""
    unknown: int
    unknown_there: int
    """Of those whose outcome nobody was told, so many were done."""
    twice: int


def writes(acks: Path, rows: Iterable[tuple[int, str]]) -> Writes:
    """Compare what was acknowledged with what the database has: its ids and names."""
    there = dict(rows)
    told: dict[int, str] = {}
    unknown: set[str] = set()
    with acks.open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["state"] == "acknowledged":
                told[entry["id"]] = entry["name"]
            else:
                unknown.add(entry["name"])
    names = list(there.values())
    lost = {key: name for key, name in told.items() if there.get(key) != name}
    return Writes(
        len(told), lost, len(unknown), len(unknown & set(names)), len(names) - len(set(names))
    )
