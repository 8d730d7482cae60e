"""What a worker does with a job: from wherever the last one left it, to its end."""

import logging
import time
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError

from jobs import progress, rendering, reports
from jobs.models import Mode, Report, Step
from jobs.stopping import STOPPING

log = logging.getLogger(__name__)


class Stopped(Exception):
    """The worker has to stop before the job has ended."""


def run(job_id: UUID) -> None:
    """Do a job, or what is left of it."""
    claim = progress.claim(job_id)
    if claim is None:
        return
    try:
        with progress.kept(claim):
            _run(claim)
    except progress.Superseded as reason:
        log.warning("%s", reason)
    except Stopped:
        progress.put_back(claim)
        raise
    except (OperationalError, InterfaceError) as error:
        # The database is away. The lease runs out, and whoever finds the job then goes on with it.
        log.error("job %s is left as it is: %s", job_id, error)  # noqa: TRY400
    except Exception:
        log.exception("job %s failed", job_id)
        progress.fail(claim, "an error of ours; the worker's log has it")


def _run(claim: progress.Claim) -> None:
    request = claim.request
    for position in range(claim.done, len(request.habits)):
        _pause(settings.ENV.step_seconds)
        progress.step(claim, position, reports.figures(request.habits[position], request))
    steps = list(
        Step.objects.filter(job_id=claim.id).order_by("position").values_list("figures", flat=True)
    )
    result = reports.summary(steps, request)
    if claim.mode == Mode.DETAILED and not Report.objects.filter(job_id=claim.id).exists():
        _pause(0)
        _render(claim, reports.page(result))
    progress.finish(claim, result)


def _render(claim: progress.Claim, page: str) -> None:
    try:
        content = rendering.pdf(page)
    except rendering.Unrendered as reason:
        progress.note(claim, f"The report is plain: {reason}.")
    else:
        progress.rendered(claim, rendering.MEDIA_TYPE, content)


def _pause(seconds: float) -> None:
    """Wait; raise Stopped as soon as the worker has no more time."""
    until = time.monotonic() + seconds
    while True:
        if STOPPING.overdue():
            raise Stopped
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, 0.1))
