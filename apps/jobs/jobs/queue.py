"""Celery, as the broker's client: a message only says which job there is."""

from typing import Any
from uuid import UUID

from celery import Celery, signals
from django.conf import settings

from jobs import request_id

TASK = "jobs.run"
QUEUE = "jobs"

app = Celery("jobs", broker=settings.REDIS_URL)
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    # A message goes when its job has ended, and comes back when its process is killed. Should it
    # not, the lease runs out and `forgotten` finds the job; a message too many does nothing.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": 60,
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
    },
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    enable_utc=True,
)


@signals.setup_logging.connect
def _keep_logging(**_: Any) -> None:
    """Celery sets no logging up where somebody listens to this."""


def send(job: UUID) -> None:
    """Tell the broker of a job; raises kombu's OperationalError where it is away."""
    app.send_task(
        TASK,
        (str(job),),
        headers={request_id.HEADER: request_id.current.get()},
        retry=True,
        retry_policy={"max_retries": 1, "interval_start": 0.1},
    )
