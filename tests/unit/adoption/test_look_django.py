"""Django: settings for each environment, static files, uploads, what a build step needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.adoption.looked import SETTINGS, django, looked, loss, reads

MANY = """
    import environ
    from pathlib import Path
    env = environ.Env()
    BASE_DIR = Path(__file__).resolve(strict=True).parent.parent.parent
    APPS_DIR = BASE_DIR / "shop"
    ROOT_URLCONF = "shop.urls"
    INSTALLED_APPS = ["django.contrib.staticfiles"]
    STATIC_ROOT = str(BASE_DIR / "staticfiles")
    STATIC_URL = "/static/"
    MEDIA_ROOT = str(APPS_DIR / "media")
    MEDIA_URL = "/media/"
    DATABASES = {"default": env.db("DATABASE_URL")}
    """


def many(default: str = "shop.settings.local") -> dict[str, str]:
    """Return a site with a settings module for each environment."""
    files = django(settings=default)
    del files["shop/settings.py"]
    return {
        **files,
        "shop/wsgi.py": files["shop/wsgi.py"].replace(default, "shop.settings.production"),
        "shop/settings/__init__.py": "",
        "shop/settings/base.py": MANY,
        "shop/settings/local.py": "from .base import *\nDEBUG = True\nSECRET_KEY = 'x'\n",
        "shop/settings/test.py": "from .base import *\nSECRET_KEY = 'x'\n",
        "shop/settings/production.py": """
            from .base import *
            from .base import env
            SECRET_KEY = env("DJANGO_SECRET_KEY")
            ADMIN_URL = env("ADMIN_PATH")
            DSN = env("SENTRY_DSN")
            COUNT = env.int("WORKERS")
            """,
    }


def test_each_environment_has_its_settings(tmp_path: Path) -> None:
    found = looked(tmp_path, many())
    assert {kind: each["DJANGO_SETTINGS_MODULE"] for kind, each in found.variables.items()} == {
        "dev": "shop.settings.local",
        "test": "shop.settings.test",
        "prod": "shop.settings.production",
    }
    where = "shop/settings/production.py"
    assert ("settings in prod: shop.settings.production", where) in found.evidence


def test_a_single_settings_module_needs_no_word(tmp_path: Path) -> None:
    assert not looked(tmp_path, django()).variables


def test_settings_beside_each_other_are_found(tmp_path: Path) -> None:
    files = django(settings="shop.settings_dev")
    found = looked(
        tmp_path,
        files,
        {"shop/settings_dev.py": SETTINGS, "shop/settings_prod.py": SETTINGS},
    )
    assert found.variables["prod"]["DJANGO_SETTINGS_MODULE"] == "shop.settings_prod"


def test_the_settings_that_pytest_is_told_are_the_tests(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        many(),
        {
            "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = shop.settings.base\n",
            "shop/tests.py": "def test_x():\n    pass\n",
        },
    )
    assert found.variables["test"]["DJANGO_SETTINGS_MODULE"] == "shop.settings.base"


def test_the_settings_of_the_image_are_productions(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        many(),
        {
            "shop/settings/cloud.py": "from .base import *\nSECRET_KEY = 'x'\n",
            "Dockerfile": """
                FROM python:3.13
                ENV DJANGO_SETTINGS_MODULE=shop.settings.cloud
                COPY . /app
                """,
        },
    )
    assert found.variables["prod"]["DJANGO_SETTINGS_MODULE"] == "shop.settings.cloud"
    assert found.variables["dev"]["DJANGO_SETTINGS_MODULE"] == "shop.settings.local"


def test_static_files_are_collected_into_their_folder(tmp_path: Path) -> None:
    facts = looked(tmp_path, django()).facts
    assert (facts["API_STATIC"], facts["API_STATIC_URL"]) == ("staticfiles", "/static/")
    assert facts["API_BUILD_COMMAND"] == "python manage.py collectstatic --no-input"


def test_uploads_have_their_folder(tmp_path: Path) -> None:
    facts = looked(tmp_path, many()).facts
    assert (facts["API_MEDIA"], facts["API_MEDIA_URL"]) == ("shop/media", "/media/")


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ('STATIC_ROOT = os.path.join(BASE_DIR, "static_root")', "static_root"),
        ('STATIC_ROOT = os.path.join(os.path.dirname(__file__), "../static_root")', "static_root"),
        ('STATIC_ROOT = os.environ.get("STATIC_ROOT", BASE_DIR / "static_root")', "static_root"),
        ('STATIC_ROOT = BASE_DIR.joinpath("a", "b")', "a/b"),
        ('STATIC_ROOT = f"{BASE_DIR}/a"', "a"),
        ('STATIC_ROOT = "/public"', "/public"),
        ('STATIC_ROOT = "collected"', "collected"),
    ],
)
def test_a_folder_is_read_however_it_is_put_together(
    tmp_path: Path, line: str, folder: str
) -> None:
    text = f"{SETTINGS}\n    import os\n    {line}\n"
    assert looked(tmp_path, django(text=text)).facts["API_STATIC"] == folder


def test_static_files_without_a_folder_are_a_loss(tmp_path: Path) -> None:
    text = SETTINGS.replace("STATIC_ROOT = ", "OTHER = ")
    found = looked(tmp_path, django(text=text))
    assert "API_BUILD_COMMAND" not in found.facts
    assert "API_STATIC=staticfiles" in loss(found, "STATIC_ROOT isn't set").do


def test_static_files_of_another_server_stay_there(tmp_path: Path) -> None:
    text = SETTINGS.replace('"static/"', '"https://static.example.com/"')
    found = looked(tmp_path, django(text=text))
    assert "API_STATIC" not in found.facts
    assert loss(found, "is elsewhere").where == "shop/settings.py:7"


def test_the_build_step_gets_all_that_productions_settings_must_have(tmp_path: Path) -> None:
    words = looked(tmp_path, many()).facts["API_BUILD_ENV"].split()
    assert dict(word.split("=", 1) for word in words) == {
        "DJANGO_SETTINGS_MODULE": "shop.settings.production",
        "DATABASE_URL": "postgresql://build:build@localhost:5432/build",
        "DJANGO_SECRET_KEY": "build",
        "ADMIN_PATH": "build",
        "SENTRY_DSN": "",
        "WORKERS": "0",
    }


def test_what_productions_settings_read_is_handed_over(tmp_path: Path) -> None:
    found = looked(tmp_path, many())
    assert reads(found) == {
        "DATABASE_URL": "DATABASE_URL",
        "DJANGO_SECRET_KEY": "{SECRET_KEY}",
        "SENTRY_DSN": "SENTRY_DSN",
    }
    # What isn't there can't be a made-up address.
    assert found.secrets == {"SENTRY_DSN": ""}


def test_a_branch_that_a_variable_decides_is_followed(tmp_path: Path) -> None:
    text = f"""{SETTINGS}
    import os
    if os.getenv("CLOUD"):
        STATIC_URL = "https://cdn.example.com/"
    else:
        STATIC_URL = "/assets/"
    """
    assert looked(tmp_path, django(text=text)).facts["API_STATIC_URL"] == "/assets/"


def test_a_site_without_wsgi_is_refused(tmp_path: Path) -> None:
    from gangway.base.errors import GangwayError

    files = django()
    del files["shop/wsgi.py"]
    with pytest.raises(GangwayError, match=r"without asgi\.py and wsgi\.py"):
        looked(tmp_path, files)
