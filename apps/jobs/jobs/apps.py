"""The one Django application."""

from django.apps import AppConfig
from django.conf import settings

from jobs import logs


class Jobs(AppConfig):
    """Jobs, their events and their reports."""

    name = "jobs"

    def ready(self) -> None:
        """Set the logging up, whichever command this is."""
        logs.configure(settings.ENV.log_level, as_json=settings.ENV.json_logs)
