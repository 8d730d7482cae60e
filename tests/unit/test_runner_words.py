"""What the test-runner is told: the app's own configuration counts, with a path and without."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gangway.base.errors import GangwayError
from gangway.operations.project import Project, opened
from gangway.operations.runner_words import Wanted, command, nothing_found, where
from gangway.settings.environment import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Checkout

COMPOSE = """\
services:
  test-runner:
    image: x
    profiles: [test-runner]
    working_dir: /srv/app/${TEST_WORKDIR:-}
    volumes: ["./${TEST_SOURCE:-apps}:/srv/app"]
"""
ALL = ["python", "-m", "pytest"]
A_TEST = "def test_it(): pass\n"


class App:
    """A checkout with an app in `backend`, whose tests are in `backend/tests`."""

    def __init__(self, checkout: Checkout, shell: dict[str, str]) -> None:
        self.write, self.shell = checkout, shell
        self.root = checkout(
            {
                "env/contract.yml": "groups: {}",
                "c.yml": COMPOSE,
                "backend/tests/test_a.py": A_TEST,
                "backend/tests/deep/test_b.py": A_TEST,
                "other/test_c.py": A_TEST,
            }
        )

    def project(self, **settings: str) -> Project:
        settings = {"TEST_SOURCE": "backend", **settings}
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        self.write({"env/test.env": f"ENVIRONMENT=test\nCOMPOSE_FILE=c.yml\n{lines}"})
        return opened(load(self.root, "test", engine="docker", shell=self.shell))

    def words(self, *paths: str, wanted: Wanted = Wanted(), **settings: str) -> list[str]:  # noqa: B008
        return command(self.project(**settings), paths, wanted)


@pytest.fixture
def app(checkout: Checkout, shell: dict[str, str]) -> App:
    return App(checkout, shell)


def test_without_a_path_pytest_is_left_to_itself(app: App) -> None:
    assert app.words() == ALL
    assert app.words(STACK_APPS="") == ALL


@pytest.mark.parametrize(
    "path",
    ["backend/tests/test_a.py", "./backend/tests/test_a.py", "tests/test_a.py"],
)
def test_a_path_is_seen_from_the_checkout_and_from_where_the_tests_run(app: App, path: str) -> None:
    assert app.words(path)[-1] == "tests/test_a.py"
    assert app.words(f"{path}::test_it")[-1] == "tests/test_a.py::test_it"


def test_a_path_is_seen_from_a_working_directory_within_the_sources(app: App) -> None:
    app.write({"backend/src/inner/test_d.py": A_TEST})
    found = [
        app.words(path, TEST_WORKDIR="src")[-1]
        for path in ("backend/tests/test_a.py", "inner/test_d.py", "backend/src/inner/test_d.py")
    ]
    assert found == ["../tests/test_a.py", "inner/test_d.py", "inner/test_d.py"]
    assert where(app.project(TEST_WORKDIR="src")).folder == app.root / "backend" / "src"


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("tests/test_z.py", "there is no tests/test_z.py, neither in the checkout nor in backend"),
        ("other/test_c.py", "the tests don't see other/test_c.py: they have backend"),
    ],
)
def test_a_path_that_is_not_there_or_not_seen_is_refused(app: App, path: str, what: str) -> None:
    with pytest.raises(GangwayError) as caught:
        app.words(path)
    assert caught.value.message == what


CONFIGURED = {
    "pytest.ini": "",
    "tox.ini": "[tox]\n[pytest]\naddopts = -q\n",
    "setup.cfg": "[tool:pytest]\naddopts = -q\n",
    "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '-q'\n",
}


@pytest.mark.parametrize("name", CONFIGURED)
@pytest.mark.parametrize("workdir", ["", "src"])
def test_the_same_configuration_and_root_folder_count_with_a_path_and_without(
    app: App, name: str, workdir: str
) -> None:
    path = "backend/tests/deep"
    # One nearer to a test would be found first.
    app.write(
        {f"backend/{name}": CONFIGURED[name], "backend/tests/deep/setup.cfg": "[tool:pytest]\n"}
    )
    (app.root / "backend" / "src").mkdir()
    words = [app.words(TEST_WORKDIR=workdir), app.words(path, TEST_WORKDIR=workdir)]
    folder = app.root / "backend" / workdir
    assert heads(folder, words[0]) == heads(folder, words[1])
    assert heads(folder, words[0])[1] == f"configfile: {name}"


@pytest.mark.parametrize("marker", ["", "setup.py", "pyproject.toml"])
def test_without_a_configuration_the_root_folder_is_the_same(app: App, marker: str) -> None:
    (app.root / "backend" / "src").mkdir()
    if marker:
        app.write({f"backend/{marker}": ""})
    folder = app.root / "backend" / "src"
    words = [app.words(*paths, TEST_WORKDIR="src") for paths in ((), ("backend/tests/deep",))]
    assert heads(folder, words[0])[0] == heads(folder, words[1])[0]


def heads(folder: Path, words: list[str]) -> list[str]:
    """Return what pytest itself says of its root folder and configuration."""
    done = subprocess.run(
        [sys.executable, *words[1:], "--collect-only", "-p", "no:cacheprovider", "-vv"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = [
        line for line in done.stdout.splitlines() if line.startswith(("rootdir", "configfile"))
    ]
    return [line.partition(" (")[0] for line in found]


def test_paths_of_the_stack_are_pytest_s_where_none_is_named(app: App) -> None:
    app.write({"backend/pytest.ini": ""})
    paths = "tests/deep tests/test_a.py"
    assert app.words(TEST_PATHS=paths) == [*ALL, "-o", f"testpaths={paths}"]
    assert app.words("tests/test_a.py", TEST_PATHS=paths) == [
        *ALL,
        "-c",
        "pytest.ini",
        "tests/test_a.py",
    ]


def test_pytest_takes_no_testpaths_where_its_configuration_is_above(app: App) -> None:
    app.write({"backend/pytest.ini": "", "backend/src/x": ""})
    words = app.words(TEST_PATHS="../tests/deep", TEST_WORKDIR="src")
    assert words == [*ALL, "-c", "../pytest.ini", "../tests/deep"]


def test_the_samples_tests_are_those_of_the_stack_s_apps(app: App) -> None:
    app.write(
        {
            "apps/one/tests/test_x.py": A_TEST,
            "apps/two/tests/test_y.py": A_TEST,
            "apps/pytest.ini": "",
        }
    )
    words = app.words(TEST_SOURCE="apps", STACK_APPS="one two three")
    assert words == [*ALL, "-o", "testpaths=one/tests two/tests", "--confcutdir", "one"]
    words = app.words("apps/two/tests", TEST_SOURCE="apps", STACK_APPS="one two")
    assert words == [*ALL, "-c", "pytest.ini", "--confcutdir", "one", "two/tests"]


def test_options_are_pytest_s_own(app: App) -> None:
    wanted = Wanted("name", coverage=True, arguments=("--junitxml=report.xml", "--lf"))
    assert app.words(wanted=wanted)[3:] == [
        "-k", "name", "--cov", "--cov-report=term-missing:skip-covered",
        "--junitxml=report.xml", "--lf",
    ]  # fmt: skip


CUSTOM = "python manage.py test --settings='my settings'"


def test_a_command_of_one_s_own_stands_in_pytest_s_place(app: App) -> None:
    own = ["python", "manage.py", "test", "--settings=my settings"]
    wanted = Wanted(arguments=("--failfast", "shop.tests"))
    assert app.words(TEST_COMMAND=f'"{CUSTOM}"') == own
    words = app.words("tests/deep", wanted=wanted, TEST_COMMAND=f'"{CUSTOM}"')
    assert words == [*own, "tests/deep", "--failfast", "shop.tests"]


@pytest.mark.parametrize("wanted", [Wanted("name"), Wanted(coverage=True)])
def test_what_is_pytest_s_alone_is_refused_with_the_reason(app: App, wanted: Wanted) -> None:
    with pytest.raises(GangwayError, match="pytest's, and TEST_COMMAND runs tox"):
        app.words(wanted=wanted, TEST_COMMAND="tox")


def test_a_command_that_can_not_be_read_is_refused(app: App) -> None:
    with pytest.raises(GangwayError, match=r"TEST_COMMAND: .* can't be read"):
        app.words(TEST_COMMAND="tox 'it")


def test_what_is_no_path_goes_behind_the_dashes(app: App) -> None:
    with pytest.raises(GangwayError) as caught:
        app.words("shop.tests", TEST_COMMAND="tox")
    assert caught.value.fix == "what isn't a path goes to tox after --"


@pytest.mark.parametrize(
    ("files", "settings", "paths", "expression", "said"),
    [
        ({}, {}, (), "", "in backend, pytest looked in all that is below for test_*.py *_test"),
        ({}, {"TEST_PATHS": "src"}, (), "", "pytest looked in src for"),
        (
            {}, {}, ("tests/deep",), "word",
            "in tests/deep for test_*.py *_test.py, with names that match 'word'",
        ),
        (
            {"backend/pyproject.toml": "[tool.pytest.ini_options]\ntestpaths = ['a', 'b']\n"},
            {}, (), "", "looked in a b (testpaths in backend/pyproject.toml) for test_*",
        ),
        ({"backend/setup.cfg": "[tool:pytest]\npython_files = c_*.py\n"}, {}, (), "", "for c_*.py"),
        ({"backend/pytest.ini": "broken"}, {}, (), "", "looked in all that is below"),
        ({}, {"TEST_COMMAND": "tox"}, (), "", "tox ended with status 5"),
    ],
)  # fmt: skip
def test_a_run_without_a_test_says_what_was_looked_for(
    app: App,
    files: dict[str, str],
    settings: dict[str, str],
    paths: tuple[str, ...],
    expression: str,
    said: str,
) -> None:
    app.write(files)
    assert said in nothing_found(app.project(**settings), paths, expression)
