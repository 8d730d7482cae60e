"""A Django project as it stands: what `runserver` does for it in development is done here."""

from pathlib import Path

import pytest

from tests.scripts.conftest import Environment
from tests.scripts.serving import fetch, serving

SETTINGS = """
SECRET_KEY = "x"
DEBUG = {debug}
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
STATIC_URL = "static/"
INSTALLED_APPS = [{apps}]
"""
URLS = """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("a page"))]
"""
SERVER = """
import os
from django.core.{kind} import get_{kind}_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
application = get_{kind}_application()
"""
# As Cookiecutter's is: a function between Django and whatever else there is.
AROUND = """
django_application = application


async def application(scope, receive, send):
    await django_application(scope, receive, send)
"""
STATIC = '"django.contrib.staticfiles", "shop"'


@pytest.fixture(params=["asgi", "wsgi", "asgi function"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Make a project with a style sheet of an app."""
    kind, _, around = str(request.param).partition(" ")
    folder = tmp_path / kind
    (folder / "shop" / "static" / "shop").mkdir(parents=True)
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "static" / "shop" / "site.css").write_text("body {}")
    (folder / "settings.py").write_text(SETTINGS.format(debug=True, apps=STATIC))
    (folder / "urls.py").write_text(URLS)
    server = SERVER.format(kind=kind)
    (folder / "service.py").write_text(server + AROUND if around else server)
    return folder


def test_static_files_are_served_while_developing(env: Environment, site: Path) -> None:
    with serving(env, site, RELOAD="1", APP_TARGET="service:application") as (_, port):
        assert fetch(port) == (200, "a page")
        assert fetch(port, "/static/shop/site.css") == (200, "body {}")
        assert fetch(port, "/static/none.css")[0] == 404


@pytest.mark.parametrize(
    ("debug", "apps", "reload"),
    [(False, STATIC, "1"), (True, '"shop"', "1"), (True, STATIC, "")],
    ids=["without DEBUG", "without staticfiles", "in production"],
)
def test_nothing_is_served_that_django_would_not_serve_itself(
    env: Environment, site: Path, debug: bool, apps: str, reload: str
) -> None:
    (site / "settings.py").write_text(SETTINGS.format(debug=debug, apps=apps))
    with serving(env, site, RELOAD=reload, APP_TARGET="service:application") as (_, port):
        assert fetch(port) == (200, "a page")
        assert fetch(port, "/static/shop/site.css")[0] == 404
