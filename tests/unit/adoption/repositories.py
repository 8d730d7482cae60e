"""Repositories that are not ours, in git, and what looking at them finds."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from gangway.operations.adoption import adopt, writing
from gangway.operations.adoption.adopt import Plan
from gangway.operations.adoption.found import Foreign, Found, Loss, Program
from gangway.operations.adoption.writing import Outcome

FASTAPI = Found(
    name="shop",
    about="a FastAPI app, locked by requirements.txt",
    facts={
        "API_SOURCE": ".",
        "API_PYTHONPATH": "src",
        "API_LOCK": "requirements.txt",
        "API_TARGET": "shop.main:app",
        "API_HEALTH": "tcp",
        "API_READS": "DATABASE_URL={database_url:postgresql+asyncpg}",
        "MIGRATE_COMMAND": "alembic upgrade head",
    },
)
FASTAPI_FILES = {
    "src/shop/main.py": "app = None\n",
    "requirements.txt": "fastapi==0.1\n",
    ".gitignore": ".env\n/dist/\n",
}

DJANGO = Found(
    name="book-shop",
    about="a Django 5.2 site with Celery, locked by uv",
    facts={
        "API_SOURCE": "backend",
        "API_LOCK": "backend/uv.lock",
        "API_INTERFACE": "wsgi",
        "API_TARGET": "config.wsgi:application",
        "API_PORT": "9000",
        "API_HEALTH": "/health/",
        "API_HEALTH_HOST": "shop.example.com",
        "API_READS": "DATABASE_URL CELERY_BROKER_URL DJANGO_SECRET_KEY={SECRET_KEY}",
        "API_BUILD_COMMAND": "python manage.py collectstatic --no-input",
        "API_BUILD_ENV": "DJANGO_SECRET_KEY=build DEBUG=''",
        "API_STATIC": "static",
        "API_STATIC_URL": "/static/",
        "API_MEDIA": "media",
        "API_MEDIA_URL": "/media/",
        "MIGRATE_COMMAND": "python manage.py migrate --no-input",
        "TEST_COMMAND": "python manage.py test",
    },
    programs=(
        Program("worker", "celery -A config worker --loglevel=info"),
        Program("beat", "celery -A config beat"),
    ),
    variables={
        "": {"DJANGO_SETTINGS_MODULE": "config.settings.local", "MAIL_FROM": "Shop <a$b@c.de>"},
        "prod": {"DJANGO_SETTINGS_MODULE": "config.settings.production"},
    },
    secrets={"STRIPE_KEY": "sk_test_4711", "SECRET_KEY": "whatever", "SENTRY_DSN": ""},
    queue=True,
)
DJANGO_FILES = {"backend/uv.lock": "version = 1\n", "backend/manage.py": "pass\n"}

FOREIGN = Found(
    name="stock",
    about="a Flask app, locked by requirements.txt",
    facts={
        "API_SOURCE": "src",
        "API_LOCK": "requirements.txt",
        "API_INTERFACE": "wsgi",
        "API_TARGET": "stock:create_app()",
        "API_HEALTH": "/",
        "API_PREFIX": "/api/",
        "API_MOUNT": "/",
    },
    foreign=(
        Foreign("mail", "compose.yaml", (8025, 1025)),
        Foreign("store", "compose.yaml", (80,), ("store-data",)),
        Foreign("search", "deploy/compose.yml", (8000,)),
    ),
    losses=(
        Loss("RUN curl … | sh", "Dockerfile:2", "name its Debian package in API_RUN_PACKAGES"),
    ),
)
FOREIGN_FILES = {
    "src/stock.py": "def create_app(): ...\n",
    "requirements.txt": "flask==3.0\n",
    "Dockerfile": "FROM python:3.13\nRUN curl https://example.com | sh\n",
    "tasks.py": "# theirs\n",
    "noxfile.py": "# theirs\n",
    "compose.yaml": """services:
  web: {build: ., ports: ["5000:5000"], depends_on: [db, mail]}
  db: {image: "postgres:17.2"}
  mail:
    image: axllent/mailpit:v1.27
    container_name: stock-mail
    ports: ["8025:8025", "1025:1025"]
    networks: [old]
    depends_on: [db]
  store:
    image: minio/minio:2024.1
    ports: ["9000:80"]
    mem_limit: 1g
    cpus: 0.5
    volumes: ["store-data:/data", "./store.conf:/etc/store.conf:ro"]
    healthcheck: {test: [CMD, mc, ready]}
networks: {old: {}}
volumes: {store-data: {}}
""",
    "store.conf": "",
    "deploy/compose.yml": """services:
  search:
    image: opensearch:2.1
    depends_on: {store: {condition: service_healthy}, db: {condition: service_started}}
    ports: !reset []
    deploy: {resources: {limits: {memory: 2g}}}
    volumes: [{type: bind, source: ../search.conf, target: /etc/search.conf}]
""",
    "search.conf": "",
}

SHAPES = {
    "fastapi": (FASTAPI, FASTAPI_FILES),
    "django": (DJANGO, DJANGO_FILES),
    "foreign": (FOREIGN, FOREIGN_FILES),
}


def git(root: Path, *words: str, check: bool = True) -> str:
    """Run git in a repository as somebody with a name; return what it says."""
    done = subprocess.run(
        ["git", *words], cwd=root, env={**os.environ, **IDENTITY}, check=check,
        capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Somebody"), ("EMAIL", "somebody@example.com"))
}


def repository(root: Path, files: Mapping[str, str]) -> Path:
    """Make a git repository with these files in one commit."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "--quiet")
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "Theirs")
    return root


def plan(root: Path, found: Found) -> Plan:
    """Return what there is to write for what was found."""
    return adopt.planned(adopt.opened(root), found)


def adopted(root: Path, found: Found, *, commit: bool = False) -> Outcome:
    """Adopt what was found."""
    return writing.write(plan(root, found), commit=commit)


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file's content and mode but git's own, and every folder that is there."""
    return {
        path.relative_to(root).as_posix(): (
            path.read_bytes() if path.is_file() else b"",
            path.stat().st_mode,
        )
        for path in root.rglob("*")
        if ".git" not in path.relative_to(root).parts
    }
