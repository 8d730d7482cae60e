"""The tables. What a job has done so far is here and nowhere else, so that any worker can go on."""

import uuid

from django.db import models


class Mode(models.TextChoices):
    """What the report is: a page, or a PDF of it that a browser made."""

    PLAIN = "plain"
    DETAILED = "detailed"


class Status(models.TextChoices):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


ENDED = frozenset({Status.FINISHED, Status.FAILED})


class Job(models.Model):
    """A report that was asked for."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    mode = models.CharField(max_length=10, choices=Mode.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    request = models.JSONField()
    total = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0)
    message = models.TextField(default="")
    result = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    events = models.PositiveIntegerField(default=0)
    """The number of its last event."""
    sent_at = models.DateTimeField()
    """When the broker was last told of it."""
    attempt = models.PositiveIntegerField(default=0)
    """Rises with every worker that takes it up: what an earlier one still says no longer counts."""
    losses = models.PositiveIntegerField(default=0)
    """How many workers were lost over it."""
    lease_until = models.DateTimeField(null=True)
    """Until when the worker that has it need not be doubted."""

    class Meta:
        indexes = (models.Index(fields=["status", "lease_until"], name="jobs_open"),)

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in ENDED


class Step(models.Model):
    """What one habit's step came to."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    figures = models.JSONField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["job", "position"], name="one_step"),)


class Event(models.Model):
    """Something that happened to a job, numbered from 1."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=20)
    data = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["job", "number"], name="one_event"),)


class Report(models.Model):
    """What the browser made; a worker's files are out of the API's reach."""

    job = models.OneToOneField(Job, models.CASCADE, primary_key=True, related_name="report")
    media_type = models.CharField(max_length=50)
    content = models.BinaryField()
