"""Variables: what is handed over, what is a secret, what is plain, and in which environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.adoption.looked import FASTAPI, looked, loss, reads, written


def app(*lines: str, libraries: str = "") -> dict[str, str]:
    """Return a FastAPI app that begins with these lines."""
    head = ["import os", "from fastapi import FastAPI", "app = FastAPI()"]
    return {
        "main.py": "\n".join([*head, *lines]) + "\n",
        "requirements.txt": f"fastapi==0.115.0\n{libraries}",
    }


# -- handed over ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("POSTGRES_SERVER", "{POSTGRES_HOST}"),
        ("DB_HOST", "{POSTGRES_HOST}"),
        ("DATABASE_HOST", "{POSTGRES_HOST}"),
        ("SQL_PORT", "{POSTGRES_PORT}"),
        ("DB_NAME", "{POSTGRES_DB}"),
        ("PGUSER", "{POSTGRES_USER}"),
        ("PGDATABASE", "{POSTGRES_DB}"),
        ("SHOP_DBPASS", "{POSTGRES_PASSWORD}"),
        ("POSTGRES_PASSWORD", "POSTGRES_PASSWORD"),
        ("DATABASE_URL", "DATABASE_URL"),
        ("SQLALCHEMY_DATABASE_URI", "{database_url}"),
        ("POSTGRES_DSN", "{database_url}"),
        ("REDIS_URL", "REDIS_URL"),
        ("CACHE_URL", "{redis_url}"),
        ("CELERY_BROKER_URL", "CELERY_BROKER_URL"),
        ("CELERY_RESULT_BACKEND", "{broker_url}"),
        ("REDIS_PASSWORD", "REDIS_PASSWORD"),
        ("CACHE_REDIS_HOST", "{REDIS_HOST}"),
        ("REDIS_QUEUE_HOST", "{BROKER_HOST}"),
        ("DATABASE__HOST", "{POSTGRES_HOST}"),
        ("SECRET_KEY", "SECRET_KEY"),
        ("DJANGO_SECRET_KEY", "{SECRET_KEY}"),
        ("FLASK_SECRET_KEY", "{SECRET_KEY}"),
    ],
)
def test_what_the_stack_has_is_handed_over(tmp_path: Path, name: str, template: str) -> None:
    found = looked(tmp_path, app(f"value = os.getenv('{name}')"))
    assert reads(found) == {name: template}
    assert not found.secrets and not found.variables


@pytest.mark.parametrize("name", ["POSTGRES_HOST", "POSTGRES_DB", "REDIS_PORT"])
def test_what_the_base_sets_already_is_not(tmp_path: Path, name: str) -> None:
    assert reads(looked(tmp_path, app(f"value = os.environ['{name}']"))) == {}


def test_an_address_is_known_by_its_value_under_any_name(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        app("a = os.getenv('STORE')", "b = os.getenv('KEEP')"),
        {".env.example": "STORE=postgresql://a:b@localhost/c\nKEEP=redis://localhost:6379/3\n"},
    )
    assert reads(found) == {"STORE": "{database_url}", "KEEP": "{redis_url:3}"}


def test_a_host_is_known_by_the_service_that_it_is(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        app("a = os.getenv('WHERE')"),
        {
            ".env": "WHERE=store\n",
            "compose.yml": "services:\n  store: {image: 'postgres:17'}\n",
        },
    )
    assert reads(found) == {"WHERE": "{POSTGRES_HOST}"}


@pytest.mark.parametrize(
    ("example", "libraries", "template"),
    [
        ("postgresql+asyncpg://a:b@c/d", "", "{database_url:postgresql+asyncpg}"),
        ("postgres://a:b@c/d", "", "DATABASE_URL"),
        (
            "sqlite:///x.db",
            "sqlalchemy==2.0.0\npsycopg==3.2.0\n",
            "{database_url:postgresql+psycopg}",
        ),
        ("sqlite:///x.db", "sqlalchemy==2.0.0\npsycopg2-binary==2.9.0\n", "DATABASE_URL"),
        ("", "sqlmodel==0.0.22\nasyncpg==0.30.0\n", "{database_url:postgresql+asyncpg}"),
        ("postgresql://a:b@c/d", "asyncpg==0.30.0\n", "DATABASE_URL"),
    ],
)
def test_the_address_has_the_scheme_that_the_driver_needs(
    tmp_path: Path, example: str, libraries: str, template: str
) -> None:
    found = looked(
        tmp_path,
        app("url = os.environ['DATABASE_URL']", libraries=libraries),
        {".env.example": f"DATABASE_URL={example}\n"},
    )
    assert reads(found) == {"DATABASE_URL": template}


def test_code_that_puts_the_driver_in_itself_gets_the_plain_address(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        app(
            "url = os.environ['DATABASE_URL'].replace('postgresql://', 'postgresql+psycopg://')",
            libraries="sqlalchemy==2.0.0\npsycopg[binary]==3.2.0\n",
        ),
    )
    assert reads(found) == {"DATABASE_URL": "DATABASE_URL"}


def test_one_redis_for_all_is_the_broker_where_there_is_a_queue(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        app(
            "url = os.getenv('REDIS_URL', 'redis://redis:6379/0')",
            libraries="celery[redis]==5.4.0\n",
        ),
    )
    assert found.queue
    assert reads(found) == {"REDIS_URL": "{broker_url}"}


def test_a_cache_of_its_own_stays_the_cache(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        app("a = os.getenv('CACHE_URL')", "b = os.getenv('BROKER_URL')", libraries="rq==2.0.0\n"),
    )
    assert reads(found)["CACHE_URL"] == "{redis_url}"
    assert reads(found)["BROKER_URL"] == "{broker_url}"


def test_a_broker_that_is_not_redis_stays_where_it_is(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        app("a = os.getenv('CELERY_BROKER_URL')", libraries="celery==5.4.0\nredis==5.0.0\n"),
        {".env.example": "CELERY_BROKER_URL=amqp://guest:guest@rabbit:5672//\n"},
    )
    assert not found.queue
    assert found.variables[""] == {"CELERY_BROKER_URL": "amqp://guest:guest@rabbit:5672//"}


def test_redis_without_its_password_is_a_loss(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        app("import redis", "cache = redis.Redis(host='redis')", libraries="redis==5.0.0\n"),
    )
    without = loss(found, "no password of Redis")
    assert without.where == "main.py:5"
    assert "redis_password" in without.do


def test_an_address_in_the_code_is_a_loss(tmp_path: Path) -> None:
    found = looked(tmp_path, app("engine = create_engine('postgresql://shop:pw@db/shop')"))
    assert loss(found, "the address of a database").where == "main.py:4"


def test_a_database_engine_that_the_environment_chooses_is_postgres(tmp_path: Path) -> None:
    found = looked(tmp_path, app("e = os.environ.get('SQL_ENGINE', 'django.db.backends.sqlite3')"))
    assert found.variables == {"": {"SQL_ENGINE": "django.db.backends.postgresql"}}


# -- how code reads -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        ["os.environ['DB_HOST']"],
        ["os.environ.get('DB_HOST')"],
        ["from os import environ", "environ['DB_HOST']"],
        ["import environ", "env = environ.Env()", "env('DB_HOST')"],
        ["import environ", "env = environ.Env()", "env.str('DB_HOST', default='x')"],
        ["from decouple import config", "config('DB_HOST')"],
        ["from starlette.config import Config", "config = Config('.env')", "config('DB_HOST')"],
        ["def get(name, default=None):", "    return os.getenv(name, default)", "get('DB_HOST')"],
        [
            "from pydantic_settings import BaseSettings",
            "class S(BaseSettings):",
            "    db_host: str",
        ],
        [
            "from pydantic_settings import BaseSettings, SettingsConfigDict",
            "class S(BaseSettings):",
            "    model_config = SettingsConfigDict(env_prefix='db_')",
            "    host: str",
        ],
        [
            "from pydantic import BaseSettings, Field",
            "class S(BaseSettings):",
            "    where: str = Field(..., env='DB_HOST')",
        ],
        [
            "from pydantic import BaseModel",
            "from pydantic_settings import BaseSettings",
            "class Db(BaseModel):",
            "    host: str",
            "class S(BaseSettings):",
            "    model_config = {'env_nested_delimiter': '_'}",
            "    db: Db",
        ],
    ],
)
def test_every_way_to_read_a_variable_is_known(tmp_path: Path, lines: list[str]) -> None:
    assert reads(looked(tmp_path, app(*lines))) == {"DB_HOST": "{POSTGRES_HOST}"}


def test_what_only_tests_and_other_programs_read_does_not_count(tmp_path: Path) -> None:
    other = "import os\nx = os.environ['STRIPE_KEY']\n"
    found = looked(tmp_path, app(), {"tests/test_x.py": other, "tools/send.py": other})
    assert not found.secrets and not found.losses


# -- secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("STRIPE_KEY", "sk_test_1", True),
        ("JWT_SECRET", "x", True),
        ("ADMIN_PASSWORD", "x", True),
        ("GITHUB_TOKEN", "x", True),
        ("EMAIL_URL", "smtp://me:pw@mail/", True),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "30", False),
        ("STRIPE_PUBLIC_KEY", "pk_test", False),
        ("KEY_PREFIX", "shop", False),
        ("USE_TOKEN", "true", False),
    ],
)
def test_secrets_are_told_by_name_and_value(
    tmp_path: Path, name: str, value: str, is_secret: bool
) -> None:
    found = looked(
        tmp_path, app(f"x = os.environ['{name}']"), {".env.example": f"{name}={value}\n"}
    )
    assert dict(found.secrets) == ({name: value} if is_secret else {})
    assert (name in reads(found)) is is_secret


def test_a_secret_that_must_be_has_a_value_for_development(tmp_path: Path) -> None:
    found = looked(tmp_path, app("x = os.environ['JWT_SECRET']"))
    assert found.secrets == {"JWT_SECRET": "jwt-secret-for-development"}


def test_a_secret_that_need_not_be_is_only_named(tmp_path: Path) -> None:
    found = looked(tmp_path, app("x = os.getenv('SENTRY_DSN')", "y = os.getenv('MAIL_PASSWORD')"))
    assert not found.secrets
    assert loss(found, "SENTRY_DSN, MAIL_PASSWORD").where == "main.py:4"


def test_a_secret_in_a_file_that_git_ignores_is_not_copied(tmp_path: Path) -> None:
    folder = written(
        tmp_path / "bookshop", {".gitignore": ".env\n", ".env": "STRIPE_KEY=sk_live_1\n"}
    )
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    found = looked(tmp_path, app("x = os.environ['STRIPE_KEY']"))
    assert found.secrets == {"STRIPE_KEY": "stripe-key-for-development"}
    assert "sk_live" not in str(found)
    assert loss(found, "a file that git ignores").where == ".env:1"


def test_nor_is_one_that_looks_like_a_secret_by_its_value_alone(tmp_path: Path) -> None:
    files = {
        ".env": "ADMIN_PATH=plFp9r1hL1uCjNPE7gZxP5zBbUMe60ZM/\nTITLE=Bookshop\n",
        ".gitignore": ".env\n",
    }
    folder = written(tmp_path / "bookshop", files)
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    found = looked(tmp_path, app("path = os.environ['ADMIN_PATH']", "x = os.environ['TITLE']"))
    assert "plFp9r1hL1" not in str((found.variables, found.secrets, found.facts))
    assert found.variables[""] == {"TITLE": "Bookshop"}
    assert "it isn't copied" in loss(found, "ADMIN_PATH").do


def test_what_nobody_can_make_up_is_said(tmp_path: Path) -> None:
    found = looked(
        tmp_path, app("x = os.environ['MAIL_API_KEY']"), {".env.example": "MAIL_API_KEY=x\n"}
    )
    assert "secrets/prod" in loss(found, "other services' secrets").do


def test_the_variable_that_secret_key_is_read_from_is_handed_ours(tmp_path: Path) -> None:
    found = looked(tmp_path, app("SECRET_KEY = os.getenv('COOKIES', 'x')"))
    assert reads(found) == {"COOKIES": "{SECRET_KEY}"}


# -- plain variables ------------------------------------------------------------------------------


def plain(tmp_path: Path, example: str, *lines: str) -> dict[str, dict[str, str]]:
    found = looked(tmp_path, app(*lines), {".env.example": example})
    return {kind: dict(values) for kind, values in found.variables.items()}


def test_a_value_that_may_be_right_everywhere_is_everywhere(tmp_path: Path) -> None:
    assert plain(tmp_path, "export TITLE='My shop' # hello\n") == {"": {"TITLE": "My shop"}}


def test_debugging_ends_in_production(tmp_path: Path) -> None:
    found = plain(tmp_path, "DEBUG=True\n", "x = os.getenv('DEBUG')")
    assert found == {
        "dev": {"DEBUG": "True"},
        "test": {"DEBUG": "True"},
        "prod": {"DEBUG": "False"},
    }


def test_an_environment_is_called_what_it_is(tmp_path: Path) -> None:
    found = plain(tmp_path, "APP_ENV=development\n", "x = os.getenv('APP_ENV')")
    assert found["prod"] == {"APP_ENV": "production"}


def test_hosts_of_production_are_the_domains_and_localhost(tmp_path: Path) -> None:
    found = plain(tmp_path, "ALLOWED_HOSTS=shop.com,localhost\n", "x = os.getenv('ALLOWED_HOSTS')")
    assert found["prod"] == {"ALLOWED_HOSTS": "shop.com,localhost,127.0.0.1"}


def test_hosts_that_only_development_can_have_are_to_be_decided(tmp_path: Path) -> None:
    found = looked(
        tmp_path, app("x = os.getenv('ALLOWED_HOSTS')"), {".env.example": "ALLOWED_HOSTS=*\n"}
    )
    assert found.variables["prod"] == {"ALLOWED_HOSTS": "localhost,127.0.0.1"}
    assert "your domain" in loss(found, "ALLOWED_HOSTS=*").do


def test_an_address_of_this_machine_is_left_to_the_code_in_production(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        app("x = os.getenv('FRONT', 'https://shop.com')"),
        {".env.example": "FRONT=http://localhost:5173\n"},
    )
    assert "prod" not in found.variables
    assert loss(found, "FRONT=http://localhost:5173").where == ".env.example:1"


def test_files_for_an_environment_hold_there(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        app("x = os.getenv('COLOUR')"),
        {
            ".envs/.local/.django": "COLOUR=red\n",
            ".envs/.production/.django": "COLOUR=blue\n",
            ".env.test": "COLOUR=green\n",
        },
    )
    assert found.variables == {
        "dev": {"COLOUR": "red"}, "test": {"COLOUR": "green"}, "prod": {"COLOUR": "blue"},
    }  # fmt: skip


def test_what_compose_alone_puts_in_is_not_the_apps(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        app(),
        {
            ".env.example": "COMPOSE_PROJECT_NAME=x\nMAIL_TAG=1.2\nDOCKER_X=1\nTITLE=Shop\n",
            "compose.yml": 'services:\n  mail: {image: "mail:${MAIL_TAG:-1}"}\n',
        },
    )
    assert found.variables == {"": {"TITLE": "Shop"}}


def test_references_in_an_env_file_are_put_in(tmp_path: Path) -> None:
    assert plain(tmp_path, "A=1\nB=${A}2\n")[""] == {"A": "1", "B": "12"}


def test_a_variable_that_must_be_and_is_nowhere_is_a_loss(tmp_path: Path) -> None:
    found = looked(tmp_path, app("x = os.environ['REGION']"))
    assert loss(found, "REGION is read and has no value").where == "main.py:4"


@pytest.mark.parametrize(
    "line",
    [
        "x = os.environ['REGION'] if 'REGION' in os.environ else ''",
        "if os.getenv('CLOUD'):\n    x = os.environ['REGION']",
        "try:\n    x = os.environ['REGION']\nexcept KeyError:\n    x = ''",
    ],
)
def test_one_that_is_only_read_where_it_is_set_need_not_be(tmp_path: Path, line: str) -> None:
    assert not looked(tmp_path, app(line)).losses


def test_one_that_ends_the_program_without_a_value_must_be(tmp_path: Path) -> None:
    found = looked(tmp_path, app("x = os.environ.get('REGIONS').split(',')"))
    assert loss(found, "REGIONS is read").where == "main.py:4"


# -- the two that the base sets in Gangway's words ------------------------------------------------

SETTINGS = """
    from typing import Literal
    from fastapi import FastAPI
    from pydantic_settings import BaseSettings
    class Settings(BaseSettings):
        ENVIRONMENT: Literal["local", "staging", "production"] = "local"
    settings = Settings()
    app = FastAPI()
    """


def test_an_environment_of_the_apps_own_words_is_handed_over(tmp_path: Path) -> None:
    found = looked(tmp_path, FASTAPI, {"main.py": SETTINGS})
    assert reads(found) == {"ENVIRONMENT": "{APP_ENVIRONMENT}"}
    assert {kind: dict(each) for kind, each in found.variables.items()} == {
        "dev": {"APP_ENVIRONMENT": "local"},
        "test": {"APP_ENVIRONMENT": "local"},
        "prod": {"APP_ENVIRONMENT": "production"},
    }


def test_a_log_level_in_capitals_is_handed_over(tmp_path: Path) -> None:
    found = looked(tmp_path, app("level = os.getenv('LOG_LEVEL', 'INFO')"))
    assert reads(found) == {"LOG_LEVEL": "INFO"}


def test_a_default_made_of_the_fields_before_it_is_known(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        app(
            "from pydantic_settings import BaseSettings",
            "class Settings(BaseSettings):",
            "    DRIVER: str = 'postgresql+asyncpg://'",
            "    STORE: str = f'{DRIVER}u:p@localhost:5432/shop'",
            libraries="pydantic-settings==2.9.1\nasyncpg==0.30.0\n",
        ),
    )
    assert reads(found)["STORE"].startswith("{database_url")


def test_the_start_of_an_address_is_none(tmp_path: Path) -> None:
    found = looked(tmp_path, app("a = os.getenv('URL_PREFIX', 'postgresql://')"))
    assert reads(found) == {}


def test_what_only_a_switch_of_the_environment_leads_to_need_not_be(tmp_path: Path) -> None:
    lines = [
        "USE_MAIL = os.getenv('USE_MAIL') == 'yes'",
        "if USE_MAIL:",
        "    host = os.environ['MAIL_HOST']",
    ]
    assert not looked(tmp_path, app(*lines)).losses


def test_hosts_written_in_json_stay_so(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        app(
            "import json",
            "hosts = json.loads(os.environ['ALLOWED_HOSTS'])",
        ),
        {".env.example": "ALLOWED_HOSTS='[\"shop.example\"]'\n"},
    )
    hosts = found.variables["prod"]["ALLOWED_HOSTS"]
    assert hosts == '["shop.example", "localhost", "127.0.0.1"]'
