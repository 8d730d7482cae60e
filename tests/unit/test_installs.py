"""The files that say what is installed, and those that they refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gangway.settings import installs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Checkout


def found(root: Path, *places: str) -> list[str]:
    files = installs.files(root / place for place in places)
    return sorted(path.relative_to(root).as_posix() for path in files)


def test_a_folder_s_locks_count_and_its_sources_do_not(checkout: Checkout) -> None:
    names = ["uv.lock", "poetry.lock", "Pipfile", "Pipfile.lock", "pyproject.toml", "setup.cfg"]
    names += [
        "requirements.txt",
        "requirements-dev.txt",
        "dev-requirements.txt",
        "package-lock.json",
    ]
    root = checkout({f"app/{name}": "" for name in (*names, "main.py", "notes.txt", "app.toml")})
    assert found(root, "app") == sorted(f"app/{name}" for name in names)


def test_requirements_include_others(checkout: Checkout) -> None:
    root = checkout(
        {
            "app/requirements/production.txt": "-r base.txt\n--constraint=../limits.txt\nx==1\n",
            "app/requirements/base.txt": "-e ../../lib  # ours\n",
            "app/limits.txt": "-r gone.txt\n",
            "lib/pyproject.toml": "",
            "lib/code.py": "",
        }
    )
    assert found(root, "app/requirements/production.txt") == [
        "app/limits.txt",
        "app/requirements/base.txt",
        "app/requirements/production.txt",
        "lib/pyproject.toml",
    ]


def test_a_workspace_has_its_members_and_packages_beside_it(checkout: Checkout) -> None:
    project = (
        '[tool.uv.workspace]\nmembers = [\n  "packages/*",\n  "api",\n]\n'
        '[tool.uv.sources]\nlib = { path = "../lib", editable = true }\n'
        '[tool.hatch.version]\npath = "src/about.py"\n'
    )
    root = checkout(
        {
            "ws/pyproject.toml": project,
            "ws/uv.lock": "",
            "ws/src/about.py": "",
            "ws/api/pyproject.toml": "",
            "ws/packages/one/pyproject.toml": "",
            "lib/pyproject.toml": "",
        }
    )
    assert found(root, "ws") == [
        "lib/pyproject.toml",
        "ws/api/pyproject.toml",
        "ws/packages/one/pyproject.toml",
        "ws/pyproject.toml",
        "ws/uv.lock",
    ]


@pytest.mark.parametrize("text", ["-r requirements.txt\n", "-r .\n", "-r \x00\n"])
def test_what_includes_itself_or_nothing_ends(checkout: Checkout, text: str) -> None:
    root = checkout({"requirements.txt": text})
    assert found(root, "requirements.txt") == ["requirements.txt"]
