"""The pages in this process, against the live API."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from web.main import create_app
from web.settings import Settings, load

Serve = Callable[..., FlaskClient]


class Browser:
    """A user with scripts off: loads the page, and sends the forms that are on it."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def page(self) -> str:
        """Return the list's HTML."""
        return self.client.get("/").text

    def send(self, path: str, **fields: str) -> Any:
        """Send a form with the token of the page; return the answer, redirect or not."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.page())
        assert token
        return self.client.post(path, data={"csrf_token": token[1], **fields})

    def form(self, end: str) -> str:
        """Return where the one form whose address ends so is sent to."""
        (action,) = re.findall(rf'action="([^"]*/{end})"', self.page())
        return str(action)


@pytest.fixture(scope="session")
def web_settings(live: Callable[[str, str], str]) -> Settings:
    """The environment's settings, once the API is ready."""
    return replace(load(), api_url=live("API_URL", "http://api:8000"))


@pytest.fixture
def serve(web_settings: Settings) -> Serve:
    """Serve the pages with other settings."""
    return lambda **change: create_app(replace(web_settings, **change)).test_client()


@pytest.fixture
def browser(serve: Serve) -> Browser:
    """A user of the pages."""
    return Browser(serve())
