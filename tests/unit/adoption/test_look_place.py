"""Where an app is: entry point, folders, what is imported from."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangway.base.errors import GangwayError
from tests.unit.adoption.looked import FASTAPI, FLASK, django, looked

MAIN = "from fastapi import FastAPI\nfrom {} import x\napp = FastAPI()\n"


def test_an_app_at_the_top_is_the_whole_repository(tmp_path: Path) -> None:
    facts = looked(tmp_path, FASTAPI).facts
    assert (facts["API_SOURCE"], facts["API_TARGET"], facts["API_INTERFACE"]) == (
        ".", "main:app", "asgi",
    )  # fmt: skip
    assert "API_WORKDIR" not in facts and "API_PYTHONPATH" not in facts


def test_an_app_in_a_folder_of_its_own_is_that_folder(tmp_path: Path) -> None:
    files = {f"backend/{name}": text for name, text in FASTAPI.items()}
    found = looked(tmp_path, files)
    assert found.facts["API_SOURCE"] == "backend"
    assert found.facts["API_LOCK"] == "backend/requirements.txt"


def test_a_package_in_src_is_imported_from_there(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "src/shop/__init__.py": "",
            "src/shop/main.py": MAIN.format("shop.db"),
            "src/shop/db.py": "x = 1\n",
            "pyproject.toml": "[project]\nname = 'shop'\n",
        },
    )
    assert found.facts["API_TARGET"] == "shop.main:app"
    assert found.facts["API_PYTHONPATH"] == "src"
    assert "API_WORKDIR" not in found.facts


def test_a_package_without_init_is_found_by_what_it_imports(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "backend/app/main.py": MAIN.format("app.api"),
            "backend/app/api.py": "x = 1\n",
            "backend/requirements.txt": "fastapi==0.115.0\n",
        },
    )
    assert found.facts["API_TARGET"] == "app.main:app"
    assert found.facts["API_SOURCE"] == "backend"


def test_the_server_that_is_started_today_says_the_entry_point(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        {
            "public.py": "from fastapi import FastAPI\napi = FastAPI()\n",
            "Procfile": "web: uvicorn public:api --host 0.0.0.0 --port $PORT\n",
        },
    )
    assert found.facts["API_TARGET"] == "public:api"


def test_the_entry_point_that_fastapi_is_told_in_pyproject_counts(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        {
            "public.py": "from fastapi import FastAPI\napp = FastAPI()\n",
            "pyproject.toml": "[tool.fastapi]\nentrypoint = 'public:app'\n",
        },
    )
    assert found.facts["API_TARGET"] == "public:app"


def test_a_factory_is_called(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "hello/__init__.py": "",
            "hello/app.py": """
                from flask import Flask
                def create_app(settings=None):
                    app = Flask(__name__)
                    return app
                """,
            "requirements.txt": "flask==3.1.0\n",
        },
    )
    assert found.facts["API_TARGET"] == "hello.app:create_app()"
    assert found.facts["API_INTERFACE"] == "wsgi"


def test_what_a_factory_made_is_taken_before_the_factory(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "hello/__init__.py": """
                from flask import Flask
                def create_app(name):
                    return Flask(name)
                """,
            "wsgi.py": "from hello import create_app\napplication = create_app('x')\n",
            "requirements.txt": "flask==3.1.0\n",
        },
    )
    assert found.facts["API_TARGET"] == "wsgi:application"


def test_an_app_of_a_class_of_its_own_is_one(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FLASK,
        {"app.py": "import flask\nclass Shop(flask.Flask):\n    pass\napp = Shop(__name__)\n"},
    )
    assert found.facts["API_TARGET"] == "app:app"


def test_dash_is_served_by_its_server(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "app.py": "import dash\napp = dash.Dash()\nserver = app.server\n",
            "requirements.txt": "dash==2.18.0\n",
        },
    )
    assert found.facts["API_TARGET"] == "app:server"
    assert found.facts["API_INTERFACE"] == "wsgi"


def test_dash_without_a_name_for_it_is_served_by_the_attribute(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {"app.py": "from dash import Dash\napp = Dash()\n", "requirements.txt": "dash==2.18.0\n"},
    )
    assert found.facts["API_TARGET"] == "app:app.server"


def test_an_app_that_another_one_mounts_is_not_served_itself(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "admin.py": "from fastapi import FastAPI\napp = FastAPI()\n",
            "serve.py": """
                from fastapi import FastAPI
                import admin
                public = FastAPI()
                public.mount("/admin", admin.app)
                """,
            "requirements.txt": "fastapi==0.115.0\n",
        },
    )
    assert found.facts["API_TARGET"] == "serve:public"


def test_django_is_served_by_wsgi_unless_it_says_that_it_needs_asgi(tmp_path: Path) -> None:
    asgi = (
        "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n"
    )
    found = looked(tmp_path, django(), {"shop/asgi.py": asgi})
    assert found.facts["API_TARGET"] == "shop.wsgi:application"
    found = looked(tmp_path, {"shop/more.py": "ASGI_APPLICATION = 'shop.asgi.application'\n"})
    assert found.facts["API_TARGET"] == "shop.asgi:application"
    assert found.facts["API_INTERFACE"] == "asgi"


def test_django_runs_where_its_manage_py_is(tmp_path: Path) -> None:
    files = django("src")
    files["pyproject.toml"] = "[project]\nname = 'shop'\ndependencies = ['django']\n"
    del files["src/requirements.txt"]
    found = looked(tmp_path, files)
    assert found.facts["API_SOURCE"] == "."
    assert found.facts["API_WORKDIR"] == "src"
    assert found.facts["API_TARGET"] == "shop.wsgi:application"


def test_the_working_directory_of_the_dockerfile_is_kept(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "Dockerfile": """
                FROM python:3.13-slim
                WORKDIR /code/web
                COPY . /code
                CMD ["uvicorn", "main:app"]
                """,
            "web/main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
            "requirements.txt": "fastapi==0.115.0\n",
        },
    )
    assert found.facts["API_WORKDIR"] == "web"
    assert found.facts["API_TARGET"] == "main:app"


def test_a_workspace_holds_the_app_and_what_it_takes_from_it(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "pyproject.toml": "[tool.uv.workspace]\nmembers = ['backend', 'libs/*']\n",
            "backend/pyproject.toml": """
                [project]
                name = "Shop-API"
                dependencies = ["fastapi", "common"]
                [tool.uv.sources]
                common = { workspace = true }
                """,
            "backend/app/__init__.py": "",
            "backend/app/main.py": MAIN.format("app"),
            "libs/common/pyproject.toml": "[project]\nname = 'common'\n",
            "libs/common/src/common/__init__.py": "",
            "libs/other/pyproject.toml": "[project]\nname = 'other'\n",
        },
    )
    facts = found.facts
    assert (facts["API_SOURCE"], facts["API_WORKDIR"]) == (".", "backend")
    assert facts["API_PYTHONPATH"] == "../libs/common/src"
    assert facts["RELOAD_WATCH"] == ".:../libs/common/src"
    assert (facts["API_LOCK"], facts["API_PACKAGE"]) == ("uv.lock", "shop-api")


def test_a_member_that_takes_nothing_from_its_workspace_is_a_folder_of_its_own(
    tmp_path: Path,
) -> None:
    found = looked(
        tmp_path,
        {
            "pyproject.toml": "[tool.uv.workspace]\nmembers = ['backend']\n",
            "backend/pyproject.toml": "[project]\nname = 'app'\ndependencies = ['fastapi']\n",
            "backend/app/__init__.py": "",
            "backend/app/main.py": MAIN.format("app"),
        },
    )
    assert found.facts["API_SOURCE"] == "backend"
    assert found.facts["API_LOCK"] == "uv.lock"


def test_tests_and_examples_are_no_apps(tmp_path: Path) -> None:
    other = "from fastapi import FastAPI\napp = FastAPI()\n"
    found = looked(tmp_path, FASTAPI, {"tests/app.py": other, "examples/main.py": other})
    assert found.facts["API_TARGET"] == "main:app"


def test_two_equal_entry_points_are_a_question(tmp_path: Path) -> None:
    other = "from fastapi import FastAPI\napp = FastAPI()\n"
    files = {"red/serve.py": other, "blue/serve.py": other, "requirements.txt": "fastapi==0.115\n"}
    packages = {"red/__init__.py": "", "blue/__init__.py": ""}
    found = looked(tmp_path, files, packages)
    (question,) = found.questions
    assert question.fact == "API_TARGET"
    assert question.choices == ("blue.serve:app", "red.serve:app")
    assert question.default == found.facts["API_TARGET"]


def test_two_equal_entry_points_in_folders_of_their_own_are_refused(tmp_path: Path) -> None:
    other = "from fastapi import FastAPI\napp = FastAPI()\n"
    files = {"red/serve.py": other, "blue/serve.py": other, "requirements.txt": "fastapi==0.115\n"}
    with pytest.raises(GangwayError, match=r"two apps: .*blue.*red") as caught:
        looked(tmp_path, files)
    assert caught.value.fix and "--app blue" in caught.value.fix
    assert looked(tmp_path, files, app="red").facts["API_WORKDIR"] == "red"


def test_two_apps_are_refused_with_the_way_to_choose(tmp_path: Path) -> None:
    files = {
        **{f"orders/{name}": text for name, text in FASTAPI.items()},
        **{f"stock/{name}": text for name, text in FLASK.items()},
    }
    with pytest.raises(GangwayError, match=r"two apps: .*orders.*stock") as caught:
        looked(tmp_path, files)
    assert caught.value.fix and "--app orders" in caught.value.fix
    assert looked(tmp_path, files, app="stock").facts["API_TARGET"] == "app:app"


def test_of_two_apps_the_one_that_is_started_is_taken_and_the_other_named(tmp_path: Path) -> None:
    files = {
        **{f"orders/{name}": text for name, text in FASTAPI.items()},
        **{f"stock/{name}": text for name, text in FLASK.items()},
        "orders/Dockerfile": "FROM python:3.13\nCOPY . /app\nWORKDIR /app\nCMD uvicorn main:app\n",
    }
    found = looked(tmp_path, files)
    assert found.facts["API_SOURCE"] == "orders"
    (loss,) = [each for each in found.losses if "another app" in each.what]
    assert loss.where == "stock/app.py:2"


def test_no_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GangwayError, match="no app found"):
        looked(tmp_path, {"README.md": "# Shop\n", "lib.py": "x = 1\n"})


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ({"app.py": "from flask import Flask\nprint 'hello'\napp = Flask(__name__)\n"}, "app.py:2"),
        ({"app.py": "try:\n    x = 1\nexcept ValueError, e:\n    pass\n"}, "app.py:3"),
        ({**FASTAPI, "Dockerfile": "FROM python:2.7\nCOPY . /app\n"}, "Dockerfile:1"),
        ({**FASTAPI, "runtime.txt": "python-2.7.18\n"}, "runtime.txt:1"),
        (
            {
                "main.py": FASTAPI["main.py"],
                "pyproject.toml": "[project]\nname = 'x'\nrequires-python = '>=2.6,<3'\n",
            },
            "pyproject.toml:3",
        ),
    ],
)
def test_python_2_is_refused(tmp_path: Path, files: dict[str, str], where: str) -> None:
    with pytest.raises(GangwayError, match="Python 2") as caught:
        looked(tmp_path, {"requirements.txt": "flask==1.0\n"}, files)
    assert caught.value.where == where


def test_what_only_a_newer_python_knows_is_no_python_2(tmp_path: Path) -> None:
    newer = """
        type Names = list[str]
        def first[T](every: list[T]) -> T:
            try:
                return every[0]
            except IndexError, KeyError:
                raise
        """
    found = looked(tmp_path, FASTAPI, {"main.py": f"{FASTAPI['main.py']}{newer}"})
    assert found.facts["API_TARGET"] == "main:app"


@pytest.mark.parametrize(
    ("name", "valid"),
    [("My Shop!", "my-shop"), ("shop_2", "shop_2"), ("core", "core-app"), ("__x__", "x")],
)
def test_the_name_is_one_that_compose_takes(tmp_path: Path, name: str, valid: str) -> None:
    found = looked(tmp_path, FASTAPI, {"pyproject.toml": f"[project]\nname = '{name}'\n"})
    assert found.name == valid


def test_a_name_that_says_nothing_gives_way_to_the_folders(tmp_path: Path) -> None:
    found = looked(tmp_path, FASTAPI, {"pyproject.toml": "[project]\nname = 'app'\n"})
    assert found.name == "bookshop"


def test_the_name_that_compose_has_today_is_kept(tmp_path: Path) -> None:
    found = looked(tmp_path, FASTAPI, {"compose.yml": "name: store\nservices: {}\n"})
    assert found.name == "store"


def test_one_line_says_what_it_is(tmp_path: Path) -> None:
    files = {"requirements.txt": "django==5.2.1\ncelery==5.4.0\nredis==5.0.0\n"}
    assert looked(tmp_path, django(), files).about == (
        "a Django 5.2 site with Celery, locked by requirements.txt"
    )


def test_what_a_server_loads_is_taken_before_what_a_script_makes(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "shop/__init__.py": """
                from flask import Flask
                def create_app():
                    return Flask(__name__)
                """,
            "wsgi.py": "from shop import create_app\napplication = create_app()\n",
            "worker.py": "from shop import create_app\napp = create_app()\n",
            "requirements.txt": "flask==3.1.0\n",
        },
    )
    assert found.facts["API_TARGET"] == "wsgi:application"
