"""One service more in an adopted repository: it gets what the app's other services get."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gangway import __main__
from gangway.base.errors import FindingsError
from gangway.operations.adoption import adopt, git, writing
from gangway.operations.adoption.add import opened
from gangway.operations.adoption.found import Found, Program
from tests.unit.conftest import compose_programs

SHOP = Found(
    name="shop",
    about="a Django site with Celery",
    facts={
        "API_SOURCE": ".", "API_LOCK": "requirements.txt", "API_INTERFACE": "wsgi",
        "API_TARGET": "shop.wsgi:application", "API_HEALTH": "/health/",
    },
    programs=(Program("worker", "celery -A shop worker --loglevel=info"),),
    variables={"": {"SITE": "shop"}, "dev": {"DEBUG": "1"}},
    secrets={"STRIPE_KEY": "sk"},
    queue=True,
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody's repository, adopted; the working directory."""
    if not compose_programs():
        pytest.skip("no Compose here")
    monkeypatch.delenv("GANGWAY_IMAGES", raising=False)
    (tmp_path / "requirements.txt").write_text("django==5.2\n")
    for words in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    plan = adopt.planned(git.repository(tmp_path), SHOP, "github")
    writing.write(plan, commit=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def models(root: Path) -> dict[str, Mapping[str, Any]]:
    stack = opened(root)
    names = [each.name for each in stack.environments]
    return dict(zip(names, stack.models(), strict=False))


@pytest.mark.parametrize(
    "words",
    [
        ["worker", "second"],
        ["beat", "beat"],
        ["cron", "nightly", "--schedule", "0 3 * * *", "--command", "python manage.py x"],
    ],
    ids=lambda words: words[0],
)
def test_a_program_has_the_variables_secrets_and_queue_of_the_app(
    root: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert __main__.main(["add", *words]) == 0
    name = words[1]
    for kind, services in models(root).items():
        worker, own = services["worker"], services[name]
        theirs = {"APP_TARGET", "APP_INTERFACE"}
        environment = {k: v for k, v in own["environment"].items() if k not in theirs}
        assert environment == {k: v for k, v in worker["environment"].items() if k not in theirs}
        assert environment["BROKER_HOST"] == "broker" and environment["SITE"] == "shop"
        assert environment.get("DEBUG") == ("1" if kind == "dev" else None)
        assert own["secrets"] == worker["secrets"]
        assert own["depends_on"] == worker["depends_on"]
    said = capsys.readouterr().err
    assert f"start it: invoke dev.up {name}\n" in said
    assert "the api also has" not in said


def test_a_container_stands_beside_the_app(root: Path) -> None:
    words = ["service", "mail", "--image", "axllent/mailpit:v1.27", "--port", "8025"]
    assert __main__.main(["add", *words]) == 0
    for kind, services in models(root).items():
        assert services["mail"]["image"] == "axllent/mailpit:v1.27"
        assert bool(services["mail"].get("ports")) == (kind == "dev")
        web = "web-none" if kind == "prod" else "web-open"
        assert set(services["mail"]["networks"]) == {"data", web}


def test_what_lacks_is_asked_for_with_status_2(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (root / "stacks/shop/stack.env").read_text()
    (root / "stacks/shop/stack.env").write_text(text.replace("celery", "huey"))
    assert __main__.main(["add", "beat", "beat"]) == 2
    assert "doesn't say how a beat is started" in capsys.readouterr().err
    (root / "env/contract.yml").unlink()
    assert __main__.main(["add", "worker", "second"]) == 2
    assert "gangway adopt" in capsys.readouterr().err


def test_it_works_from_a_folder_below(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "scripts")
    assert __main__.main(["add", "worker", "second", "--dry-run"]) == 0


def test_the_workflow_is_one_that_github_takes(root: Path) -> None:
    file = ".github/workflows/gangway.yml"
    done = subprocess.run(
        [Path(sys.executable).with_name("actionlint"), file],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("", 0)


def test_a_workflow_of_the_users_is_not_written_over(root: Path) -> None:
    subprocess.run(["git", "rm", "-rqf", "--cached", "."], cwd=root, check=True)
    with pytest.raises(FindingsError, match=r"\.github/workflows/gangway\.yml"):
        adopt.planned(git.repository(root), SHOP, "github")
