"""Django in this process, on the test's own database; and both services as they run."""

import os
from collections.abc import Callable, Iterator

import httpx
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hybrid.settings")

Live = Callable[[str, str], str]


@pytest.fixture(scope="session", autouse=True)
def _django() -> Iterator[None]:
    import django
    from django.db import connection

    django.setup()
    yield
    from hybrid.views import index

    index.close()
    connection.close()


@pytest.fixture
def page() -> "httpx.Client":
    """Django as a client sees it, without a server."""
    from django.core.handlers.wsgi import WSGIHandler

    transport = httpx.WSGITransport(WSGIHandler())
    return httpx.Client(transport=transport, base_url="http://django")


@pytest.fixture
def django_live(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live("DJANGO_URL", "http://django:8000"), timeout=10) as client:
        yield client


@pytest.fixture
def fastapi_live(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live("FASTAPI_URL", "http://fastapi:8001"), timeout=10) as client:
        yield client
