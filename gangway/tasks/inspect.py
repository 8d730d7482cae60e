"""Looking at a stack."""

from __future__ import annotations

from typing import Annotated as A

from gangway.operations.project import Project
from gangway.tasks.options import After, Option, Services


def ps(project: Project) -> int:
    """List the containers with their state and health, and what somebody should see to."""
    from gangway.operations import inspect

    return inspect.ps(project)


def logs(
    project: Project,
    *services: Services,
    follow: A[bool, Option("go on showing new lines", "f")] = False,
    since: A[str, Option("from a time (2026-01-31T12:00:00) or an age (10m)")] = "",
    tail: A[str, Option("this many last lines of each service")] = "",
) -> int:
    """Show the logs of all services, or of those named."""
    from gangway.operations import inspect

    return inspect.logs(project, inspect.LogOptions(services, follow, since, tail))


def stats(
    project: Project,
    *services: Services,
    follow: A[bool, Option("go on showing", "f")] = False,
) -> int:
    """Show what the containers use of processor, memory, network and disk."""
    from gangway.operations import calls

    calls.check_services(project, services)
    return calls.run(project, "stats", *([] if follow else ["--no-stream"]), *services)


def urls(project: Project) -> None:
    """List the URLs that the environment publishes."""
    from gangway.operations import inspect

    inspect.urls(project)


def env(project: Project) -> None:
    """Show every variable with its value and where that comes from; secrets are masked."""
    from gangway.operations import inspect

    inspect.variables(project)


def config(project: Project, *, after: After) -> int:
    """Print the merged Compose model; options after -- go to `docker compose config`."""
    from gangway.operations import inspect

    return inspect.config(project, after)


def graph(
    project: Project,
    mermaid: A[str, Option("write the text to this file instead of printing it", "m")] = "",
    svg: A[str, Option("write an SVG to this file; needs Graphviz")] = "",
) -> None:
    """Draw the stack as Mermaid text: services, what waits for what, ports, networks, volumes."""
    from gangway.operations.graph import pictures

    pictures.graph(project, mermaid_file=mermaid, svg_file=svg)
