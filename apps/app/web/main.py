"""The application: WSGI target ``web.main:app``."""

from socket import gethostname

from flask import Flask, Response, request
from flask.sessions import SecureCookieSessionInterface
from flask_wtf.csrf import CSRFProtect  # type: ignore[import-untyped]

from web import logs, pages
from web.client import Api, ApiAway
from web.settings import Settings, load

INSTANCE = gethostname()


class Sessions(SecureCookieSessionInterface):
    """Cookies for HTTPS alone, whenever the page came over HTTPS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Follow the request: behind a proxy, that is what the proxy says."""
        return request.is_secure


def create_app(settings: Settings) -> Flask:
    """Return the application; it connects to nothing before the first request."""
    logs.configure(settings.log_level, as_json=settings.json_logs)
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SECRET_KEY_FALLBACKS=[settings.previous_key] if settings.previous_key else [],
        # The last one signs.
        WTF_CSRF_SECRET_KEY=[*filter(None, [settings.previous_key]), settings.secret_key],
        SESSION_COOKIE_SAMESITE="Lax",
        # A form lives as long as the session: a page left open overnight still works.
        WTF_CSRF_TIME_LIMIT=None,
        MAX_CONTENT_LENGTH=64 * 1024,
    )
    app.session_interface = Sessions()
    CSRFProtect(app)
    api = app.extensions["api"] = Api(settings.api_url)
    app.register_blueprint(pages.pages)

    # Nobody outside learns what the containers are called.
    about = {} if settings.live else {"instance": INSTANCE}

    @app.get("/health")
    def health() -> dict[str, str]:
        """Say that the process answers; no dependency is asked."""
        return {"status": "ok", **about}

    @app.get("/ready")
    def ready() -> tuple[dict[str, str], int]:
        """Say whether the API could serve now."""
        try:
            api.ready()
        except ApiAway as away:
            return {"status": "unavailable", "api": str(away)}, 503
        return {"status": "ok", "api": "ok"}, 200

    @app.after_request
    def name_instance(response: Response) -> Response:
        if about:
            response.headers["X-Instance"] = INSTANCE
        return response

    return app


app = create_app(load())
