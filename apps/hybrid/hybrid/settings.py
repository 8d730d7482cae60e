"""Django's settings, from the variables that FastAPI reads as well.

Both are read by ``api.settings``: one program cannot know a database that the other does not.
"""

import os
import sys
from pathlib import Path
from typing import Any

from api.settings import load

SHARED = load()


def _secret(name: str) -> str:
    value, path = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
    if path:
        try:
            value = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            print(f"hybrid: {name}_FILE={path} cannot be read: {error}", file=sys.stderr)
            raise SystemExit(2) from None
    return value


SECRET_KEY = _secret("SECRET_KEY")
if not SECRET_KEY:
    print("hybrid: SECRET_KEY is not set, nor is SECRET_KEY_FILE", file=sys.stderr)
    raise SystemExit(2)
# What was signed with this one is good as well, while one key follows another.
SECRET_KEY_FALLBACKS = [key for key in [_secret("SECRET_KEY_PREVIOUS")] if key]
DEBUG = os.environ.get("ENVIRONMENT") == "development"
# The stack is reached on loopback, by its services' names, or behind a proxy that checks the name.
ALLOWED_HOSTS = ["*"]
QDRANT_URL = os.environ.get("QDRANT_URL") or "http://qdrant:6333"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "hybrid",
]
MIDDLEWARE = [
    "hybrid.middleware.request_id",
    "hybrid.middleware.secure_cookies",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "hybrid.urls"
WSGI_APPLICATION = "hybrid.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": SHARED.postgres_host,
        "PORT": SHARED.postgres_port,
        "NAME": SHARED.postgres_db,
        "USER": SHARED.postgres_user,
        "PASSWORD": SHARED.postgres_password,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
# Served from the packages that have them: nothing is collected, nothing is written.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "%(levelname)s %(name)s: %(message)s"},
        "json": {"()": "api.logs.JsonFormatter"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "json" if SHARED.json_logs else "text",
        }
    },
    "root": {"handlers": ["stderr"], "level": SHARED.log_level},
    # One line for each query says too much, even for `debug`.
    "loggers": {"django.db.backends": {"level": "INFO"}, "django.template": {"level": "INFO"}},
}
