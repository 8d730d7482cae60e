"""CONTRIBUTING's recipes work as they stand, and its table names what is there.

A recipe is a `sh` block with a line `Check:` after it. The block is run in a copy of the checkout,
then each command of the check.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.policy.conftest import bash
from tests.unit.conftest import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


class Recipe(NamedTuple):
    """What a reader runs, and what then shows that it was right."""

    block: str
    checks: tuple[str, ...]


def recipes() -> Iterator[tuple[str, Recipe]]:
    paragraph = r"^\*\*An? (?P<name>[\w ]+)\*\* (?P<rest>.*?)(?=^\*\*|^## )"
    for found in re.finditer(paragraph, PAGE, re.DOTALL | re.MULTILINE):
        block = re.search(r"^```sh\n(.*?)^```$", found["rest"], re.DOTALL | re.MULTILINE)
        check = re.search(r"^Check: (.*?)\n\n", found["rest"], re.DOTALL | re.MULTILINE)
        if block and check:
            commands = re.findall(r"`([^`]+)`", check[1].replace("\n", " "))
            yield found["name"], Recipe(block[1], tuple(commands))


RECIPES = dict(recipes())
# What somebody who follows a recipe writes in: these files, or folders, and nothing else.
TOUCHED = {
    "environment": {"env/demo.env"},
    "stack": {"stacks/admin/"},
    "service": {"stacks/jobs/compose.yml", "stacks/jobs/dev.yml", "stacks/jobs/stack.env"},
    "variable": {"docker-compose.yml", "env/contract.yml"},
    "task": {
        "gangway/operations/inspect.py",
        "gangway/tasks/inspect.py",
        "gangway/tasks/__init__.py",
    },
    "policy rule": {"tests/policy/rules.py", "tests/policy/test_rules.py"},
}
# What the check prints of it, besides that tests pass.
SHOWN = {
    "environment": r"--env-file env/demo\.env",
    "stack": r"\n  runs +admin, .*\n  dev +admin 8005, ",
    "service": r"\njobs: .*\n  runs .*\bsolo\b",
    "variable": r"\nGREETING +hello +default\n",
    "task": r"  volumes +List the volumes [\s\S]*\ngangway-dev_postgres-data\n",
    "policy rule": r"\d passed",
}


@pytest.fixture
def checkout(copy: Path) -> Path:
    """Return a copy of the checkout without these tests, which would copy it again."""
    (copy / "tests" / "policy" / Path(__file__).name).unlink()
    return copy


def follow(checkout: Path, name: str) -> None:
    done = bash(checkout, f"set -e\n{RECIPES[name].block}")
    assert (done.returncode, done.stdout) == (0, "")


def test_there_is_a_recipe_for_each_thing_that_people_add() -> None:
    assert set(RECIPES) == set(TOUCHED)


@pytest.mark.parametrize("name", TOUCHED)
def test_a_recipe_touches_no_more_than_it_says(name: str, checkout: Path) -> None:
    before = contents(checkout)
    follow(checkout, name)
    after = contents(checkout)
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert {place for path in changed for place in TOUCHED[name] if path.startswith(place)} == (
        TOUCHED[name]
    )
    assert [path for path in changed if not path.startswith(tuple(TOUCHED[name]))] == []


# A few seconds each, but they render many a model, and a machine may be busy.
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", SHOWN)
def test_the_check_of_a_recipe_is_green(name: str, checkout: Path) -> None:
    follow(checkout, name)
    said = ""
    for command in RECIPES[name].checks:
        done = bash(checkout, command, seconds=300)
        said += f"\n{done.stdout}"
        assert done.returncode == 0, said
    assert re.search(SHOWN[name], said), said


def test_a_rule_by_the_recipe_is_red_where_a_model_breaks_it(checkout: Path) -> None:
    follow(checkout, "policy rule")
    one = "prod-core-registry-services_get_time_to_stop"
    check = f"pytest tests/policy/test_rules.py -k {one}"
    assert bash(checkout, check).returncode == 0
    bash(checkout, "sed -i '/stop_grace_period: [$]/d' docker-compose.yml")
    done = bash(checkout, check)
    assert done.returncode == 1
    assert "api has no stop_grace_period" in done.stdout


# ---- where is …

# What the places that are asked for most do: each has this in its text.
DOES = {
    "a container started": "runner.start(",
    "a native probe made": "subprocess.run(",
    "precedence decided": '"command line"',
    "the status of `test.run` decided": "return next(filter(None, statuses), 0)",
    '"port … is taken" worded': " is taken by ",
    "`.gangway/dev.env` written": "checkout.write(",
    "what the proxy knows of replicas": "resolver 127.0.0.11 ",
    "what makes a save served fast": "importlib.import_module(",
}


def places() -> dict[str, tuple[str, str]]:
    table = PAGE.partition("| where is … | there |\n|---|---|\n")[2].partition("\n\n")[0]
    row = re.compile(r"\| (?P<what>.+?) \| `(?P<file>[^`]+)`, `(?P<name>[^`]+)` \|")
    found = [row.fullmatch(line) for line in table.splitlines()]
    return {match["what"]: (match["file"], match["name"]) for match in found if match}


def test_the_table_says_where_what_people_look_for_is() -> None:
    assert set(places()) == set(DOES)


@pytest.mark.parametrize("what", DOES)
def test_what_the_table_names_is_there_and_does_it(what: str) -> None:
    file, name = places()[what]
    text = (ROOT / file).read_text(encoding="utf-8")
    assert DOES[what] in (defined(text, name) if file.endswith(".py") else directive(text, name))


def sessions(*options: str) -> set[str]:
    """Return the names of the sessions that `nox` runs with these options."""
    listing = [sys.executable, "-m", "nox", *options, "--list", "--json"]
    found = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True)
    return {session["session"] for session in json.loads(found.stdout)}


@pytest.mark.parametrize(("when", "options"), [("change", ()), ("night", ("-t", "nightly"))])
def test_the_table_of_sessions_says_which_run_at(when: str, options: tuple[str, ...]) -> None:
    table = PAGE.partition("| session | what it shows | runs at |")[2].partition("\n\n")[0]
    rows = [line for line in table.splitlines() if f"| {when} |" in line]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(named) == sorted(sessions(*options))


def defined(source: str, name: str) -> str:
    """Return the source of a function, a class or a constant; a dot goes into a class."""
    body = ast.parse(source).body
    node: ast.stmt | None = None
    for part in name.split("."):
        node = next((each for each in body if part in names(each)), None)
        body = getattr(node, "body", [])
    return (ast.get_source_segment(source, node) or "") if node else ""


def names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.AnnAssign | ast.Assign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


def directive(text: str, name: str) -> str:
    """Return the lines of nginx's settings that begin with a word."""
    return "\n".join(line for line in text.splitlines() if line.startswith(f"{name} "))


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a copy."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
