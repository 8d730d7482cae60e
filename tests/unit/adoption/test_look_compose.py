"""Existing Compose files: which services are mapped, which are the app's, which stay."""

from __future__ import annotations

from pathlib import Path

from gangway.operations.adoption.found import Foreign, Program
from tests.unit.adoption.looked import FASTAPI, FLASK, looked, loss, reads

DOCKERFILE = "FROM python:3.13\nWORKDIR /app\nCOPY . .\nCMD uvicorn main:app --port 8000\n"
PLAIN = """
    services:
      web:
        build: .
        environment:
          DATABASE_URL: postgresql://shop:secret@db:5432/shop
          MAIL_HOST: mail
          SELF_URL: http://web:8000/api
        depends_on: [db]
      db:
        image: postgres:17-alpine
        volumes: ["data:/var/lib/postgresql/data"]
      cache:
        image: docker.io/library/redis:7
      mail:
        image: axllent/mailpit:v1.20
        ports: ["${MAIL_PORT:-8025}:8025", "127.0.0.1:1025:1025/tcp"]
        volumes: ["mails:/data", "./mail.conf:/etc/mail.conf"]
    volumes:
      data:
      mails:
    """
CELERY = {
    "requirements.txt": "fastapi==0.115.0\ncelery==5.4.0\nredis==5.0.0\n",
    "worker.py": "from celery import Celery\napp = Celery('shop')\n",
}


def test_stores_are_mapped_and_other_services_stay(tmp_path: Path) -> None:
    found = looked(tmp_path, FASTAPI, {"Dockerfile": DOCKERFILE, "docker-compose.yml": PLAIN})
    assert found.foreign == (Foreign("mail", "docker-compose.yml", (8025, 1025), ("mails",)),)
    assert reads(found) == {"DATABASE_URL": "DATABASE_URL"}
    assert ("the service mail stays in its file", "docker-compose.yml:14") in found.evidence


def test_the_app_is_called_api_in_its_own_variables(tmp_path: Path) -> None:
    found = looked(tmp_path, FASTAPI, {"Dockerfile": DOCKERFILE, "compose.yaml": PLAIN})
    assert found.variables[""] == {"MAIL_HOST": "mail", "SELF_URL": "http://api:8000/api"}


def test_workers_of_the_apps_image_are_programs(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        CELERY,
        {
            "Dockerfile": DOCKERFILE,
            "compose.yml": """
                services:
                  web: &app {build: ., image: shop}
                  jobs:
                    <<: *app
                    command: celery -A worker worker --loglevel=info --logfile=logs/celery.log
                  clock: {image: shop, command: "celery -A worker beat"}
                """,
        },
    )
    assert found.programs == (
        Program("worker", "celery -A worker worker --loglevel=info"),
        Program("beat", "celery -A worker beat --schedule=/tmp/celerybeat-schedule"),
    )
    assert not found.foreign
    assert found.queue


def test_a_command_in_a_start_script_is_looked_up(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        CELERY,
        {
            "compose/django/Dockerfile": """
                FROM python:3.13
                WORKDIR /app
                COPY compose/worker/start /start-worker
                COPY . .
                """,
            "compose/worker/start": (
                "#!/bin/bash\nexec watchfiles --filter python celery.__main__.main"
                " --args '-A worker worker -l INFO'\n"
            ),
            "docker-compose.local.yml": """
                services:
                  web: &web
                    build: {context: ., dockerfile: ./compose/django/Dockerfile}
                    command: uvicorn main:app
                  celery: {<<: *web, command: /start-worker}
                """,
        },
    )
    assert found.programs == (Program("worker", "celery -A worker worker -l INFO"),)
    assert ("worker: celery -A worker worker -l INFO", "compose/worker/start:2") in found.evidence


def test_flower_stays_and_is_said_to_need_the_password(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        CELERY,
        {
            "Dockerfile": DOCKERFILE,
            "compose.yml": """
                services:
                  web: {build: .}
                  dashboard:
                    build: .
                    command: celery --broker=redis://redis:6379/0 flower --port=5555
                    ports: ["5556:5555"]
                """,
        },
    )
    assert [each.name for each in found.foreign] == ["dashboard"]
    assert "password" in loss(found, "looks at the queue").do


def test_a_service_of_another_folder_is_not_the_app(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        {
            "Dockerfile": DOCKERFILE,
            "mail/Dockerfile": "FROM python:3.13\nCOPY server.py /\nCMD python /server.py\n",
            "mail/server.py": "",
            "compose.yml": "services:\n  web: {build: .}\n  mail: {build: mail}\n",
        },
    )
    assert [each.name for each in found.foreign] == ["mail"]
    assert not found.programs


def test_a_proxy_gives_way_to_ours(tmp_path: Path) -> None:
    found = looked(
        tmp_path, FASTAPI, {"compose.yml": "services:\n  front: {image: 'traefik:3.6'}\n"}
    )
    assert not found.foreign
    assert loss(found, "the proxy front").where == "compose.yml:2"


def test_another_database_stays_and_is_a_loss(tmp_path: Path) -> None:
    found = looked(tmp_path, FASTAPI, {"compose.yml": "services:\n  db: {image: 'mariadb:11'}\n"})
    assert [each.name for each in found.foreign] == ["db"]
    assert "PostgreSQL" in loss(found, "the database db").do


def test_extensions_of_an_image_are_named(tmp_path: Path) -> None:
    text = """
        services:
          db:
            image: postgis/postgis:17-3.5
            volumes: ["./init:/docker-entrypoint-initdb.d"]
        """
    found = looked(tmp_path, FASTAPI, {"compose.yml": text})
    assert "POSTGRES_IMAGE" in loss(found, "postgis").do
    assert "INIT_SQL" in loss(found, "./init").do


def test_a_postgres_that_is_built_here_is_one(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        {
            "db/Dockerfile": "FROM docker.io/postgres:17\nCOPY x /x\n",
            "compose.yml": "services:\n  store: {build: db}\n",
        },
    )
    assert not found.foreign


def test_an_override_is_development(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FLASK,
        {
            "Dockerfile": "FROM python:3.13\nWORKDIR /app\nCOPY . .\nCMD gunicorn app:app\n",
            "compose.yml": "services:\n  web: {build: ., environment: {MAIL: smtp.example.com}}\n",
            "compose.override.yml": """
                services:
                  web: {environment: {MAIL: mailpit}, ports: ["8000:8000"]}
                  mailpit: {image: axllent/mailpit, ports: !override ["8025:8025"]}
                """,
        },
    )
    assert found.variables == {
        "dev": {"MAIL": "mailpit"},
        "test": {"MAIL": "mailpit"},
        "prod": {"MAIL": "smtp.example.com"},
    }
    assert found.foreign == (Foreign("mailpit", "compose.override.yml", (8025,)),)


def test_an_overlay_that_only_changes_a_service_adds_none(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        {
            "compose.yml": "services:\n  mail: {image: mail}\n",
            "compose.deploy.yml": "services:\n  mail: {restart: always}\n  web: !reset null\n",
        },
    )
    assert found.foreign == (Foreign("mail", "compose.yml"),)


def test_tests_in_a_browser_do_not_join_the_stack(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        {
            "e2e/Dockerfile": "FROM mcr.example.com/playwright\n",
            "compose.yml": "services:\n  playwright: {build: e2e}\n",
        },
    )
    assert not found.foreign
    assert loss(found, "the tests of playwright").where == "compose.yml:2"


def test_what_shows_the_documents_does_not_join_the_stack(tmp_path: Path) -> None:
    file = "docker-compose.docs.yml"
    found = looked(tmp_path, FASTAPI, {file: "services:\n  docs: {image: sphinx:1}\n"})
    assert not found.foreign
    assert loss(found, "the service docs").where == f"{file}:2"


def test_an_env_file_that_is_missing_is_said(tmp_path: Path) -> None:
    text = "services:\n  mail: {image: mail, env_file: [.env.mail]}\n"
    assert (
        "refuses to start"
        in loss(looked(tmp_path, FASTAPI, {"compose.yml": text}), "mail needs").do
    )


def test_what_the_apps_service_has_besides_is_named(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        {
            "Dockerfile": DOCKERFILE,
            "compose.yml": """
                services:
                  web:
                    build: .
                    cap_add: [SYS_PTRACE]
                    volumes: ["spool:/app/spool", "modules:/app/node_modules"]
                """,
        },
    )
    assert {each.what for each in found.losses} == {
        "cap_add of web", "the volume spool at /app/spool of web",
    }  # fmt: skip


def test_yaml_that_is_none_is_left_alone(tmp_path: Path) -> None:
    assert looked(tmp_path, FASTAPI, {"compose.yml": "services: [\n"}).foreign == ()


def test_compose_files_of_somebody_elses_folder_are_not_ours(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {f"backend/{name}": text for name, text in FASTAPI.items()},
        {"wiki/compose.yml": "services:\n  wiki: {image: wiki}\n"},
    )
    assert found.foreign == ()


def test_a_service_of_an_image_that_is_built_elsewhere_is_the_app_by_its_command(
    tmp_path: Path,
) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        {
            "Dockerfile": "FROM python:3.13\n",
            "compose.yml": """
                services:
                  web:
                    build: .
                    image: shop
                    command: uvicorn main:app
                  tasks:
                    image: shop
                    command: celery -A main worker
                """,
        },
    )
    assert [program.name for program in found.programs] == ["worker"]
    assert not found.foreign
