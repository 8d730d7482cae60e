"""What native services run with: environments made from locks, by what the model says of builds."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gangway.base.errors import GangwayError
from gangway.engines.native.tools import Tools
from gangway.model.model import Model
from gangway.settings.apps import Libraries, libraries
from gangway.settings.environment import load
from tests.unit.conftest import lock_tools

ROOT = Path(__file__).parents[2]


def service(target: str = "development", **args: str) -> dict[str, Any]:
    build = {"dockerfile": "docker/app.Dockerfile", "target": target, "args": args}
    return {"build": build}


def wheel(shelf: Path, name: str) -> None:
    shelf.mkdir(exist_ok=True)
    with zipfile.ZipFile(shelf / f"{name}-1-py3-none-any.whl", "w") as archive:
        info = f"{name}-1.dist-info"
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
        archive.writestr(f"{info}/METADATA", text)
        text = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", text)
        archive.writestr(f"{info}/RECORD", "")
        archive.writestr(f"{name}/__init__.py", "")


class Checkout:
    """A checkout with two apps, and an index on the disk."""

    def __init__(self, root: Path) -> None:
        self.root, self.settings = root, {"ENVIRONMENT": "development"}
        for name, lock in (("shop", "base==1\n"), ("mail", "other==1\n")):
            self.write(f"{name}/requirements.txt", lock)
        lock_tools(root)
        self.shelf = root / "shelf"
        for name in ("base", "other", "tool", "pytest"):
            wheel(self.shelf, name)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def tools(self, services: Mapping[str, Any]) -> Tools:
        self.write("env/dev.env", "".join(f"{k}={v}\n" for k, v in self.settings.items()))
        shell = {
            "PATH": "/usr/bin:/bin", "HOME": str(self.root), "UV_OFFLINE": "1",
            "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(self.shelf),
        }  # fmt: skip
        environment = load(self.root, "dev", shell=shell)
        return Tools.of(environment, Model({"name": "x", "services": dict(services)}))

    def installed(self, tools: Tools, service: str) -> set[str]:
        venv = tools.venv(service)
        assert venv
        found = venv.glob("lib/python*/site-packages/*.dist-info")
        return {path.name.partition("-")[0] for path in found}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_what_a_service_has_is_what_its_build_s_arguments_say() -> None:
    found = libraries(service(APP="shop", LOCK="uv.lock", PACKAGE="shop", GROUPS="dev lint"))
    assert found == Libraries(("uv.lock",), package="shop", groups="dev lint")
    assert found.words == ["--package", "shop", "--groups", "dev lint", "uv.lock"]
    assert libraries(service(APP="shop", LOCK="")) == Libraries(("shop",))
    assert libraries({"image": "postgres"}) is None
    assert libraries({"build": {"dockerfile": "Dockerfile", "args": {"APP": "x"}}}) is None


def test_services_of_one_app_share_an_environment_and_another_app_has_its_own(
    checkout: Checkout,
) -> None:
    tools = checkout.tools(
        {"api": service(APP="shop"), "worker": service(APP="shop"), "mail": service(APP="mail")}
    )
    assert tools.venv("api") == tools.venv("worker") != tools.venv("mail")


def test_an_extra_service_has_its_libraries(checkout: Checkout) -> None:
    tools = checkout.tools({"api": service(APP="shop"), "mail": service(APP="mail")})
    tools.install()
    assert checkout.installed(tools, "api") == {"base"}
    assert checkout.installed(tools, "mail") == {"other"}


def test_what_the_tests_have_side_by_side_serves_each_app_of_it(checkout: Checkout) -> None:
    tools = checkout.tools(
        {
            "api": service(APP="shop"),
            "mail": service(APP="mail"),
            "worker": service(APP="shop", EXTRAS="tool.txt"),
            "test-runner": service("test", APP="shop", TEST_LOCKS="shop mail"),
        }
    )
    assert tools.venv("api") == tools.venv("mail") == tools.venv("test-runner")
    assert tools.venv("worker") != tools.venv("api")


@pytest.mark.parametrize("changed", ["shop/requirements.txt", "shop/pyproject.toml", "tool.txt"])
def test_whatever_says_what_is_installed_makes_it_outdated(
    checkout: Checkout, changed: str
) -> None:
    services = {"api": service(APP="shop", EXTRAS="tool.txt"), "mail": service(APP="mail")}
    checkout.write("tool.txt", "tool==1\n")
    tools = checkout.tools(services)
    assert not tools.current()
    tools.install()
    assert checkout.tools(services).current()
    before = tools.stamp("mail"), tools.stamp("api")
    checkout.write(changed, "# changed\n")
    again = checkout.tools(services)
    assert not again.current()
    assert again.stamp("mail") == before[0] and again.stamp("api") != before[1]


def test_a_fact_of_the_app_makes_it_outdated(checkout: Checkout) -> None:
    checkout.tools({"api": service(APP="shop")}).install()
    changed = checkout.tools({"api": service(APP="shop", FROM_SOURCE="base")})
    assert not changed.current()


def test_tests_find_a_pytest_apart_where_the_app_has_none(checkout: Checkout) -> None:
    hashed = subprocess.run(
        ["sha256sum", checkout.shelf / "pytest-1-py3-none-any.whl"],
        capture_output=True, text=True, check=True,
    ).stdout.split()[0]  # fmt: skip
    checkout.write("docker/requirements-pytest.txt", f"pytest==1 --hash=sha256:{hashed}\n")
    runner = {"test-runner": service("test", APP="shop")}
    checkout.tools({"api": service(APP="shop")}).install()
    tools = checkout.tools(runner)
    assert not tools.current()
    tools.install()
    venv = tools.venv("test-runner")
    assert venv and tools.current() and checkout.installed(tools, "test-runner") == {"base"}
    found = subprocess.run(
        [venv / "bin" / "python", "-c", "import pytest; print(pytest.__file__)"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert found.startswith(f"{venv}/pytest/")


def test_a_package_without_a_wheel_is_one_line_with_its_name(checkout: Checkout) -> None:
    (checkout.shelf / "old_package_of_a_long_name-1.tar.gz").write_bytes(b"")
    checkout.write("shop/requirements.txt", "old-package-of-a-long-name==1\n")
    with pytest.raises(GangwayError) as caught:
        checkout.tools({"api": service(APP="shop")}).install()
    said = str(caught.value)
    assert said.startswith("the libraries of api can't be installed: old-package-of-a-long-name ha")
    assert 'API_FROM_SOURCE="old-package-of-a-long-name"' in said


def test_a_python_that_is_not_here_is_told_with_what_needs_it(checkout: Checkout) -> None:
    checkout.settings["PYTHON_VERSION"] = "3.99"
    project = "[project]\nname = 'shop'\nrequires-python = '>=3.99'\n"
    checkout.write("shop/pyproject.toml", project)
    with pytest.raises(GangwayError) as caught:
        checkout.tools({"api": service(APP="shop")}).install()
    said = str(caught.value)
    assert "the app needs Python >=3.99 (shop/pyproject.toml)" in said
    assert "PYTHON_VERSION=3.99 isn't on this machine: install it" in said


def test_another_python_serves_an_app_that_takes_it_and_that_is_said(
    checkout: Checkout, capfd: pytest.CaptureFixture[str]
) -> None:
    checkout.settings["PYTHON_VERSION"] = "3.99"
    tools = checkout.tools({"api": service(APP="shop")})
    tools.install()
    assert checkout.installed(tools, "api") == {"base"}
    here = ".".join(map(str, sys.version_info[:2]))
    assert f"Python 3.99 (PYTHON_VERSION) isn't on this machine: this is {here}" in (
        capfd.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (
            ("--groups", "requirements/dev.txt", "requirements/prod.txt"),
            {
                "requirements/prod.txt": "-r base.txt\n-c limits.txt\n",
                "requirements/base.txt": "-e .\n-e ./libs/ours\n",
                "requirements/limits.txt": "",
                "requirements/dev.txt": "",
                "pyproject.toml": "",
                "libs/ours/pyproject.toml": "",
            },
        ),
        (
            ("--package", "b", "uv.lock"),
            {
                "uv.lock": "requires-python = '*'\n"
                + "".join(
                    f'[[package]]\nname = "{name}"\nsource = {{ {kind} = "{place}" }}\n'
                    for name, kind, place in (
                        ("a", "virtual", "."), ("b", "editable", "backend"),
                        ("c", "directory", "libs/shared"),
                    )
                ),
                "pyproject.toml": "[tool.uv.workspace]\nmembers = ['backend']\n",
                "backend/pyproject.toml": "[tool.uv.sources]\nc = {path = '../libs/shared'}\n",
                "libs/shared/pyproject.toml": "",
            },
        ),
        (
            ("app",),
            {
                "app/poetry.lock": "[metadata]\nlock-version = '2.1'\n",
                "app/pyproject.toml": "",
            },
        ),
        (("Pipfile.lock",), {"Pipfile.lock": '{"_meta": {}}', "Pipfile": ""}),
    ],
    ids=["requirements", "uv", "poetry", "pipenv"],
)  # fmt: skip
def test_what_an_installation_reads_is_what_is_looked_at(
    checkout: Checkout, words: tuple[str, ...], files: dict[str, str]
) -> None:
    for name, text in files.items():
        checkout.write(name, text)
    program = ROOT / "docker" / "install-dependencies"
    done = subprocess.run(
        [sys.executable, "-B", program, "--files", *words],
        cwd=checkout.root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    groups = words[1] if words[0] == "--groups" else ""
    looked_at = Libraries((words[-1],), groups=groups).files(checkout.root)
    read = set(done.stdout.splitlines())
    assert read == set(files)
    assert read <= {path.relative_to(checkout.root).as_posix() for path in looked_at}
