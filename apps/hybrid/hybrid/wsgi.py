"""Django's side of the stack: ``gunicorn hybrid.wsgi:application``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hybrid.settings")
application = get_wsgi_application()
