"""How an app's tests are run: by pytest, by Django, by unittest; from which folders."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

from gangway.operations.adoption.look.locks.lock import Lock
from gangway.operations.adoption.look.tree import Tree, ancestors, join, parent, seen_from, within


@dataclass
class Tests:
    """The facts about an app's tests."""

    command: str = ""
    paths: str = ""
    about: str = ""
    where: str = ""
    settings: str = ""
    """The settings module that pytest is told, for Django."""


def find(tree: Tree, *, source: str, workdir: str, lock: Lock, django: str | None) -> Tests:
    """Return how the tests are run from the working directory."""
    found = Tests()
    files = [each for each in tree.below(source) if _is_test(each)]
    place, table = _configured(tree, source, workdir)
    found.settings = _settings(table)
    if not files and not place:
        return found
    if place or lock.testers:
        found.about, found.where = "pytest", place or files[0]
        _paths(found, table, files, source, workdir)
    elif django is not None:
        found.command = "python manage.py test"
        found.about, found.where = "Django's test runner", files[0]
    elif any(re.search(r"\bunittest\b", tree.text(each)) for each in files):
        folder = seen_from(workdir, parent(files[0])) or "."
        found.command = f"python -m unittest discover --start-directory {folder}"
        found.about, found.where = "unittest", files[0]
    else:
        found.about, found.where = "pytest", files[0]
        _paths(found, table, files, source, workdir)
    return found


def _paths(
    found: Tests, table: dict[str, str], files: list[str], source: str, workdir: str
) -> None:
    """Name the folders of tests that pytest wouldn't find from the working directory."""
    if "testpaths" in table or not files:
        return
    folders = list(dict.fromkeys(_folder(each, source) for each in files))
    if any(not within(workdir, each) for each in folders):
        inside = [each for each in folders if within(workdir, each)]
        outside = [each for each in folders if not within(workdir, each)]
        found.paths = " ".join(
            [*(["."] if inside else []), *(seen_from(workdir, each) for each in outside)]
        )


def _folder(path: str, source: str) -> str:
    """Return the topmost folder of tests that a file is in."""
    best = parent(path)
    for folder in ancestors(parent(path)):
        if within(source, folder) and folder.rpartition("/")[2] in ("test", "tests"):
            best = folder
    return best


def _is_test(path: str) -> bool:
    name = path.rpartition("/")[2]
    if not re.fullmatch(r"(test_\w+|\w+_test|tests)\.py", name):
        return False
    return "node_modules/" not in path and "site-packages/" not in path


def _configured(tree: Tree, source: str, workdir: str) -> tuple[str, dict[str, str]]:
    """Return the file that configures pytest and what it says, by pytest's own order."""
    for folder in ancestors(workdir):
        if not within(source, folder):
            break
        for path, table in _tables(tree, folder):
            if table is not None:
                return path, table
    return "", {}


def _tables(tree: Tree, folder: str) -> Iterator[tuple[str, dict[str, str] | None]]:
    for name in ("pytest.toml", ".pytest.toml"):
        if tree.has(path := join(folder, name)):
            yield path, _flat(_toml(tree, path).get("pytest", {}))
    for name, section in (("pytest.ini", "pytest"), (".pytest.ini", "pytest")):
        if tree.has(path := join(folder, name)):
            yield path, _ini(tree, path, section) or {}
    tool = _toml(tree, join(folder, "pyproject.toml")).get("tool", {}).get("pytest", {})
    if tool:
        yield join(folder, "pyproject.toml"), _flat(tool.get("ini_options", tool))
    for name, section in (("tox.ini", "pytest"), ("setup.cfg", "tool:pytest")):
        if tree.has(path := join(folder, name)):
            yield path, _ini(tree, path, section)


def _toml(tree: Tree, path: str) -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    try:
        return tomllib.loads(tree.text(path))
    except tomllib.TOMLDecodeError:
        return {}


def _flat(table: object) -> dict[str, str]:
    if not isinstance(table, dict):
        return {}
    return {
        str(key): " ".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in table.items()
    }


def _ini(tree: Tree, path: str, section: str) -> dict[str, str] | None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(tree.text(path))
    except configparser.Error:
        return None
    return dict(parser[section]) if parser.has_section(section) else None


def _settings(table: dict[str, str]) -> str:
    match = re.search(r"--ds[= ](\S+)", table.get("addopts", ""))
    named = table.get("django_settings_module", table.get("DJANGO_SETTINGS_MODULE", ""))
    return match[1] if match else named
