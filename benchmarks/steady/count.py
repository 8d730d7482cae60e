"""What is counted in one phase of a run, in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Failures of a phase that are kept with all that is known of them.
EXAMPLES = 20
_STEP = math.log(1.02)
_LEAST = 1e-4
_BUCKETS = 700


class Histogram:
    """Durations in seconds, each to within two percent, from 0.1 ms to 100 s."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.total = 0
        self.worst = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        bucket = int(math.log(max(seconds, _LEAST) / _LEAST) / _STEP)
        self._counts[min(bucket, _BUCKETS - 1)] += 1
        self.total += 1
        self.worst = max(self.worst, seconds)

    def merge(self, other: Histogram) -> None:
        """Count all of another's."""
        self._counts = [a + b for a, b in zip(self._counts, other._counts, strict=True)]
        self.total += other.total
        self.worst = max(self.worst, other.worst)

    def buckets(self) -> dict[int, int]:
        """Return the counts, for `of` to make them again: JSON makes texts of the keys."""
        return {bucket: count for bucket, count in enumerate(self._counts) if count}

    @classmethod
    def of(cls, phases: Iterable[Mapping[str, Any]]) -> Histogram:
        """Return the latencies of some phases' reports together."""
        found = cls()
        for phase in phases:
            for bucket, count in phase["buckets"].items():
                found._counts[int(bucket)] += count
                found.total += count
            found.worst = max(found.worst, phase["ms"]["worst"] / 1e3)
        return found

    def percentile(self, share: float) -> float:
        """Return what this share of them doesn't exceed; 0 where there are none."""
        wanted, seen = share * self.total, 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_LEAST * math.exp((bucket + 1) * _STEP), self.worst)
        return self.worst

    def summary(self) -> dict[str, float]:
        """Return the median, p99 and worst in milliseconds."""
        found = {"p50": self.percentile(0.5), "p99": self.percentile(0.99), "worst": self.worst}
        return {name: round(seconds * 1e3, 1) for name, seconds in found.items()}


@dataclass
class Phase:
    """All that was due in one part of a run; times are the client's own clock."""

    name: str
    began: float
    ended: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    """Requests that got the wished answer, by method."""
    failed: Counter[str] = field(default_factory=Counter)
    """Requests that didn't, by kind."""
    failed_by_method: Counter[str] = field(default_factory=Counter)
    streams: Counter[str] = field(default_factory=Counter)
    sockets: Counter[str] = field(default_factory=Counter)
    writes_unknown: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)
    latencies: dict[str, Histogram] = field(default_factory=dict)
    lag: Histogram = field(default_factory=Histogram)
    """How late the client itself was, with a connection free: far below the latencies, or else."""
    events_late: Histogram = field(default_factory=Histogram)
    last_done: float = 0.0
    gap: float = 0.0
    gap_at: float = 0.0

    def __post_init__(self) -> None:
        """Begin with no answer yet."""
        self.last_done = self.began

    def succeeded(self, method: str, latency: float, now: float) -> None:
        """Count a wished answer."""
        self.done[method] += 1
        self.latencies.setdefault(method, Histogram()).add(latency)
        if now - self.last_done > self.gap:
            self.gap, self.gap_at = now - self.last_done, self.last_done - self.began
        self.last_done = max(now, self.last_done)

    def failure(self, method: str, kind: str, detail: str, at: float) -> None:
        """Count a request that didn't end in the wished answer."""
        self.failed[kind] += 1
        self.failed_by_method[method] += 1
        if len(self.examples) < EXAMPLES:
            seconds = round(at - self.began, 3)
            self.examples.append({"at": seconds, "method": method, "kind": kind, "detail": detail})

    def report(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        every = Histogram()
        for each in self.latencies.values():
            every.merge(each)
        return {
            "name": self.name,
            "seconds": round((self.ended or self.last_done) - self.began, 2),
            "ok": self.done.total(),
            "ok_by_method": dict(self.done),
            "failed": self.failed.total(),
            "failed_by_kind": dict(self.failed),
            "failed_by_method": dict(self.failed_by_method),
            "writes_unknown": self.writes_unknown,
            "gap_s": round(self.gap, 3),
            "gap_at_s": round(self.gap_at, 2),
            "ms": every.summary(),
            "buckets": every.buckets(),
            **{f"{method}_ms": each.summary() for method, each in self.latencies.items()},
            "client_late_ms": self.lag.summary(),
            "streams": dict(self.streams),
            "events_late_ms": self.events_late.summary(),
            "sockets": dict(self.sockets),
            "examples": self.examples,
        }
