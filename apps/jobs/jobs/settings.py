"""Django's settings; what differs between environments comes from ``environment``."""

import secrets
from typing import Any

from jobs.environment import load

ENV = load()

# Nothing here is signed, and there are no sessions: without a key of its own, any will do.
SECRET_KEY = ENV.secret_key or secrets.token_urlsafe(32)
DEBUG = False
# The proxy in front answers to what names it likes; no address is made from the Host header.
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "jobs.urls"
APPEND_SLASH = False
INSTALLED_APPS = ["jobs.apps.Jobs"]
MIDDLEWARE = ["jobs.views.RequestId", "jobs.views.DatabaseAway"]
TEMPLATES: list[dict[str, Any]] = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
]
USE_TZ = True
TIME_ZONE = "UTC"
LOGGING_CONFIG = None
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# Nothing may depend on the session: behind a transaction pooler each transaction may have another.
# So there are no server-side cursors, no prepared statements and no connection that is kept.
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": ENV.database.host,
        "PORT": ENV.database.port,
        "NAME": ENV.database.name,
        "USER": ENV.database.user,
        "PASSWORD": ENV.database.password,
        "CONN_MAX_AGE": 0,
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {"connect_timeout": 5, "prepare_threshold": None, **ENV.database.options},
    }
}

# The broker's queue, the channels and the rate limit are in database 0.
REDIS_URL = ENV.redis_url(0)
# In the same database, told apart by their names: `invoke dev.cache --flush` deletes cache:*.
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
        "TIMEOUT": 300,
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
}
