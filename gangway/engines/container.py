"""A container of a project, in words that every engine uses."""

from __future__ import annotations

from typing import NamedTuple


class Container(NamedTuple):
    """One container of a project as it is now."""

    id: str
    service: str
    state: str
    """created, running, restarting, paused, removing, exited or dead"""
    health: str
    """starting, healthy, unhealthy, or empty where there is no health check"""
    exit_code: int
    published: frozenset[int]
    started: float = 0.0
    """when it was last started, in seconds since the epoch"""
    out_of_memory: bool = False
    """whether its end was that it wanted more memory than its limit"""
