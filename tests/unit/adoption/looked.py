"""Small repositories in a folder, and what looking at them finds."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from gangway.operations.adoption.found import Found, Loss
from gangway.operations.adoption.look import look

FASTAPI = {
    "main.py": """
        from fastapi import FastAPI
        app = FastAPI()
        """,
    "requirements.txt": "fastapi==0.115.0\n",
}
FLASK = {
    "app.py": """
        from flask import Flask
        app = Flask(__name__)
        """,
    "requirements.txt": "flask==3.1.0\n",
}
_MANAGE = """
    import os, sys
    def main():
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
        from django.core.management import execute_from_command_line
        execute_from_command_line(sys.argv)
    """
_WSGI = """
    import os
    from django.core.wsgi import get_wsgi_application
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
    application = get_wsgi_application()
    """
SETTINGS = """
    from pathlib import Path
    BASE_DIR = Path(__file__).resolve().parent.parent
    SECRET_KEY = "x"
    ROOT_URLCONF = "shop.urls"
    INSTALLED_APPS = ["django.contrib.staticfiles"]
    MIDDLEWARE = []
    STATIC_URL = "static/"
    STATIC_ROOT = BASE_DIR / "staticfiles"
    """
URLS = """
    from django.http import HttpResponse
    from django.urls import path
    urlpatterns = [path("health/", lambda request: HttpResponse("ok"))]
    """


def django(
    folder: str = "", settings: str = "shop.settings", text: str = SETTINGS
) -> dict[str, str]:
    """Return the files of a Django site."""
    start = f"{folder}/" if folder else ""
    return {
        f"{start}manage.py": _MANAGE.format(settings=settings),
        f"{start}shop/__init__.py": "",
        f"{start}shop/wsgi.py": _WSGI.format(settings=settings),
        f"{start}shop/settings.py": text,
        f"{start}shop/urls.py": URLS,
        f"{start}requirements.txt": "django==5.2.1\n",
    }


def written(root: Path, files: Mapping[str, str]) -> Path:
    """Write files into a folder; return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return root


def looked(root: Path, *files: Mapping[str, str], app: str | None = None) -> Found:
    """Write files, the later ones over the earlier, and look at them."""
    folder = root / "bookshop"
    folder.mkdir(exist_ok=True)
    for each in files:
        written(folder, each)
    return look(folder, app)


def loss(found: Found, words: str) -> Loss:
    """Return the one loss whose text has these words."""
    losses = [each for each in found.losses if words in f"{each.what} {each.do}"]
    assert len(losses) == 1, [each.what for each in found.losses]
    return losses[0]


def reads(found: Found) -> dict[str, str]:
    """Return what is handed over: the variable and its template, or its own name."""
    words = found.facts.get("API_READS", "").split()
    return {name: text or name for name, _, text in (word.partition("=") for word in words)}
