"""The application: WSGI target ``dashboard.main:server``."""

from socket import gethostname
from typing import Any

from dash import Dash
from flask import Flask, Response
from redis.exceptions import RedisError

from dashboard import logs, page
from dashboard.cache import Cache
from dashboard.data import Data, DatabaseAway
from dashboard.settings import Settings, load

INSTANCE = gethostname()


def create_server(settings: Settings) -> Flask:
    """Return the WSGI application; it connects to nothing before the first request."""
    logs.configure(settings.log_level, settings.log_format)
    server = Flask("dashboard")
    cache = Cache(settings)
    data = Data(settings, cache)
    server.extensions["data"] = data
    add_probes(server, cache, data, named=not settings.live)
    app = Dash(
        "dashboard",
        # Its annotation forgets the one thing that its documentation names.
        server=server,  # type: ignore[arg-type]
        title="Habits",
        update_title="",
        url_base_pathname=settings.path,
        # Scripts and styles come from here: nothing is asked of anybody else's server.
        serve_locally=True,
        # Everything that the page is made of is known from the start.
        suppress_callback_exceptions=False,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    app.layout = page.layout()
    page.connect(app, data)
    # Dash sets itself up in its first request, and answers 500 to whoever asks meanwhile: a browser
    # whose page another worker made, for its scripts.
    server.test_client().get(settings.path)
    return server


def add_probes(server: Flask, cache: Cache, data: Data, *, named: bool) -> None:
    """Answer /health and /ready, and name the instance in every response if `named`."""
    about = {"instance": INSTANCE} if named else {}

    @server.get("/health")
    def health() -> dict[str, str]:
        """Say that the process answers; no dependency is asked."""
        return {"status": "ok", **about}

    @server.get("/ready")
    def ready() -> tuple[dict[str, Any], int]:
        """Say whether the plots could be drawn now, which they can without Redis."""
        found = {"status": "ok", "postgres": "ok", "redis": "ok"}
        try:
            data.ping()
        except DatabaseAway:
            found |= {"status": "unavailable", "postgres": "away"}
        try:
            cache.ping()
        except (RedisError, OSError) as error:
            found["redis"] = type(error).__name__
        return found, 200 if found["status"] == "ok" else 503

    @server.after_request
    def name_instance(response: Response) -> Response:
        if named:
            response.headers["X-Instance"] = INSTANCE
        return response


server = create_server(load())
