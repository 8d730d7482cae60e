"""Taking a stack down, with its data or without."""

from __future__ import annotations

import sys
import time

from gangway.base.output import confirm, say
from gangway.operations import calls, data_owner, majors, project_name
from gangway.operations.copies import branches
from gangway.operations.project import Project
from gangway.operations.start import StartOptions, up


def down(project: Project, *, volumes: bool, yes: bool) -> int:
    """Stop and remove the containers and networks; with `volumes` the data too, if confirmed."""
    with project.changing("down"):
        project = calls.answering(project)
        if volumes and not project.dry_run:
            names = project.model.volumes()
            if names:
                confirm(f"this deletes the data in {', '.join(names)}", yes=yes)
        status = take_down(project, *(["--volumes"] if volumes else []))
        if volumes and status == 0 and not project.dry_run:
            project_name.drop(project)
            data_owner.drop(project)
            branches.forget(project)
            majors.drop(project)
        return status


def take_down(project: Project, *flags: str) -> int:
    """Remove the containers and networks; the caller holds the lock and has asked what to ask."""
    tail = ("down", "--remove-orphans", *flags)
    if not project.announce(*calls.EVERYTHING, *tail):
        return 0
    began = time.monotonic()
    # Compose redraws its lines on a terminal; elsewhere a line for each step says too much.
    quiet = () if sys.stderr.isatty() else ("--progress", "quiet")
    status = project.engine.call(*calls.EVERYTHING, *quiet, *tail)
    if status == 0:
        say(f"{project.name} is down ({time.monotonic() - began:.1f} s)")
    return status


def reset(project: Project, *, yes: bool) -> int:
    """Delete the data after asking, and start again from an empty database."""
    status = down(project, volumes=True, yes=yes)
    if status == 0:
        up(project, StartOptions())
    return status
