"""The wheel, installed into an empty environment, and a project that `gangway new` makes with it.

Nothing of this checkout is on PATH. Apps that were there before are test_adopt's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
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
    """Make a new project with the wheel."""
    top = Path(tempfile.mkdtemp(prefix="gangway-new-"))
    name = f"gangway-e2e-{uuid.uuid4().hex[:6]}"
    root, home = top / "my project", top / "home"
    home.mkdir()
    who = user(installed)
    made = subprocess.run(
        [installed.with_name("gangway"), "new", "--name", name, root],
        cwd=top, env={**os.environ, **who.environ, "HOME": str(home)},
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    checkout = Checkout(root, name, who, home)
    yield checkout
    checkout.remove()
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
