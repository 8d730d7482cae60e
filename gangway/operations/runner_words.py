"""What the test-runner is told: the app's own configuration decides, whatever path is named."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from gangway.base.errors import GangwayError
from gangway.model.model import unescaped
from gangway.operations.project import Project
from gangway.settings import contract

RUNNER: Final = "test-runner"
_APPS: Final = "apps"
# Where pytest finds its configuration, in its own order, and what there must be in the file.
_CONFIGURATIONS: Final = {
    "pytest.toml": r"",
    ".pytest.toml": r"",
    "pytest.ini": r"",
    ".pytest.ini": r"",
    "pyproject.toml": r"^\[tool\.pytest(\.ini_options)?\]",
    "tox.ini": r"^\[pytest\]",
    "setup.cfg": r"^\[tool:pytest\]",
}
# What it takes for its root folder where there is none.
_ROOTS: Final = ("pyproject.toml", "setup.py")
_FILES: Final = "test_*.py *_test.py"


class Wanted(NamedTuple):
    """pytest's expression, whether to measure coverage, and further arguments as they are."""

    expression: str = ""
    coverage: bool = False
    arguments: tuple[str, ...] = ()


class Place(NamedTuple):
    """The folder where the tests run, and the one that they have of the checkout: it or above."""

    folder: Path
    top: Path


def command(project: Project, paths: Sequence[str], wanted: Wanted) -> list[str]:
    """Return what the runner runs for paths, seen from the checkout or from where the tests run.

    Raises GangwayError for a path that isn't there, or that the tests can't see, and for what isn't
    pytest's where TEST_COMMAND is.
    """
    place = where(project)
    inside = [_inside(project, place, path) for path in paths]
    if custom := _setting(project, "TEST_COMMAND"):
        if wanted.expression or wanted.coverage:
            raise GangwayError(
                f"-k and --cov are pytest's, and TEST_COMMAND runs {custom}",
                fix="give its own options after --, or leave TEST_COMMAND empty for pytest",
            )
        return [*_split(custom), *inside, *wanted.arguments]
    words = ["python", "-m", "pytest", *_chosen(project, place, inside), *inside]
    if wanted.expression:
        words += ["-k", wanted.expression]
    if wanted.coverage:
        words += ["--cov", "--cov-report=term-missing:skip-covered"]
    return [*words, *wanted.arguments]


def typed(root: Path, here: Path, path: str) -> str:
    """Return a path as seen from the checkout, where it is there as seen from the folder `here`.

    Tests named behind `::` stay; what isn't there, or not in the checkout, is returned as it is.
    """
    file, colons, test = path.partition("::")
    there = Path(os.path.normpath(here / file))
    if there.exists() and there.is_relative_to(root):
        return os.path.relpath(there, root) + colons + test
    return path


def where(project: Project) -> Place:
    """Return the folders of this machine that are the runner's working directory and sources."""
    service = unescaped(project.model.services[RUNNER])
    working = PurePosixPath(service.get("working_dir") or "/")
    for mount in service.get("volumes") or ():
        if mount["type"] == "bind" and working.is_relative_to(mount["target"]):
            top = Path(mount["source"])
            return Place(top / working.relative_to(mount["target"]), top)
    return Place(project.root, project.root)


def nothing_found(project: Project, paths: Sequence[str], expression: str) -> str:
    """Return what to say of a run that found no test, for people: what was looked for."""
    if custom := _setting(project, "TEST_COMMAND"):
        return f"there was no test to run: {custom} ended with status 5"
    place = where(project)
    file = configuration(place)
    own = _options(file) if file else {}
    looked = " ".join(paths or _tests(project, place))
    if not looked and own.get("testpaths"):
        looked = f"{own['testpaths']} (testpaths in {_shown(project, file or place.folder)})"
    files = own.get("python_files") or _FILES
    named = f", with names that match {expression!r}" if expression else ""
    return (
        f"there was no test to run: in {_shown(project, place.folder)}, pytest looked in "
        f"{looked or 'all that is below'} for {files}{named}"
    )


def configuration(place: Place) -> Path | None:
    """Return the file that pytest is configured by where it runs without a path."""
    for folder in _upwards(place):
        for name, section in _CONFIGURATIONS.items():
            file = folder / name
            if file.is_file() and re.search(section, _text(file), re.MULTILINE):
                return file
    return None


def _chosen(project: Project, place: Place, inside: Sequence[str]) -> list[str]:
    """Return the options that say which configuration, root folder and tests count."""
    tests, found = _tests(project, place), configuration(place)
    # pytest looks for its configuration from a path upwards, and for `testpaths` in no other folder
    # than its own.
    elsewhere = bool(tests and found and found.parent != place.folder)
    words = []
    if inside or elsewhere:
        named = ("-c", found) if found else ("--rootdir", _root(place))
        words += [named[0], os.path.relpath(named[1], place.folder)]
    if tests and not inside:
        words += tests if elsewhere else ["-o", f"testpaths={' '.join(tests)}"]
    apps = project.environment.apps
    if apps and "api" not in apps and place.folder == project.root / _APPS:
        # The fixtures that the apps share are the api's: its tables, its cache.
        words += ["--confcutdir", apps[0]]
    return words


def _tests(project: Project, place: Place) -> list[str]:
    """Return where the tests are, where the app's own configuration isn't to decide."""
    named = _setting(project, "TEST_PATHS").split()
    # The samples' tests are each in its app's own folder.
    samples = (f"{app}/tests" for app in project.environment.apps)
    return named or [path for path in samples if (place.folder / path).is_dir()]


def _root(place: Place) -> Path:
    for name in _ROOTS:
        for folder in _upwards(place):
            if (folder / name).is_file():
                return folder
    return place.folder


def _upwards(place: Place) -> Iterator[Path]:
    for folder in (place.folder, *place.folder.parents):
        yield folder
        if folder == place.top:
            return


def _inside(project: Project, place: Place, path: str) -> str:
    """Return a path, with the tests named behind `::`, as seen from where the tests run."""
    file, colons, test = path.partition("::")
    for base in (project.root, place.folder):
        there = Path(os.path.normpath(base / file))
        if there.exists():
            if there.is_relative_to(place.top):
                return os.path.relpath(there, place.folder) + colons + test
            raise GangwayError(
                f"the tests don't see {file}: they have {_shown(project, place.top)}",
                fix="TEST_SOURCE says what they have",
            )
    custom = _setting(project, "TEST_COMMAND")
    raise GangwayError(
        f"there is no {file}, neither in the checkout nor in {_shown(project, place.folder)}",
        fix=f"what isn't a path goes to {custom} after --" if custom else "name a file or a folder",
    )


def _setting(project: Project, name: str) -> str:
    """Return a variable's value, the contract's default where nothing sets it."""
    env = project.environment
    spec = contract.load(project.root).variables.get(name)
    return env.get(name) or (spec.default_for(env.kind) if spec else None) or ""


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise GangwayError(f"TEST_COMMAND: {text!r} can't be read: {error}") from None


def _options(file: Path) -> Mapping[str, str]:
    """Return pytest's options in a configuration; nothing where it can't be read."""
    text = _text(file)
    try:
        if file.suffix == ".toml":
            tables: Any = tomllib.loads(text)
            own = tables.get("tool", {}).get("pytest", {}) if file.stem == "pyproject" else tables
            own = own.get("pytest", own)
            found = {**own, **own.get("ini_options", {})}
        else:
            parser = configparser.RawConfigParser()
            parser.read_string(text)
            section = "tool:pytest" if file.suffix == ".cfg" else "pytest"
            found = dict(parser[section]) if parser.has_section(section) else {}
    except (tomllib.TOMLDecodeError, configparser.Error, AttributeError):
        return {}
    return {
        name: " ".join(value) if isinstance(value, list) else str(value).strip()
        for name, value in found.items()
    }


def _shown(project: Project, path: Path) -> str:
    shown = os.path.relpath(path, project.root.resolve())
    return "the checkout" if shown == "." else shown


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
