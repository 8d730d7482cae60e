"""Commands in services: what is called for a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gangway.operations import execute
from gangway.operations.project import Project, opened
from gangway.settings.environment import load

if TYPE_CHECKING:
    from tests.unit.conftest import Checkout

SERVICES = """\
services:
  api: {image: x, entrypoint: [entrypoint], environment: {APP_READS: "SECRET_KEY"}}
  app: {image: x, environment: {APP_READS: ""}}
  db: {image: y}
"""


@pytest.fixture
def project(checkout: Checkout, shell: dict[str, str]) -> Project:
    root = checkout(
        {
            "env/dev.env": "ENVIRONMENT=development\nCOMPOSE_FILE=c.yml\n",
            "c.yml": SERVICES,
            "env/contract.yml": "groups: {}",
        }
    )
    return opened(load(root, "dev", engine="docker", shell=shell), dry_run=True)


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("api", "api entrypoint manage.py check"),
        ("app", "app manage.py check"),
        ("db", "db manage.py check"),
    ],
)
def test_a_command_sees_what_an_app_reads(
    project: Project, capsys: pytest.CaptureFixture[str], service: str, words: str
) -> None:
    execute.exec_(project, service, ["manage.py", "check"])
    assert capsys.readouterr().out.strip().endswith(f" {words}")


def test_a_shell_sees_it_too(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    execute.shell(project, [])
    assert " api entrypoint sh -c " in capsys.readouterr().out


def test_a_container_of_its_own_has_its_entrypoint_anyway(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    execute.run(project, "api", ["manage.py", "check"])
    assert capsys.readouterr().out.strip().endswith(" api manage.py check")
