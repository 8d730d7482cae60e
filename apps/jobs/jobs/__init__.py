"""Reports on habits, made by workers: a Django API, a Celery worker and a stream of events."""
