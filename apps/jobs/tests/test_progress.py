"""A job goes on, whichever workers are lost over it, and nothing happens to it twice."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from jobs import progress, work
from jobs.models import Event, Job, Mode, Status, Step
from jobs.stopping import Stopping


def kinds(job: Job) -> list[str]:
    found = Event.objects.filter(job=job).order_by("number")
    assert [event.number for event in found] == list(range(1, len(found) + 1))
    return [event.kind for event in found]


def lose(job: Job) -> None:
    """Do as if the worker that has the job had been killed a while ago."""
    Job.objects.filter(pk=job.pk).update(lease_until=Now() - timedelta(seconds=1))


def age(job: Job) -> None:
    """Do as if the broker had been told of the job a while ago."""
    Job.objects.filter(pk=job.pk).update(sent_at=Now() - progress.FORGOTTEN * 2)


def test_a_job_is_done_from_its_beginning_to_its_end(job: Job) -> None:
    work.run(job.pk)
    job.refresh_from_db()
    assert (job.status, job.done, job.lease_until) == (Status.FINISHED, 2, None)
    assert job.result["best"] == "Read" and job.finished_at
    assert kinds(job) == ["queued", "started", "progress", "progress", "finished"]


def test_a_message_too_many_changes_nothing(job: Job) -> None:
    work.run(job.pk)
    before = kinds(job)
    work.run(job.pk)
    assert kinds(job) == before


def test_what_a_live_worker_has_no_other_gets(job: Job) -> None:
    assert progress.claim(job.pk)
    assert progress.claim(job.pk) is None


def test_a_lost_workers_job_goes_on_where_it_was(job: Job) -> None:
    first = progress.claim(job.pk)
    assert first
    progress.step(first, 0, {"name": "Read", "kept": 3, "share": 0.3, "longest": 2, "streak": 0})
    lose(job)
    work.run(job.pk)
    assert kinds(job) == ["queued", "started", "progress", "resumed", "progress", "finished"]
    assert list(Step.objects.filter(job=job).values_list("position", flat=True)) == [0, 1]


def test_a_worker_that_was_given_up_can_change_nothing(job: Job) -> None:
    first = progress.claim(job.pk)
    assert first
    lose(job)
    second = progress.claim(job.pk)
    assert second and second.attempt == 2
    with pytest.raises(progress.Superseded):
        progress.step(first, 0, {})
    with pytest.raises(progress.Superseded):
        progress.finish(first, {})
    assert kinds(job) == ["queued", "started", "resumed"]


def test_a_job_that_kills_its_workers_is_given_up(job: Job) -> None:
    for _ in range(progress.MOST_LOSSES + 1):
        assert progress.claim(job.pk)
        lose(job)
    assert progress.claim(job.pk) is None
    job.refresh_from_db()
    assert job.status == Status.FAILED and "workers were lost" in job.message
    assert kinds(job)[-1] == "failed"


def test_a_lease_is_renewed_while_a_step_takes_long(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "RENEWAL", 0.02)
    claim = progress.claim(job.pk)
    assert claim
    with progress.kept(claim):
        lose(job)
        for _ in range(500):
            if progress.claim(job.pk) is None:
                break
        job.refresh_from_db()
    with progress.kept(claim):
        pass
    assert job.lease_until


def test_what_the_broker_forgot_is_found(job: Job) -> None:
    assert progress.forgotten(queue_empty=True) == [], "it was told a moment ago"
    age(job)
    assert progress.forgotten(queue_empty=False) == [], "it may still be in the queue"
    assert progress.forgotten(queue_empty=True) == [job.pk]
    assert progress.forgotten(queue_empty=True) == [], "it has just been told again"


def test_a_lost_workers_job_is_found_however_long_the_queue(job: Job) -> None:
    assert progress.claim(job.pk)
    age(job)
    assert progress.forgotten(queue_empty=True) == [], "its worker lives"
    lose(job)
    assert progress.forgotten(queue_empty=False) == [job.pk]


def test_a_worker_that_has_to_stop_puts_the_job_back(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = Stopping()
    stopping.within(-1)
    monkeypatch.setattr(work, "STOPPING", stopping)
    with pytest.raises(work.Stopped):
        work.run(job.pk)
    job.refresh_from_db()
    assert (job.status, job.losses) == (Status.QUEUED, 0)
    monkeypatch.undo()
    work.run(job.pk)
    assert kinds(job) == [
        "queued", "started", "put-back", "resumed", "progress", "progress", "finished",
    ]  # fmt: skip


def test_an_error_of_ours_ends_the_job_with_a_message(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.reports.MOST_HABITS", 2)
    monkeypatch.setattr("jobs.reports.summary", lambda *_: 1 / 0)
    work.run(job.pk)
    job.refresh_from_db()
    assert job.status == Status.FAILED and "the worker's log" in job.message
    assert kinds(job)[-1] == "failed"


@pytest.mark.parametrize("browser", ["/nowhere", "/bin/false"])
def test_without_a_browser_that_works_the_report_is_plain(
    body: dict[str, Any], browser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHROMIUM", browser)
    job = progress.create(Mode.DETAILED, body, 2)
    work.run(job.pk)
    job.refresh_from_db()
    assert job.status == Status.FINISHED and job.result
    assert job.message.startswith("The report is plain: ")
    assert kinds(job)[-2:] == ["message", "finished"]
