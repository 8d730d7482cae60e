"""One way of changing what runs, under load: good releases, bad ones and whatever else it can."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks import changes
from benchmarks.bench import Failed
from benchmarks.peers import Way
from benchmarks.shipped import NOTICED, Shipped
from benchmarks.steady import driver
from benchmarks.steady.count import Histogram

#: Seconds of load after a change, which what fails because of it belongs to, and before the next.
PAUSE = 4.0
GOOD, STEADY = "good", "steady"
#: How the name of a phase ends that begins once a deploy has made its release.
MADE = "made"


@dataclass
class Step:
    """What one change came to."""

    kind: str
    seconds: float
    """Until the command ended."""
    noticed: bool = False
    """Whether the command itself said that it failed."""
    undone: float = 0.0
    """Seconds that undoing a bad one by hand took."""


Move = tuple[str, Callable[[int], Step]]
"""Something to do under load: its kind, and what does it, given its number."""


@dataclass
class Outcome:
    """What came of all of them."""

    name: str
    steps: list[Step]
    report: dict[str, Any]
    writes: driver.Writes
    phases: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Tell the phases by what was done in them."""
        self.phases = [(each["name"].split()[0], each) for each in self.report["phases"]]

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """Return the phases of these kinds, or all."""
        return [each for kind, each in self.phases if not kinds or kind in kinds]

    def failed(self, *kinds: str) -> int:
        """Return the failed requests in the phases of these kinds, or in all."""
        return sum(each["failed"] for each in self.of(*kinds))

    def latencies(self, *kinds: str, made: bool | None = None) -> Histogram:
        """Return the latencies in the phases of these kinds: with the release made, before, all."""
        return Histogram.of(
            each for each in self.of(*kinds) if made is None or each["name"].endswith(MADE) is made
        )

    def total(self, of: str, names: Iterable[str]) -> int:
        """Return a sum over `streams` or `sockets` of the counts that begin with these words."""
        counts: Counter[str] = Counter()
        for _, each in self.phases:
            counts.update(each[of])
        words = tuple(names)
        return sum(count for name, count in counts.items() if name.startswith(words))

    @property
    def sent(self) -> int:
        """Return how many requests there were."""
        return int(self.report["ok"] + self.report["failed"])


def run(shipped: Shipped, way: Way, moves: Sequence[Move], load: tuple[float, float]) -> Outcome:
    """Start it, load it, make each move in turn, and compare the writes.

    `load` is requests a second, and the seconds that it is left in peace before.
    """
    way.start()
    rate, steady = load
    plan = shipped.plan(rate)
    steps = []
    with driver.running(plan) as client:
        # Connections, streams and WebSockets are made.
        time.sleep(PAUSE)
        client.phase(STEADY)
        time.sleep(steady)
        for number, (kind, move) in enumerate(moves, 1):
            client.phase(f"{kind} {number}")
            way.made = partial(client.phase, f"{kind} {number} {MADE}")
            steps.append(move(number))
            print(f"  {way.name}: {kind} {number}, {steps[-1].seconds:.1f} s", flush=True)
            time.sleep(PAUSE)
            client.phase(STEADY)
            time.sleep(PAUSE)
        report = client.stop()
    return Outcome(way.name, steps, report, shipped.writes(plan))


def deploys(shipped: Shipped, way: Way, kinds: Iterable[str]) -> list[Move]:
    """Return the deploys of a release of each kind."""
    return [(kind, _deploy(shipped, way, kind)) for kind in kinds]


def _deploy(shipped: Shipped, way: Way, kind: str) -> Callable[[int], Step]:
    def good(number: int) -> Step:
        shipped.write(changes.good(number))
        began = time.monotonic()
        way.deploy()
        shipped.settle()
        return Step(kind, time.monotonic() - began)

    def bad(number: int) -> Step:
        shipped.write(changes.bad(kind, number))
        began, noticed = time.monotonic(), False
        try:
            way.deploy()
        except Failed:
            noticed = True
        step = Step(kind, time.monotonic() - began, noticed)
        if not noticed:
            time.sleep(NOTICED)
        shipped.restore()
        if not (noticed and way.undoes):
            began = time.monotonic()
            way.deploy()
            step.undone = time.monotonic() - began
        return step

    return good if kind == GOOD else bad
