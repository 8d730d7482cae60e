"""The API's docs page, which works without a way out and below any prefix: all of it is here."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

ASSETS = "/docs/assets"


def add(app: FastAPI) -> None:
    """Answer /docs, and what that page loads; `app` has no docs page of FastAPI's own."""
    app.mount(ASSETS, StaticFiles(directory=_folder()), name="docs-assets")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        """Show what can be asked, and ask it."""
        prefix = request.scope.get("root_path", "").rstrip("/")
        return get_swagger_ui_html(
            openapi_url=f"{prefix}{app.openapi_url}",
            title=app.title,
            swagger_js_url=f"{prefix}{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{prefix}{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{prefix}{ASSETS}/favicon-32x32.png",
        )


def _folder() -> Path:
    """Return where the package of Swagger UI has its files; importing it would load all it can."""
    found = find_spec("fastapi_swagger")
    return Path(found.origin if found and found.origin else "").with_name("resources")
