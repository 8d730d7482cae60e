"""What runs beside the web service, what is run before it, and how tests are run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gangway.operations.adoption.found import Program
from tests.unit.adoption.looked import FASTAPI, FLASK, django, looked, loss, reads

ALEMBIC = {
    "alembic.ini": "[alembic]\nscript_location = %(here)s/migrations\n",
    "migrations/env.py": "from alembic import context\n",
}


def with_library(files: dict[str, str], *pins: str) -> dict[str, str]:
    return {
        **files,
        "requirements.txt": files["requirements.txt"] + "".join(f"{pin}\n" for pin in pins),
    }


# -- workers --------------------------------------------------------------------------------------


def test_a_celery_that_nobody_starts_has_a_worker(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        with_library(FASTAPI, "celery==5.4.0", "redis==5.0.0"),
        {"jobs/__init__.py": "", "jobs/queue.py": "from celery import Celery\nqueue = Celery()\n"},
    )
    assert found.programs == (
        Program("worker", "celery -A jobs.queue.queue worker --loglevel=info"),
    )
    assert found.queue


@pytest.mark.parametrize(
    ("lines", "more"),
    [
        ("app.conf.beat_schedule = {}\n", " --schedule=/tmp/celerybeat-schedule"),
        ("S = 'django_celery_beat.schedulers:DatabaseScheduler'\n", ""),
    ],
)
def test_a_schedule_makes_a_beat_that_writes_nothing(tmp_path: Path, lines: str, more: str) -> None:
    found = looked(
        tmp_path,
        with_library(FASTAPI, "celery==5.4.0", "redis==5.0.0"),
        {"tasks.py": f"from celery import Celery\napp = Celery()\n{lines}"},
    )
    assert found.programs[1] == Program("beat", f"celery -A tasks beat --loglevel=info{more}")


def test_celery_without_redis_keeps_no_queue_in_it(tmp_path: Path) -> None:
    assert not looked(tmp_path, with_library(FASTAPI, "celery==5.4.0")).queue


def test_a_celery_of_flasks_is_found_by_its_name(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        with_library(FLASK, "celery==5.4.0", "redis==5.0.0"),
        {
            "app.py": """
                from celery import Celery
                from flask import Flask
                def create_celery_app(app):
                    return Celery(app.import_name)
                app = Flask(__name__)
                celery_app = create_celery_app(app)
                """
        },
    )
    assert found.programs[0].command == "celery -A app.celery_app worker --loglevel=info"


def test_rq_is_told_its_redis(tmp_path: Path) -> None:
    found = looked(tmp_path, with_library(FLASK, "rq==2.0.0"))
    assert found.programs == (Program("worker", "rq worker"),)
    assert reads(found)["RQ_REDIS_URL"] == "{broker_url}"


def test_djangos_rq_has_its_command(tmp_path: Path) -> None:
    files = {"requirements.txt": "django==5.2.1\ndjango-rq==3.0.0\n"}
    assert looked(tmp_path, django(), files).programs == (
        Program("worker", "python manage.py rqworker default"),
    )


def test_arq_is_told_its_settings(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        with_library(FASTAPI, "arq==0.26.0"),
        {"jobs.py": "class WorkerSettings:\n    functions = []\n"},
    )
    assert found.programs == (Program("worker", "arq jobs.WorkerSettings"),)


def test_a_procfile_says_what_runs_beside(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        with_library(FLASK, "rq==2.0.0"),
        {
            "Procfile": """
                web: gunicorn app:app
                worker: rq worker -u $REDIS high
                clock: python clock.py
                """
        },
    )
    assert found.programs == (
        Program("worker", "rq worker -u high"), Program("clock", "python clock.py"),
    )  # fmt: skip
    assert "WORKER_COMMAND" in loss(found, "$REDIS of worker's command").do


# -- migrations -----------------------------------------------------------------------------------


def test_alembic_migrates(tmp_path: Path) -> None:
    facts = looked(tmp_path, FASTAPI, ALEMBIC).facts
    assert facts["MIGRATE_COMMAND"] == "alembic upgrade head"
    assert facts["MAKEMIGRATION_COMMAND"] == "alembic revision --autogenerate -m {message}"
    assert facts["DOWNGRADE_COMMAND"] == "alembic downgrade {revision}"
    assert facts["SEED_COMMAND"] == "true"


def test_alembic_elsewhere_is_told_where(tmp_path: Path) -> None:
    files = {f"store/{name}": text for name, text in ALEMBIC.items()}
    facts = looked(tmp_path, FASTAPI, files).facts
    assert facts["MIGRATE_COMMAND"] == "alembic -c store/alembic.ini upgrade head"


def test_a_script_location_that_only_one_folder_finds_is_a_loss(tmp_path: Path) -> None:
    files = {f"store/{name}": text for name, text in ALEMBIC.items()}
    files["store/alembic.ini"] = "[alembic]\nscript_location = migrations\n"
    assert loss(looked(tmp_path, FASTAPI, files), "script_location").where == "store/alembic.ini:2"


def test_an_address_in_alembic_ini_is_a_loss_unless_env_py_says_another(tmp_path: Path) -> None:
    ini = {"alembic.ini": f"{ALEMBIC['alembic.ini']}sqlalchemy.url = postgresql://a:b@db/c\n"}
    assert (
        loss(looked(tmp_path, FASTAPI, ALEMBIC, ini), "address stands in").where == "alembic.ini:3"
    )
    env = "import os\nconfig.set_main_option('sqlalchemy.url', os.environ['DATABASE_URL'])\n"
    assert not looked(tmp_path, FASTAPI, ALEMBIC, ini, {"migrations/env.py": env}).losses


def test_what_env_py_reads_is_read(tmp_path: Path) -> None:
    env = "import os\nurl = os.environ['DATABASE_URL']\n"
    assert reads(looked(tmp_path, FASTAPI, {**ALEMBIC, "migrations/env.py": env})) == {
        "DATABASE_URL": "DATABASE_URL"
    }


def test_django_migrates_and_goes_back_in_its_only_app(tmp_path: Path) -> None:
    facts = looked(tmp_path, django(), {"books/migrations/__init__.py": ""}).facts
    assert facts["MIGRATE_COMMAND"] == "python manage.py migrate --no-input"
    assert facts["MAKEMIGRATION_COMMAND"] == "python manage.py makemigrations --name {name}"
    assert facts["DOWNGRADE_COMMAND"] == "python manage.py migrate books {revision}"
    assert facts["HISTORY_COMMAND"] == "python manage.py showmigrations"


def test_flask_migrates_by_its_target(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        with_library(FLASK, "flask-migrate==4.0.0"),
        {"migrations/env.py": "", "migrations/alembic.ini": ""},
    )
    assert found.facts["MIGRATE_COMMAND"] == "flask --app app:app db upgrade"
    assert found.facts["MAKEMIGRATION_COMMAND"] == "flask --app app:app db migrate -m {message}"


def test_nothing_to_migrate_is_said(tmp_path: Path) -> None:
    assert looked(tmp_path, FASTAPI).facts["MIGRATE_COMMAND"] == "true"


def test_a_script_that_prepares_the_database_is_taken_whole(tmp_path: Path) -> None:
    script = "#!/bin/bash\npython pre_start.py\nalembic upgrade head\npython initial_data.py\n"
    found = looked(
        tmp_path,
        FASTAPI,
        ALEMBIC,
        {
            "scripts/prestart.sh": script,
            "initial_data.py": "if __name__ == '__main__':\n    pass\n",
        },
    )
    assert found.facts["MIGRATE_COMMAND"] == "bash scripts/prestart.sh"
    assert found.facts["MIGRATE_PLAN_COMMAND"] == "alembic upgrade head"
    assert found.facts["SEED_COMMAND"] == "true"


def test_a_script_that_serves_at_its_end_is_not(tmp_path: Path) -> None:
    script = "#!/bin/bash\nalembic upgrade head\nexec uvicorn main:app\n"
    facts = looked(tmp_path, FASTAPI, ALEMBIC, {"scripts/prestart.sh": script}).facts
    assert facts["MIGRATE_COMMAND"] == "alembic upgrade head"


def test_what_the_entrypoint_puts_in_at_every_start_goes_with_the_migrations(
    tmp_path: Path,
) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        ALEMBIC,
        {"Procfile": "web: alembic upgrade head && python initial_data.py && uvicorn main:app\n"},
    )
    assert found.facts["MIGRATE_COMMAND"] == "alembic upgrade head && python initial_data.py"


def test_first_rows_that_nobody_runs_are_developments(tmp_path: Path) -> None:
    seed = {"seed.py": "if __name__ == '__main__':\n    print('x')\n"}
    assert looked(tmp_path, FASTAPI, seed).facts["SEED_COMMAND"] == "python seed.py"


def test_djangos_own_command_for_first_rows_is_found(tmp_path: Path) -> None:
    found = looked(tmp_path, django(), {"books/management/commands/seed_books.py": ""})
    assert found.facts["SEED_COMMAND"] == "python manage.py seed_books"


# -- tests ----------------------------------------------------------------------------------------


def test_pytest_needs_no_command(tmp_path: Path) -> None:
    found = looked(tmp_path, FASTAPI, {"tests/test_x.py": "def test_x():\n    pass\n"})
    assert "TEST_COMMAND" not in found.facts and "TEST_PATHS" not in found.facts
    assert ("tests by pytest", "tests/test_x.py") in found.evidence


def test_django_without_pytest_has_its_own_runner(tmp_path: Path) -> None:
    tests = {"shop/tests.py": "from django.test import TestCase\n"}
    assert looked(tmp_path, django(), tests).facts["TEST_COMMAND"] == "python manage.py test"


@pytest.mark.parametrize(
    "files",
    [
        {"requirements-dev.txt": "pytest-django==4.9.0\n"},
        {"setup.cfg": "[tool:pytest]\naddopts = -q\n"},
        {"pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-q'\n"},
        {"pyproject.toml": "[tool.pytest]\naddopts = ['-q']\n"},
        {"tox.ini": "[pytest]\n"},
        {"pytest.ini": ""},
    ],
)
def test_django_with_pytest_has_that(tmp_path: Path, files: dict[str, str]) -> None:
    tests = {"shop/tests.py": "from django.test import TestCase\n"}
    assert "TEST_COMMAND" not in looked(tmp_path, django(), tests, files).facts


def test_unittest_is_run_as_such(tmp_path: Path) -> None:
    found = looked(tmp_path, FLASK, {"tests/test_x.py": "import unittest\n"})
    assert found.facts["TEST_COMMAND"] == "python -m unittest discover --start-directory tests"


def test_tests_outside_the_working_directory_are_named(tmp_path: Path) -> None:
    files = django("src")
    del files["src/requirements.txt"]
    found = looked(
        tmp_path,
        files,
        {
            "requirements.txt": "django==5.2.1\npytest==8.3.0\n",
            "tests/unit/test_x.py": "def test_x():\n    pass\n",
        },
    )
    assert found.facts["TEST_PATHS"] == "../tests"


def test_what_pytest_is_configured_to_run_is_not_named(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        {
            "pytest.ini": "[pytest]\ntestpaths = checks\n",
            "checks/test_x.py": "def test_x():\n    pass\n",
        },
    )
    assert "TEST_PATHS" not in found.facts


# -- front ends -----------------------------------------------------------------------------------


def package(**names: str) -> str:
    return json.dumps({"scripts": {"build": "build it"}, "devDependencies": names})


def test_a_front_end_of_its_own_is_named_with_the_way_to_add_it(tmp_path: Path) -> None:
    found = looked(tmp_path, FASTAPI, {"frontend/package.json": package(next="15")})
    assert "API_ASSETS" not in found.facts
    assert "gangway add service frontend" in loss(found, "frontend (Next.js)").do


def test_what_is_built_into_the_apps_folder_are_its_assets(tmp_path: Path) -> None:
    backend = {f"backend/{name}": text for name, text in FASTAPI.items()}
    found = looked(
        tmp_path,
        backend,
        {
            "frontend/package.json": package(vite="6"),
            "frontend/package-lock.json": "{}",
            "frontend/vite.config.ts": 'export default {build: {outDir: "../backend/static"}}\n',
        },
    )
    assert (found.facts["API_SOURCE"], found.facts["API_ASSETS"]) == (".", "frontend")
    assert found.facts["API_WORKDIR"] == "backend"
    assert not found.losses


def test_assets_without_a_lock_are_named(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FLASK,
        {
            "assets/package.json": package(esbuild="1"),
            "assets/esbuild.config.mjs": "export default {outfile: '../public/app.js'}\n",
        },
    )
    assert found.facts["API_ASSETS_COMMAND"] == "npm run build"
    assert "npm install --package-lock-only" in loss(found, "no package-lock.json").do
