"""The wheel, installed into an empty environment, and a project that it begins: `gangway new`.

Nothing of this checkout is on PATH.
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


@pytest.fixture(scope="module")
def project(installed: Path, _engine: None) -> Iterator[Checkout]:
    """Begin a project; what it leaves on the machine goes."""
    top = Path(tempfile.mkdtemp(prefix="gangway-new-"))
    home = top / "home"
    home.mkdir()
    name = f"gangway-e2e-{uuid.uuid4().hex[:6]}"
    run(installed.with_name("gangway"), "new", "my shop", "--name", name, cwd=top)
    made = Checkout(top / "my shop", name, user(installed), home)
    yield made
    made.remove()
    shutil.rmtree(top)


@pytest.fixture(params=["docker", "native"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def greets(url: str) -> None:
    with web(url) as client:
        assert client.get("/", params={"name": "Ada"}).json() == {"hello": "Ada"}


def test_nothing_of_this_checkout_is_in_it(project: Checkout, installed: Path) -> None:
    assert not (project.root / "gangway").exists() and not (project.root / "apps").exists()
    where = "import gangway; print(gangway.__file__)"
    assert str(ROOT) not in run(installed, "-c", where, cwd=project.root)
    texts = (path for path in project.root.rglob("*") if path.is_file())
    assert not [path for path in texts if str(ROOT) in path.read_text(errors="replace")]


def test_development_starts_and_serves_the_app(project: Checkout, engine: str) -> None:
    project.succeed("dev.up", "--ports", "auto", timeout=400, **shell(engine))
    try:
        urls = project.succeed("dev.urls", **shell(engine)).stdout
        greets(dict(line.split(maxsplit=1) for line in urls.splitlines())["api"])
    finally:
        project.succeed("dev.down", "--volumes", "--yes", **shell(engine))


def test_its_tests_run(project: Checkout, engine: str) -> None:
    done = project.succeed("test.run", timeout=400, **shell(engine))
    assert "2 passed" in done.stdout, done.text


def test_production_starts_behind_the_proxy(project: Checkout) -> None:
    project.succeed("prod.init")
    project.succeed("prod.up", "--ports", "auto", timeout=400)
    try:
        greets(project.urls("prod")["nginx"])
    finally:
        project.succeed("prod.down", "--volumes", "--yes")
