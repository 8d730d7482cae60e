"""Locks: which one counts, what it says, and whether it is still its project's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from gangway.base.errors import GangwayError
from gangway.operations.adoption.look.locks.pipenv import pipfile_hash
from gangway.operations.adoption.look.locks.poetry import content_hash
from tests.unit.adoption.looked import FASTAPI, looked, loss

APP = {"main.py": FASTAPI["main.py"]}
PROJECT = """
    [project]
    name = "Shop"
    version = "1"
    requires-python = ">=3.12"
    dependencies = ["fastapi>=0.115", "psycopg[binary]>=3"]
    [dependency-groups]
    dev = ["pytest>=8"]
    docs = ["sphinx"]
    """
UV_LOCK = """
    version = 1
    requires-python = ">=3.12"

    [[package]]
    name = "fastapi"
    version = "0.115.4"
    source = { registry = "https://index.example/simple" }
    wheels = [
        { url = "https://index.example/fastapi-0.115.4-py3-none-any.whl", hash = "sha256:1" },
    ]

    [[package]]
    name = "psycopg"
    version = "3.2.1"
    source = { registry = "https://index.example/simple" }
    wheels = [
        { url = "https://index.example/psycopg-3.2.1-py3-none-any.whl", hash = "sha256:1" },
    ]

    [package.optional-dependencies]
    binary = [
        { name = "psycopg-binary" },
    ]
    c = [
        { name = "psycopg-c" },
    ]

    [[package]]
    name = "psycopg-binary"
    version = "3.2.1"
    source = { registry = "https://index.example/simple" }
    wheels = [
        { url = "https://index.example/psycopg_binary-3.2.1-cp312-abi3-manylinux_2_17_arm.whl" },
    ]

    [[package]]
    name = "psycopg-c"
    version = "3.2.1"
    source = { registry = "https://index.example/simple" }
    sdist = { url = "https://index.example/psycopg_c-3.2.1.tar.gz", hash = "sha256:1" }

    [[package]]
    name = "pytest"
    version = "8.3.0"
    source = { registry = "https://index.example/simple" }
    wheels = [
        { url = "https://index.example/pytest-8.3.0-py3-none-any.whl", hash = "sha256:1" },
    ]

    [[package]]
    name = "shop"
    version = "1"
    source = { virtual = "." }
    dependencies = [
        { name = "fastapi" },
        { name = "psycopg", extra = ["binary"] },
    ]

    [package.dev-dependencies]
    dev = [
        { name = "pytest" },
    ]

    [package.metadata]
    requires-dist = [
        { name = "fastapi", specifier = ">=0.115" },
        { name = "psycopg", extras = ["binary"], specifier = ">=3" },
    ]

    [package.metadata.requires-dev]
    dev = [{ name = "pytest", specifier = ">=8" }]
    docs = [{ name = "sphinx" }]
    """
UV = {**APP, "pyproject.toml": PROJECT, "uv.lock": UV_LOCK}


def test_uv_lock_is_taken_with_the_groups_for_development(tmp_path: Path) -> None:
    found = looked(tmp_path, UV)
    assert (found.facts["API_LOCK"], found.facts["API_GROUPS"]) == ("uv.lock", "dev")
    assert found.about == "a FastAPI 0.115 app, locked by uv"
    assert not found.lock_missing


def test_a_package_without_a_wheel_is_built_if_it_is_asked_for(tmp_path: Path) -> None:
    assert "API_FROM_SOURCE" not in looked(tmp_path, UV).facts
    found = looked(
        tmp_path,
        {
            "pyproject.toml": PROJECT.replace("[binary]", "[c]"),
            "uv.lock": UV_LOCK.replace('extra = ["binary"]', 'extra = ["c"]'),
        },
    )
    assert found.facts["API_FROM_SOURCE"] == "psycopg-c"
    assert found.facts["API_BUILD_PACKAGES"] == "gcc libc6-dev libpq-dev"
    assert found.facts["API_RUN_PACKAGES"] == "libpq5"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"fastapi>=0.115"', '"fastapi>=0.116"', "it has fastapi otherwise"),
        ('"fastapi>=0.115"', '"fastapi>=0.115", "httpx"', "httpx of pyproject.toml isn't in it"),
        ('"fastapi>=0.115", ', "", "it has fastapi, which"),
        ('["pytest>=8"]', '["pytest>=8", "mypy"]', "mypy of pyproject.toml's group dev"),
        ('name = "Shop"', 'name = "Store"', "store isn't in it"),
    ],
)
def test_a_uv_lock_of_another_day_is_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    with pytest.raises(GangwayError, match="doesn't match") as caught:
        looked(tmp_path, UV, {"pyproject.toml": PROJECT.replace(old, new)})
    assert why in str(caught.value)
    assert (caught.value.where, caught.value.fix) == ("uv.lock", "run: uv lock")


def test_the_same_specifier_in_another_order_is_the_same(tmp_path: Path) -> None:
    project = PROJECT.replace(">=0.115", "<1,>=0.115")
    lock = UV_LOCK.replace('specifier = ">=0.115"', 'specifier = ">=0.115,<1"')
    found = looked(tmp_path, UV, {"pyproject.toml": project, "uv.lock": lock})
    assert found.facts["API_LOCK"] == "uv.lock"


def test_a_package_from_git_is_built_and_named(tmp_path: Path) -> None:
    git = 'source = { git = "https://git.example/fastapi?rev=1#abc" }'
    lock = UV_LOCK.replace('source = { registry = "https://index.example/simple" }', git, 1)
    found = looked(tmp_path, UV, {"uv.lock": lock})
    assert found.facts["API_FROM_SOURCE"] == "fastapi"
    assert "git" in found.facts["API_BUILD_PACKAGES"].split()
    assert loss(found, "fastapi comes from https://git.example/fastapi").where == "uv.lock:5"


def test_a_group_that_is_the_whole_workspaces_counts_for_its_member(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        {
            "pyproject.toml": """
                [tool.uv.workspace]
                members = ["shop"]
                [dependency-groups]
                test = ["pytest"]
                """,
            "shop/pyproject.toml": "[project]\nname = 'shop'\ndependencies = ['fastapi']\n",
            "shop/main.py": FASTAPI["main.py"],
            "uv.lock": """
                version = 1

                [[package]]
                name = "shop"
                version = "1"
                source = { virtual = "shop" }
                dependencies = [
                    { name = "fastapi" },
                ]

                [package.metadata]
                requires-dist = [{ name = "fastapi" }]
                """,
        },
    )
    assert (found.facts["API_PACKAGE"], found.facts["API_GROUPS"]) == ("shop", "test")


def test_only_a_pyproject_is_to_be_locked(tmp_path: Path) -> None:
    found = looked(tmp_path, APP, {"pyproject.toml": PROJECT})
    assert found.lock_missing
    assert (found.facts["API_LOCK"], found.facts["API_GROUPS"]) == ("uv.lock", "dev")
    assert found.about == "a FastAPI app, not locked yet"


def test_an_extra_with_pytest_is_for_tests_where_no_group_has_it(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        APP,
        {
            "pyproject.toml": """
                [project]
                name = "shop"
                dependencies = ["fastapi"]
                optional-dependencies = {checks = ["pytest"]}
                """
        },
    )
    assert found.facts["API_GROUPS"] == "checks"
    assert "API_EXTRAS" not in found.facts


# -- Poetry ---------------------------------------------------------------------------------------

POETRY_PROJECT: dict[str, Any] = {
    "tool": {
        "poetry": {
            "name": "shop",
            "dependencies": {"python": "^3.12", "fastapi": "^0.115"},
            "group": {"dev": {"dependencies": {"pytest": "^8"}}},
        }
    }
}
POETRY_TOML = """
    [tool.poetry]
    name = "shop"
    [tool.poetry.dependencies]
    python = "^3.12"
    fastapi = "^0.115"
    [tool.poetry.group.dev.dependencies]
    pytest = "^8"
    """
POETRY_LOCK = """
    [[package]]
    name = "fastapi"
    version = "0.115.4"
    groups = ["main"]
    files = [
        {file = "fastapi-0.115.4-py3-none-any.whl", hash = "sha256:1"},
    ]

    [metadata]
    lock-version = "2.1"
    python-versions = "^3.12"
    content-hash = "HASH"
    """.replace("HASH", content_hash(POETRY_PROJECT, groups=True))


def test_poetrys_lock_is_taken_with_its_group(tmp_path: Path) -> None:
    found = looked(tmp_path, APP, {"pyproject.toml": POETRY_TOML, "poetry.lock": POETRY_LOCK})
    assert (found.facts["API_LOCK"], found.facts["API_GROUPS"]) == ("poetry.lock", "dev")
    assert found.facts["PYTHON_VERSION"] == "3.13"


def test_poetrys_hash_is_the_one_that_the_image_checks() -> None:
    # As Poetry 2 writes it for this pyproject.toml.
    own = POETRY_PROJECT["tool"]["poetry"]
    relevant = {
        "dependencies": own["dependencies"], "source": None, "extras": None,
        "dev-dependencies": None, "group": own["group"],
    }  # fmt: skip
    wanted = hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()
    assert content_hash(POETRY_PROJECT, groups=True) == wanted


def test_a_poetry_lock_of_another_day_is_refused(tmp_path: Path) -> None:
    changed = POETRY_TOML.replace("^0.115", "^0.116")
    with pytest.raises(GangwayError, match=r"pyproject\.toml was changed since") as caught:
        looked(tmp_path, APP, {"pyproject.toml": changed, "poetry.lock": POETRY_LOCK})
    assert caught.value.fix == "run: poetry lock"


def test_the_lock_of_an_older_poetry_is_refused(tmp_path: Path) -> None:
    lock = POETRY_LOCK.replace('"2.1"', '"2.0"')
    with pytest.raises(GangwayError, match=r"its format is 2\.0"):
        looked(tmp_path, APP, {"pyproject.toml": POETRY_TOML, "poetry.lock": lock})


def test_poetry_without_a_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GangwayError, match=r"no poetry\.lock"):
        looked(tmp_path, APP, {"pyproject.toml": POETRY_TOML})


# -- Pipenv ---------------------------------------------------------------------------------------

PIPFILE = """
    [[source]]
    url = "https://index.example/simple"
    verify_ssl = true
    name = "example"
    [packages]
    fastapi = "*"
    [dev-packages]
    pytest = "*"
    [requires]
    python_version = "3.12"
    """
PIPFILE_DATA = {
    "source": [{"url": "https://index.example/simple", "verify_ssl": True, "name": "example"}],
    "packages": {"fastapi": "*"},
    "dev-packages": {"pytest": "*"},
    "requires": {"python_version": "3.12"},
}
PIPFILE_LOCK = json.dumps(
    {
        "_meta": {"hash": {"sha256": pipfile_hash(PIPFILE_DATA)}},
        "default": {"fastapi": {"version": "==0.115.4", "hashes": ["sha256:1"]}},
        "develop": {"pytest": {"version": "==8.3.0", "hashes": ["sha256:1"]}},
    }
)


def test_pipenvs_lock_is_taken(tmp_path: Path) -> None:
    found = looked(tmp_path, APP, {"Pipfile": PIPFILE, "Pipfile.lock": PIPFILE_LOCK})
    assert (found.facts["API_LOCK"], found.facts["API_GROUPS"]) == ("Pipfile.lock", "develop")
    assert found.facts["PYTHON_VERSION"] == "3.12"


def test_a_pipfile_lock_of_another_day_is_refused(tmp_path: Path) -> None:
    changed = PIPFILE.replace('fastapi = "*"', 'fastapi = "*"\n    httpx = "*"')
    with pytest.raises(GangwayError, match="Pipfile was changed since"):
        looked(tmp_path, APP, {"Pipfile": changed, "Pipfile.lock": PIPFILE_LOCK})


# -- requirements files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "lock"),
    [
        (["requirements.txt", "requirements-dev.txt"], "requirements.txt"),
        (["requirements/base.txt", "requirements/production.txt"], "requirements/production.txt"),
        (["requirements.txt", "requirements-lock.txt"], "requirements-lock.txt"),
        (["requirements/base.txt", "requirements/local.txt"], "requirements/base.txt"),
    ],
)
def test_the_file_that_production_installs_is_the_lock(
    tmp_path: Path, files: list[str], lock: str
) -> None:
    found = looked(tmp_path, APP, dict.fromkeys(files, "fastapi==0.115.0\n"))
    assert found.facts["API_LOCK"] == lock


def test_the_file_that_the_dockerfile_installs_counts_more(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        {
            "requirements/server.txt": "fastapi==0.115.0\n",
            "Dockerfile": """
                FROM python:3.13
                COPY . /app
                RUN pip install -r requirements/server.txt
                """,
        },
    )
    assert found.facts["API_LOCK"] == "requirements/server.txt"


def test_files_for_developers_are_groups(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        APP,
        {
            "requirements/base.txt": "fastapi==0.115.0\n",
            "requirements/production.txt": "-r base.txt\ngunicorn==23.0.0\n",
            "requirements/local.txt": "-r base.txt\npytest==8.3.0\n",
        },
    )
    assert found.facts["API_GROUPS"] == "requirements/local.txt"


def test_what_is_not_pinned_is_named_once(tmp_path: Path) -> None:
    found = looked(tmp_path, APP, {"requirements.txt": "fastapi\nuvicorn>=0.30\nhttpx==0.28.0\n"})
    unlocked = loss(found, "not locked: fastapi, uvicorn>=0.30")
    assert unlocked.where == "requirements.txt:1"
    assert "other versions" in unlocked.do


def test_what_has_hashes_is_locked(tmp_path: Path) -> None:
    text = "fastapi==0.115.0 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n# via app\n"
    assert not looked(tmp_path, APP, {"requirements.txt": text}).losses


def test_what_comes_from_elsewhere_is_named(tmp_path: Path) -> None:
    text = """
        fastapi==0.115.0
        git+https://git.example/x.git@1#egg=x
        y @ https://example.com/y.whl
        -e .
        """
    found = looked(tmp_path, APP, {"requirements.txt": text})
    assert {each.where for each in found.losses} == {"requirements.txt:2", "requirements.txt:3"}
    assert found.facts["API_FROM_SOURCE"] == "x y"


def test_a_package_of_the_repository_is_imported_from_its_folder(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        APP,
        {
            "requirements.txt": "fastapi==0.115.0\n-e ./libs/common\n",
            "libs/common/src/common/__init__.py": "",
        },
    )
    assert found.facts["API_PYTHONPATH"] == "libs/common/src"
    assert not found.losses


def test_psycopg2_is_built(tmp_path: Path) -> None:
    found = looked(tmp_path, APP, {"requirements.txt": "fastapi==0.115.0\npsycopg2==2.9.9\n"})
    assert found.facts["API_FROM_SOURCE"] == "psycopg2"
    assert "libpq-dev" in found.facts["API_BUILD_PACKAGES"]
    assert found.facts["API_RUN_PACKAGES"] == "libpq5"


def test_plain_psycopg_needs_the_systems_library(tmp_path: Path) -> None:
    plain = looked(tmp_path, APP, {"requirements.txt": "psycopg==3.2.1\n"})
    assert plain.facts["API_RUN_PACKAGES"] == "libpq5"
    binary = looked(tmp_path, APP, {"requirements.txt": "psycopg[binary]==3.2.1\n"})
    assert "API_RUN_PACKAGES" not in binary.facts


def test_a_driver_of_mysql_is_a_loss(tmp_path: Path) -> None:
    found = looked(tmp_path, APP, {"requirements.txt": "fastapi==0.115.0\nmysqlclient==2.2.0\n"})
    assert loss(found, "mysqlclient").where == "requirements.txt:2"


def test_no_list_of_libraries_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GangwayError, match="which libraries"):
        looked(tmp_path, APP)


def test_what_only_setup_py_asks_for_is_refused_with_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(GangwayError, match="nothing locks") as caught:
        looked(tmp_path, APP, {"setup.py": "from setuptools import setup\nsetup()\n"})
    assert caught.value.fix and "uv pip compile setup.py" in caught.value.fix


# -- Python ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({}, "3.13"),
        ({".python-version": "3.12\n"}, "3.12"),
        ({"runtime.txt": "python-3.11.9\n"}, "3.11"),
        ({"Dockerfile": "ARG V=3.12\nFROM python:${V}-slim\nCOPY . /app\n"}, "3.12"),
        ({"Dockerfile": "FROM ghcr.io/astral-sh/uv:python3.14-trixie\nCOPY . /app\n"}, "3.14"),
        ({"pyproject.toml": "[project]\nname = 'x'\nrequires-python = '>=3.14'\n"}, "3.14"),
        ({"pyproject.toml": "[project]\nname = 'x'\nrequires-python = '~=3.12.0'\n"}, "3.12"),
        ({"pyproject.toml": "[project]\nname = 'x'\nrequires-python = '<3.13'\n"}, "3.12"),
    ],
    ids=["default", "pin", "runtime", "docker", "uv's image", "newer", "one minor", "older"],
)
def test_the_python_is_one_that_all_allow(
    tmp_path: Path, files: dict[str, str], version: str
) -> None:
    assert looked(tmp_path, FASTAPI, files).facts["PYTHON_VERSION"] == version


def test_a_pin_that_the_project_does_not_allow_is_a_loss(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        FASTAPI,
        {
            ".python-version": "3.12\n",
            "pyproject.toml": "[project]\nname = 'x'\nrequires-python = '>=3.13'\n",
        },
    )
    assert found.facts["PYTHON_VERSION"] == "3.13"
    assert "pyproject.toml:3 doesn't allow it" in loss(found, "Python 3.12").do


def test_a_python_without_an_image_is_said(tmp_path: Path) -> None:
    found = looked(tmp_path, FASTAPI, {"Dockerfile": "FROM python:3.9-slim\nCOPY . /app\n"})
    assert found.facts["PYTHON_VERSION"] == "3.11"
    assert loss(found, "Python 3.9").where == "Dockerfile:1"


def test_an_app_that_no_image_is_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GangwayError, match="no image for the Python"):
        looked(
            tmp_path,
            FASTAPI,
            {"pyproject.toml": "[project]\nname = 'x'\nrequires-python = '>=3.8,<3.10'\n"},
        )


@pytest.mark.parametrize(
    ("head", "command"),
    [("# by pip-compile\n", "pip-compile"), ("", "uv pip compile")],
)
def test_requirements_that_ask_for_more_than_is_locked_are_refused(
    tmp_path: Path, head: str, command: str
) -> None:
    files = {
        **APP,
        "requirements.in": "fastapi\nhttpx\nsetuptools\npywin32; sys_platform == 'win32'\n",
        "requirements.txt": f"{head}fastapi==0.115.4\n",
    }
    with pytest.raises(GangwayError, match="httpx of") as caught:
        looked(tmp_path, files)
    assert caught.value.fix == f"run: {command} requirements.in -o requirements.txt"


def test_requirements_that_have_all_that_is_asked_for_are_taken(tmp_path: Path) -> None:
    files = {**APP, "requirements.in": "FastAPI\n", "requirements.txt": "fastapi==0.115.4\n"}
    assert looked(tmp_path, files).facts["API_LOCK"] == "requirements.txt"
