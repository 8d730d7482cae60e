"""What Django does when it starts."""

from django.apps import AppConfig


class HybridConfig(AppConfig):
    """The habits' tables are Alembic's: this app has no migrations of its own."""

    name = "hybrid"

    def ready(self) -> None:
        """Tell FastAPI's cache of every write."""
        from hybrid import lists

        lists.connect()
