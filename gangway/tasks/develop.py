"""Development only: a debugger, a profiler."""

from __future__ import annotations

from typing import Annotated as A

from gangway.operations.project import Project
from gangway.tasks.options import Option, Service


def debug(
    project: Project,
    service: Service,
    wait: A[bool, Option("start the program only once a debugger has attached", "w")] = False,
    off: A[bool, Option("restart it without the debugger")] = False,
    ports: A[str, Option("auto: move to free ports where these are taken", "p")] = "",
) -> None:
    """Let a debugger attach to a Python service, on port 5678; it reconnects after each reload."""
    from gangway.operations import debug

    debug.debug(project, debug.DebugOptions(service, wait=wait, off=off, ports=ports))


def profile(
    project: Project,
    service: Service,
    seconds: A[int, Option("how long to look")] = 10,
) -> None:
    """Record what a running Python service does, as a flame graph (an SVG)."""
    from gangway.operations import profiling

    profiling.profile(project, service, seconds=seconds)
