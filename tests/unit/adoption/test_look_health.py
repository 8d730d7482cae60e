"""The health path: one that answers an anonymous GET with 200, as far as the code tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.adoption.looked import FASTAPI, FLASK, SETTINGS, django, looked, loss


def fastapi(*lines: str) -> dict[str, str]:
    """Return a FastAPI app with these lines after it."""
    head = ["from fastapi import Depends, FastAPI, HTTPException", "app = FastAPI()"]
    return {**FASTAPI, "main.py": "\n".join([*head, *lines]) + "\n"}


@pytest.mark.parametrize(
    "path", ["/health", "/healthz", "/healthcheck/", "/up", "/ping", "/status", "/api/v1/health"]
)
def test_a_route_that_is_called_like_one_is_taken(tmp_path: Path, path: str) -> None:
    found = looked(tmp_path, fastapi(f"@app.get('{path}')", "def alive():", "    return 'ok'"))
    assert found.facts["API_HEALTH"] == path


@pytest.mark.parametrize(
    "lines",
    [
        ["@app.post('/health')", "def alive():", "    return 'ok'"],
        ["@app.get('/health/{id}')", "def alive(id: int):", "    return 'ok'"],
        ["@app.get('/health', status_code=204)", "def alive():", "    return None"],
        ["@app.get('/health')", "def alive(name: str):", "    return name"],
        ["@app.get('/health')", "def alive(user=Depends(get_current_user)):", "    return 'ok'"],
        ["@app.get('/health', dependencies=[Depends(check)])", "def alive():", "    return 'ok'"],
        ["@app.get('/items')", "def items():", "    return []"],
    ],
    ids=["post", "parameter", "other status", "query", "user", "dependencies", "another name"],
)
def test_one_that_may_answer_otherwise_is_not(tmp_path: Path, lines: list[str]) -> None:
    assert looked(tmp_path, fastapi(*lines)).facts["API_HEALTH"] == "tcp"


def test_liveness_is_taken_before_what_asks_the_database(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        fastapi(
            "@app.get('/health')", "def health(session=Depends(get_db)):",
            "    session.execute('select 1')", "    return 'ok'",
            "@app.get('/ping')", "def ping():", "    return 'pong'",
        ),
    )  # fmt: skip
    assert found.facts["API_HEALTH"] == "/ping"


def test_the_prefixes_of_routers_are_followed(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "requirements.txt": "fastapi==0.115.0\n",
            "app/__init__.py": "",
            "app/main.py": """
                from fastapi import FastAPI
                from app.api import api_router
                from app.config import settings
                app = FastAPI()
                app.include_router(api_router, prefix=settings.API_V1)
                """,
            "app/config.py": """
                from pydantic_settings import BaseSettings
                class Settings(BaseSettings):
                    API_V1: str = "/api/v1"
                settings = Settings()
                """,
            "app/api.py": """
                from fastapi import APIRouter
                from app.routes import utils
                api_router = APIRouter()
                api_router.include_router(utils.router)
                """,
            "app/routes/__init__.py": "",
            "app/routes/utils.py": """
                from fastapi import APIRouter
                router = APIRouter(prefix="/utils")
                @router.get("/health-check/")
                async def health_check() -> bool:
                    return True
                """,
        },
    )
    assert found.facts["API_HEALTH"] == "/api/v1/utils/health-check/"
    assert ("health at /api/v1/utils/health-check/", "app/routes/utils.py:4") in found.evidence


def test_a_router_behind_a_login_is_not_asked(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        fastapi(
            "from fastapi import APIRouter",
            "router = APIRouter(dependencies=[Depends(login)])",
            "@router.get('/health')", "def alive():", "    return 'ok'",
            "app.include_router(router)",
        ),
    )  # fmt: skip
    assert found.facts["API_HEALTH"] == "tcp"


def test_starlettes_routes_are_read(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "app.py": """
                from starlette.applications import Starlette
                from starlette.responses import PlainTextResponse
                from starlette.routing import Mount, Route
                def alive(request):
                    return PlainTextResponse("ok")
                routes = [Mount("/api", routes=[Route("/health", alive)])]
                app = Starlette(routes=routes)
                """,
            "requirements.txt": "starlette==0.40.0\n",
        },
    )
    assert found.facts["API_HEALTH"] == "/api/health"


def test_the_prefix_of_a_blueprint_is_put_in_front(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "requirements.txt": "flask==3.1.0\n",
            "hello/__init__.py": "",
            "hello/app.py": """
                from flask import Flask
                from hello.up import up
                def create_app():
                    app = Flask(__name__)
                    register(app)
                    return app
                def register(app):
                    app.register_blueprint(up)
                """,
            "hello/up.py": """
                from flask import Blueprint
                up = Blueprint("up", __name__, url_prefix="/up")
                @up.get("/")
                def index():
                    return ""
                """,
        },
    )
    assert found.facts["API_HEALTH"] == "/up/"


def test_flask_answers_with_the_status_that_it_says(tmp_path: Path) -> None:
    text = (
        FLASK["app.py"]
        + """
        @app.route("/health")
        def up():
            return "", {}
        """
    )
    assert looked(tmp_path, FLASK, {"app.py": text.format(200)}).facts["API_HEALTH"] == "/health"
    assert looked(tmp_path, FLASK, {"app.py": text.format(204)}).facts["API_HEALTH"] == "tcp"


def test_djangos_urls_are_followed(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        django(),
        {
            "shop/urls.py": """
                from django.urls import include, path
                urlpatterns = [path("up/", include("up.urls"))]
                """,
            "up/__init__.py": "",
            "up/urls.py": """
                from django.urls import path
                from up import views
                urlpatterns = [path("", views.index), path("databases", views.databases)]
                """,
            "up/views.py": """
                from django.http import HttpResponse
                from django.db import connection
                def index(request):
                    return HttpResponse("")
                def databases(request):
                    connection.ensure_connection()
                    return HttpResponse("")
                """,
        },
    )
    assert found.facts["API_HEALTH"] == "/up/"


def test_a_view_behind_a_login_is_not_asked(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        django(),
        {
            "shop/urls.py": """
                from django.contrib.auth.decorators import login_required
                from django.http import HttpResponse
                from django.urls import path
                @login_required
                def health(request):
                    return HttpResponse("ok")
                urlpatterns = [path("health/", health)]
                """
        },
    )
    assert found.facts["API_HEALTH"] == "tcp"


@pytest.mark.parametrize(
    ("permissions", "health"), [("[IsAuthenticated]", "tcp"), ("[AllowAny]", "/health/")]
)
def test_rest_frameworks_permissions_count(tmp_path: Path, permissions: str, health: str) -> None:
    closed = f"""{SETTINGS}
    REST_FRAMEWORK = {{
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    }}
    """
    found = looked(
        tmp_path,
        django(text=closed),
        {
            "shop/urls.py": f"""
                from django.urls import path
                from rest_framework.permissions import AllowAny, IsAuthenticated
                from rest_framework.response import Response
                from rest_framework.views import APIView
                class Health(APIView):
                    permission_classes = {permissions}
                    def get(self, request):
                        return Response("ok")
                urlpatterns = [path("health/", Health.as_view())]
                """
        },
    )
    assert found.facts["API_HEALTH"] == health


def test_the_check_that_compose_has_today_is_taken_as_the_route_is_written(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        fastapi("@app.get('/alive-and-well/')", "def alive(): return 'ok'"),
        {
            "Dockerfile": "FROM python:3.13\nWORKDIR /app\nCOPY . .\nCMD uvicorn main:app\n",
            "compose.yml": """
                services:
                  web:
                    build: .
                    healthcheck: {test: [CMD, curl, -f, "http://localhost:8000/alive-and-well"]}
                """,
        },
    )
    assert found.facts["API_HEALTH"] == "/alive-and-well/"


def test_the_check_of_the_dockerfile_is_taken(tmp_path: Path) -> None:
    text = """
        FROM python:3.13
        COPY . /app
        HEALTHCHECK CMD curl -f http://localhost/live || exit 1
        """
    assert looked(tmp_path, FASTAPI, {"Dockerfile": text}).facts["API_HEALTH"] == "/live"


# -- what Django's settings ask of a request ------------------------------------------------------


def test_a_host_that_all_settings_let_through_is_sent(tmp_path: Path) -> None:
    found = looked(tmp_path, django(text=f"{SETTINGS}\n    ALLOWED_HOSTS = ['.example.com']\n"))
    assert found.facts["API_HEALTH_HOST"] == "example.com"


def test_localhost_is_not_said(tmp_path: Path) -> None:
    found = looked(tmp_path, django(text=f"{SETTINGS}\n    ALLOWED_HOSTS = ['*']\n"))
    assert "API_HEALTH_HOST" not in found.facts


def test_without_a_host_for_all_environments_the_port_is_probed(tmp_path: Path) -> None:
    site = django(settings="shop.settings.local")
    base = site.pop("shop/settings.py")
    found = looked(
        tmp_path,
        site,
        {
            "shop/settings/__init__.py": "",
            "shop/settings/base.py": base,
            "shop/settings/local.py": "from .base import *\nALLOWED_HOSTS = ['localhost']\n",
            "shop/settings/production.py": "from .base import *\nALLOWED_HOSTS = ['shop.com']\n",
        },
    )
    assert found.facts["API_HEALTH"] == "tcp"
    assert loss(found, "no host").where == "shop/settings/production.py:2"


def test_a_redirect_to_tls_is_answered_by_the_scheme(tmp_path: Path) -> None:
    text = f"""{SETTINGS}
    ALLOWED_HOSTS = ["*"]
    SECURE_SSL_REDIRECT = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    """
    assert looked(tmp_path, django(text=text)).facts["API_HEALTH_SCHEME"] == "https"


def test_a_redirect_that_nothing_can_stop_is_a_loss(tmp_path: Path) -> None:
    text = f"{SETTINGS}\n    ALLOWED_HOSTS = ['*']\n    SECURE_SSL_REDIRECT = True\n"
    found = looked(tmp_path, django(text=text))
    assert found.facts["API_HEALTH"] == "tcp"
    assert "SECURE_PROXY_SSL_HEADER" in loss(found, "SECURE_SSL_REDIRECT").do


def test_trusted_hosts_of_starlette_are_known(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        fastapi(
            "from starlette.middleware.trustedhost import TrustedHostMiddleware",
            "app.add_middleware(TrustedHostMiddleware, allowed_hosts=['shop.example.com'])",
            "@app.get('/health')", "def alive(): return 'ok'",
        ),
    )  # fmt: skip
    assert found.facts["API_HEALTH_HOST"] == "shop.example.com"


# -- the port -------------------------------------------------------------------------------------


def test_the_port_is_the_dockerfiles(tmp_path: Path) -> None:
    text = "FROM python:3.13\nARG PORT=9000\nCOPY . /app\nEXPOSE ${PORT}/tcp\n"
    assert looked(tmp_path, FASTAPI, {"Dockerfile": text}).facts["API_PORT"] == "9000"


@pytest.mark.parametrize(
    "command",
    [
        "uvicorn main:app --host 0.0.0.0 --port 9000",
        "gunicorn -k uvicorn.workers.UvicornWorker -b 0.0.0.0:9000 main:app",
        "hypercorn main:app --bind=0.0.0.0:9000",
    ],
)
def test_the_port_is_the_one_that_the_server_is_told(tmp_path: Path, command: str) -> None:
    found = looked(tmp_path, FASTAPI, {"Procfile": f"web: {command}\n"})
    assert found.facts["API_PORT"] == "9000"


def test_a_port_of_root_is_another_one_here(tmp_path: Path) -> None:
    found = looked(tmp_path, FASTAPI, {"Dockerfile": "FROM python:3.13\nCOPY . /app\nEXPOSE 80\n"})
    assert found.facts["API_PORT"] == "8000"
    assert loss(found, "port 80").where == "Dockerfile:3"


def test_a_router_that_a_function_is_handed_is_followed(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "requirements.txt": "fastapi==0.115.0\n",
            "app/__init__.py": "",
            "app/making.py": """
                from fastapi import APIRouter, FastAPI
                def create(router: APIRouter) -> FastAPI:
                    application = FastAPI()
                    application.include_router(router)
                    return application
                """,
            "app/routes.py": """
                from fastapi import APIRouter
                router = APIRouter(prefix="/api")
                @router.get("/health")
                def health():
                    return "ok"
                """,
            "app/main.py": """
                from app.routes import router
                from app.making import create
                app = create(router)
                """,
        },
    )
    assert found.facts["API_HEALTH"] == "/api/health"
