"""Which runner gets which tests: pytest, or one of an app's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangway.base.errors import GangwayError
from gangway.operations import testing
from gangway.operations.project import opened
from gangway.operations.testing import RUNNER, runners
from gangway.settings import environment

Options = testing.TestOptions
ROOT = Path(__file__).parents[2]
PYTEST = "python -m pytest"


def asked(stack: str, options: Options) -> list[str]:
    """Return the runners with the paths that they get."""
    loaded = environment.load(ROOT, "test", stack=stack, engine="docker", shell={})
    found = []
    for name, *words in runners(opened(loaded), options):
        assert name != RUNNER or " ".join(words).startswith(PYTEST)
        paths = [word for word in words if "." in word or "/" in word]
        skipped = {"pytest.ini"}
        found.append(" ".join([name, *(p for p in paths if "=" not in p and p not in skipped)]))
    return found


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ((), [RUNNER, "frontend-tests"]),
        (("apps/api/tests/test_habits.py",), [f"{RUNNER} api/tests/test_habits.py"]),
        (("./apps/frontend/tests",), [f"{RUNNER} frontend/tests", "frontend-tests"]),
        (("apps/frontend/tests/habits.test.ts",), ["frontend-tests habits.test.ts"]),
        (
            ("apps/frontend/tests/test_pages.py::test_the_front_end_is_well",),
            [f"{RUNNER} frontend/tests/test_pages.py::test_the_front_end_is_well"],
        ),
        (
            ("apps/frontend/tests/habits.test.ts", "apps/api/tests"),
            [f"{RUNNER} api/tests", "frontend-tests habits.test.ts"],
        ),
    ],
)
def test_a_path_goes_to_the_runner_that_knows_its_tests(
    paths: tuple[str, ...], expected: list[str]
) -> None:
    assert asked("fullstack", Options(paths)) == expected


@pytest.mark.parametrize(
    ("folder", "path", "expected"),
    [
        ("apps/api", "tests/test_habits.py", f"{RUNNER} api/tests/test_habits.py"),
        ("apps/api/tests", "test_habits.py::test_x[a b]", f"{RUNNER} api/tests/test_habits.py::"),
        ("apps/frontend", "tests/habits.test.ts", "frontend-tests habits.test.ts"),
        ("docs", f"{ROOT}/apps/frontend/tests/habits.test.ts", "frontend-tests habits.test.ts"),
        ("docs", "../apps/api/tests", f"{RUNNER} api/tests"),
        ("docs", "apps/api/tests", f"{RUNNER} api/tests"),
    ],
)
def test_a_path_is_taken_from_the_folder_that_it_was_typed_in(
    folder: str, path: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT / folder)
    (found,) = asked("fullstack", Options((path,)))
    assert found.startswith(expected)


def test_a_stack_without_a_runner_of_its_own_has_pytest_alone() -> None:
    assert asked("core", Options()) == [RUNNER]


@pytest.mark.parametrize(
    "options",
    [Options(expression="streak"), Options(coverage=True), Options(arguments=("-x",))],
)
def test_what_only_pytest_understands_runs_pytest_alone(options: Options) -> None:
    assert asked("fullstack", options) == [RUNNER]


def test_options_that_leave_no_test_to_run_are_refused() -> None:
    with pytest.raises(GangwayError, match="frontend-tests is not"):
        asked("fullstack", Options(("apps/frontend/tests/habits.test.ts",), expression="name"))
