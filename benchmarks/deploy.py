"""Deploys under load: what a client notices of them, here and by how others do it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import changes, peers, trial
from benchmarks.bench import Samples
from benchmarks.ours import Ours
from benchmarks.peers import Way
from benchmarks.rows import Row, none, seconds
from benchmarks.shipped import NOTICED, Shipped
from benchmarks.steady.count import Histogram
from benchmarks.trial import GOOD, STEADY, Outcome

#: Requests a second: what two cores serve beside a build and starting containers.
RATE = 200.0
#: What a full run has: so many runs, with so many requests and seconds of peace before.
FULL, REQUESTS, PEACE = 5, 300_000, 60.0
#: Deploys of ours in a run; good and bad in turn.
DEPLOYS = 4
DEPLOYED = (GOOD, *changes.BAD)


@dataclass
class Found:
    """What was measured."""

    rows: list[Row]
    section: list[str]


def measure(runs: int) -> Found:
    """Measure it all; fewer than FULL runs are a try, with fewer deploys and requests."""
    full = runs >= FULL
    kinds = DEPLOYED if full else DEPLOYED[:2]
    ours, mine = _ours(runs)
    others = [_peer(way, kinds) for way in peers.WAYS]
    rows = _rows(ours, mine, full=full)
    for row in rows:
        row.show()
    return Found(rows, _section(rows, [ours, *others], runs))


def _shipped(name: str, measured: Callable[[Shipped], Outcome]) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="gangway-bench-") as folder:
        shipped = Shipped.made(Path(folder), f"gangway-bench-{name}")
        try:
            return measured(shipped)
        finally:
            shipped.remove()


def _ours(runs: int) -> tuple[Outcome, Ours]:
    bad = [changes.BAD[number % len(changes.BAD)] for number in range(DEPLOYS * runs // 2)]
    kinds = [kind for each in bad for kind in (GOOD, each)]
    ways: list[Ours] = []

    def measured(shipped: Shipped) -> Outcome:
        ours = Ours(shipped)
        ways.append(ours)
        began = time.monotonic()

        def rest(_: int) -> trial.Step:
            # The last part of the requests, in peace.
            wanted = REQUESTS * 1.01 / RATE if runs >= FULL else 0.0
            time.sleep(max(0.0, began + wanted - time.monotonic()))
            return trial.Step(STEADY, time.monotonic() - began)

        moves = [*trial.deploys(shipped, ours, kinds), *ours.others(), (STEADY, rest)]
        return trial.run(shipped, ours, moves, (RATE, PEACE if runs >= FULL else PEACE / 3))

    return _shipped("ours", measured), ways[0]


def _peer(way: Callable[[Shipped], Way], kinds: Sequence[str]) -> Outcome:
    def measured(shipped: Shipped) -> Outcome:
        other = way(shipped)
        return trial.run(shipped, other, trial.deploys(shipped, other, kinds), (RATE, PEACE / 3))

    return _shipped(getattr(way, "__name__", "peer").lower(), measured)


def _rows(found: Outcome, ours: Ours, *, full: bool) -> list[Row]:
    def took(*kinds: str) -> Samples:
        return Samples(tuple(step.seconds for step in found.steps if step.kind in kinds))

    sent = f" of {found.sent}"
    events = found.total("streams", ["events"])
    deploys = len([step for step in found.steps if step.kind in DEPLOYED])
    steady = found.latencies(STEADY).percentile(0.99)
    parts = {
        "p99 while a release is deployed, and steady": True,
        "p99 while it is built on the same two cores, and steady": False,
    }
    enough = found.sent >= REQUESTS or not full
    goal = f"none of at least {REQUESTS:,}" if full else "none"
    failed = found.failed() + found.report["unsent"]
    cut = ("cut", "failed", "ended:")
    rows = [
        Row(
            f"failed requests: {deploys} deploys, a rollback, scale 1 → 5 → 1, a restart, a "
            "certificate, a secret",
            f"{failed}{sent}", "", goal, failed == 0 and enough,
        ),
        none(
            "acknowledged writes lost", len(found.writes.lost), f" of {found.writes.acknowledged}"
        ),
        none("events lost", found.total("streams", ["lost"]), f" of {events}"),
        none("events doubled", found.total("streams", ["doubled"])),
        none("streams that broke off or were refused", found.total("streams", cut)),
        none("messages of WebSockets lost", found.total("sockets", ["lost"])),
        none("WebSockets that broke off or were refused", found.total("sockets", cut)),
        *(_slower(what, found.latencies(*DEPLOYED, made=it), steady) for what, it in parts.items()),
        seconds("a good deploy, sources to all of the old ended", took(GOOD), 15.0),
        seconds("a rollback", took("rollback"), 5.0),
    ]  # fmt: skip
    if ours.back:
        back = Samples(tuple(ours.back))
        worst = max(back.values)
        what = "a bad one fully back, after its failure is known"
        rows.append(Row(what, str(back), "", "at most 20 s", worst <= 20))
    named = {
        "scale 1 to 5": "scale 1 → 5", "scale 5 to 1": "scale 5 → 1",
        "rolling restart": "a restart of every service that keeps no data",
        "certificate": "a new certificate, from its file to who connects",
        "secret": "a new password of the database (`prod.rotate`)",
    }  # fmt: skip
    rows += [Row(what, str(took(kind)), "", "", met=True) for kind, what in named.items()]
    return rows


def _slower(what: str, found: Histogram, steady: float) -> Row:
    during = found.percentile(0.99)
    ratio = during / steady
    measured = f"{during * 1e3:.0f} ms, {steady * 1e3:.0f} ms"
    return Row(what, measured, f"{ratio:.2f} ×", "at most 1.5 × steady", ratio <= 1.5)


def _section(rows: Sequence[Row], outcomes: Sequence[Outcome], runs: int) -> list[str]:
    ours = outcomes[0]
    late = max(each["client_late_ms"]["p99"] for each in ours.of())
    columns = [GOOD, *changes.BAD]
    names = {
        "exits": "exits at start", "unhealthy": "never healthy",
        "migration": "migration fails", "wrong": "healthy, wrong answers",
    }  # fmt: skip
    short = "" if runs >= FULL else "A short run for trying. "
    return [
        (
            f"{short}{RATE:g} requests a second over 32 connections, 30 % of them writes, 50 "
            "streams of events and 20 WebSockets, by TLS through the proxy of the core stack on "
            "this machine, which runs the builds and the client as well "
            "(`benchmarks/steady`: open loop, nothing repeated, latency from when a request was "
            f"due; its own delay: p99 {late:g} ms at most)."
        ),
        "",
        "| what | measured | | goal | met |",
        "|---|---|---|---|---|",
        *(f"| {r.what} | {r.measured} | {r.ratio} | {r.goal} | {r.verdict} |" for r in rows),
        "",
        (
            "The same load over other ways of deploying the same releases, in the same run: failed "
            "requests of a deploy, mean (the algorithms of docker-rollout and Kamal in a few lines "
            f"of ours: `benchmarks/peers.py`). A bad release that nobody notices is undone after "
            f"{NOTICED:g} s by a deploy of the one before."
        ),
        "",
        f"| | {GOOD} | {' | '.join(names.values())} | streams cut | WebSockets cut | lost writes |",
        f"|---{'|---' * (len(columns) + 3)}|",
        *(_line(each, columns) for each in outcomes),
    ]


def _line(outcome: Outcome, kinds: Sequence[str]) -> str:
    cells = []
    for kind in kinds:
        number = sum(step.kind == kind for step in outcome.steps)
        cells.append(f"{outcome.failed(kind) / number:.0f}" if number else "")
    cut = [outcome.total(of, ["cut"]) for of in ("streams", "sockets")]
    cells += [*map(str, cut), str(len(outcome.writes.lost))]
    return f"| {outcome.name} | {' | '.join(cells)} |"
