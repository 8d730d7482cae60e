"""The application: ``uvicorn jobs.asgi:application``."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jobs.settings")
application = get_asgi_application()
