"""The wheel, installed into an empty environment, for a repository that has only what it brings.

The app in that repository, tests/e2e/notes, isn't one of ours. Nothing of this checkout is on PATH.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.support import ROOT, Checkout, web
from tests.e2e.wheel import run, shell, user

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

APP = Path(__file__).with_name("notes")
# What an adopter changes in the files, each once.
CHANGES = {
    "docker-compose.yml": (
        ("MIGRATE_COMMAND: python -m api.migrate", "MIGRATE_COMMAND: python -m notes"),
        ("APP_TARGET: api.main:app", "APP_TARGET: notes:app"),
    ),
    "docker-compose.prod.yml": (("PROXY_ROOT: app:5000", "PROXY_ROOT: api:8000"),),
    "env/dev.env": (("STACK_APPS=api app scheduler", "STACK_APPS=api"), ("SEED=1", "SEED=0")),
    "env/test.env": (("STACK_APPS=api app scheduler", "STACK_APPS=api"),),
}
PROFILES = ("COMPOSE_PROFILES=database,api,app,scheduler", "COMPOSE_PROFILES=database,api")


@pytest.fixture(scope="module")
def theirs(installed: Path, _engine: None) -> Iterator[Checkout]:
    """Make the repository: the wheel's files, the app, and the changes for it."""
    top = Path(tempfile.mkdtemp(prefix="gangway-theirs-"))
    root, home = top / "repository", top / "home"
    home.mkdir()
    where = "import gangway; print(gangway.__path__[0])"
    package = Path(run(installed, "-c", where, cwd=top).strip())
    shutil.copytree(package / "starter", root)
    shutil.copytree(APP, root / "apps" / "api")
    shutil.copy(ROOT / "apps" / "api" / "requirements.txt", root / "apps" / "api")
    prefix = f"gangway-e2e-{uuid.uuid4().hex[:6]}"
    for file, changes in CHANGES.items():
        change(root / file, *changes)
    for environment in (root / "env").glob("*.env"):
        change(
            environment,
            PROFILES,
            ("COMPOSE_PROJECT_NAME=gangway", f"COMPOSE_PROJECT_NAME={prefix}"),
        )
    made = Checkout(root, prefix, user(installed), home)
    yield made
    made.remove()
    shutil.rmtree(top)


def change(file: Path, *changes: tuple[str, str]) -> None:
    """Replace a text that stands once in a file, for each of the changes."""
    text = file.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, f"{file.name} has {text.count(old)} of {old!r}"
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


@pytest.fixture(params=["docker", "native"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def keeps_notes(url: str) -> None:
    """Write a note and read it again."""
    with web(url) as client:
        assert client.post("/notes/bread").status_code == 201
        assert "bread" in client.get("/notes").json()


def test_nothing_of_this_checkout_is_in_it(theirs: Checkout, installed: Path) -> None:
    assert not (theirs.root / "gangway").exists() and not (theirs.root / "stacks").exists()
    where = "import gangway; print(gangway.__file__)"
    assert str(ROOT) not in run(installed, "-c", where, cwd=theirs.root)
    texts = (path for path in theirs.root.rglob("*") if path.is_file())
    assert not [path for path in texts if str(ROOT) in path.read_text(errors="replace")]


def test_development_starts_and_serves_the_app(theirs: Checkout, engine: str) -> None:
    theirs.succeed("dev.up", "--ports", "auto", timeout=400, **shell(engine))
    try:
        urls = theirs.succeed("dev.urls", **shell(engine)).stdout
        keeps_notes(dict(line.split(maxsplit=1) for line in urls.splitlines())["api"])
    finally:
        theirs.succeed("dev.down", "--volumes", "--yes", **shell(engine))


def test_its_tests_run(theirs: Checkout, engine: str) -> None:
    done = theirs.succeed("test.run", timeout=400, **shell(engine))
    assert "3 passed" in done.stdout, done.text


def test_production_starts_behind_the_proxy(theirs: Checkout) -> None:
    theirs.succeed("prod.init")
    theirs.succeed("prod.up", "--ports", "auto", timeout=400)
    try:
        keeps_notes(theirs.urls("prod")["nginx"])
    finally:
        theirs.succeed("prod.down", "--volumes", "--yes")
