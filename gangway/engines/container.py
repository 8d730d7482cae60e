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
