"""Letting requests wait, or turning them away, while something is done to production."""

from __future__ import annotations

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.operations import calls
from gangway.operations.project import Project


def pause(project: Project, seconds: float) -> None:
    """Have every new request wait so many seconds at most, or be answered 503 at once for 0.

    What is open goes on. Raises GangwayError where no proxy runs.
    """
    if seconds < 0:
        raise GangwayError("--seconds is less than 0", fix=f"invoke {project.name}.pause")
    _front(project, "pause", f"{seconds:g}" if seconds else "503")
    how = f"wait for {seconds:g} s, then get 503" if seconds else "get 503"
    say(f"{project.name} is paused: requests {how}, until invoke {project.name}.resume")


def resume(project: Project) -> None:
    """Let requests through again, those that wait first."""
    _front(project, "resume")
    say(f"{project.name} goes on")


def _front(project: Project, *words: str) -> None:
    found = calls.answering(project)
    if project.dry_run:
        project.announce("exec", "nginx", "front", *words)
        return
    found.engine.production.front(words)
