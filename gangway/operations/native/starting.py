"""Starting native services, watched as containers are."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence

from gangway.base import output
from gangway.engines.native import data
from gangway.engines.native.starting import Start
from gangway.engines.native.unenforced import unenforced
from gangway.engines.timeline import View
from gangway.operations import diagnosis
from gangway.operations.patience import Patience
from gangway.operations.project import Project, say

_TICK = 0.01


def up(
    project: Project,
    wanted: Sequence[str],
    *,
    timeout: float = 0.0,
    enough: Collection[str] = (),
    renew: bool = False,
) -> None:
    """Start what doesn't run as the model has it; return when all are ready.

    With `enough`, when those are and the others have started. `renew` starts all again. Raises
    GangwayError, after the service's last words, when one fails or `timeout` seconds pass (0: as
    long as something happens).
    """
    if data.is_in_memory(project.environment.kind, project.model):
        data.keep_in_memory(project.processes.data)
    start = Start(project.processes, project.model, wanted, enough=enough, renew=renew)
    note = unenforced(start.services, wanted)
    if note:
        say(note)
    try:
        _follow(start, project, timeout)
    except KeyboardInterrupt:
        diagnosis.interrupted(project)
        raise


def _follow(start: Start, project: Project, timeout: float) -> None:
    view = View(start.timeline, sys.stderr, output.state_colours(sys.stderr))
    patience = Patience(project, start.timeline, view, timeout, start.containers)
    while not start.ready():
        if start.step():
            patience.renew()
        view.update()
        if failed := start.timeline.failed():
            error = diagnosis.did_not_start(project, failed)
            start.check_disk()
            raise error
        if patience.is_over():
            raise patience.error()
        time.sleep(_TICK)
