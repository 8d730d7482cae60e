"""The stacks as data: what each runs, where, on which ports, and which one has a service."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gangway.base.errors import GangwayError
from gangway.operations import calls, stacks
from gangway.operations.project import Project, open_project, opened
from gangway.settings import environment
from gangway.settings.contract import load as load_contract
from gangway.settings.contract_check import check
from tests.unit.conftest import ROOT, compose_programs

STACK = """# Mail that is sent nowhere. For looking at it.
GANGWAY_STACK=mail
STACK_ENVIRONMENTS=dev
COMPOSE_FILE=${COMPOSE_FILE}:stacks/mail/compose.yml:stacks/mail/${OVERLAY}.yml
COMPOSE_PROFILES=${COMPOSE_PROFILES},mail
STACK_OPTIONAL=archive
"""
SERVICES = """services:
  mail:
    extends: {file: docker-compose.yml, service: scheduler}
    profiles: !override [mail]
    environment: {MAIL_FROM: "${MAIL_FROM:-nobody@example.com}"}
  archive:
    image: archive:1.0
    profiles: [archive]
"""
OVERLAY = """services:
  mail:
    ports: ["127.0.0.1:${PUBLISHED_MAIL_PORT:-8025}:8025"]
"""
CONTRACT = """groups:
  The mail stack:
    MAIL_FROM: {type: string, default: nobody@example.com, meaning: Who it is from}
    PUBLISHED_MAIL_PORT:
      {type: port, published: true, service: mail, profile: mail, default: {dev: 8025}, meaning: m}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """This checkout's files with a stack of the user's own beside them: a folder, and no more."""
    if not compose_programs():
        pytest.skip("no Compose here")
    for name in ("env", "apps", "docker", "scripts", "secrets/dev", "stacks"):
        ignore = shutil.ignore_patterns("__pycache__", "local.env", "node_modules", ".next")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    for path in ROOT.glob("docker-compose*.yml"):
        if "override" not in path.name:
            shutil.copy(path, tmp_path)
    folder = tmp_path / "stacks" / "mail"
    folder.mkdir()
    for name, text in {
        "stack.env": STACK,
        "compose.yml": SERVICES,
        "dev.yml": OVERLAY,
        "contract.yml": CONTRACT,
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    return tmp_path


def dev(root: Path, stack: str) -> Project:
    return opened(environment.load(root, "dev", stack=stack, engine="docker", shell=PLAIN))


# What a program needs, and nothing that says which stack.
PLAIN = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}


def test_a_stack_of_ones_own_is_a_folder(root: Path) -> None:
    found = {stack.name: stack for stack in stacks.load(root)}
    others = [stack for name, stack in found.items() if name != "mail"]
    assert others == stacks.load(ROOT)
    mail = found["mail"]
    assert mail.about == "Mail that is sent nowhere"
    assert {"mail", "api", "app", "scheduler", "postgres"} <= set(mail.services)
    assert mail.optional == ("archive",)
    assert set(mail.ports) == {"dev"}
    assert "mail 8025" in mail.ports["dev"]


def test_its_variables_are_checked_with_all_others(root: Path) -> None:
    mail = environment.load(root, "dev", stack="mail", shell=PLAIN)
    assert check(mail, load_contract(root)) == []
    taken = {"PUBLISHED_MAIL_PORT": mail.get("PUBLISHED_API_PORT")}
    mail = environment.load(root, "dev", stack="mail", overrides=taken, shell=PLAIN)
    (finding,) = check(mail, load_contract(root))
    assert finding.what.startswith("PUBLISHED_MAIL_PORT is 8000, which PUBLISHED_API_PORT (")


def test_the_default_stack_comes_first_and_is_meant_for_every_environment() -> None:
    first, *_ = stacks.load(ROOT)
    assert first.name == "core"
    assert set(first.ports) == set(environment.environments(ROOT))
    assert first.ports["prod"] == ("nginx 8080",)


def test_every_stack_is_shown_with_what_it_runs(root: Path) -> None:
    shown = stacks.show(stacks.load(root))
    for name in environment.stacks(root):
        assert f"{name}: " in shown
    assert "on demand  archive" in shown


def test_another_stacks_service_is_named_with_its_stacks(root: Path) -> None:
    with pytest.raises(GangwayError) as caught:
        calls.check_services(dev(root, "mail"), ["django"])
    assert str(caught.value) == "the mail stack has no django\n  fix: --stack hybrid"


def test_what_is_on_demand_is_there_to_be_named_and_not_started(root: Path) -> None:
    project = dev(root, "mail")
    calls.check_services(project, ["archive"])
    assert "archive" not in project.model.by_default()
    assert "archive" not in project.model.wanted(())
    assert project.model.wanted(("archive",)) == ["archive"]


def test_a_stack_that_is_not_meant_for_an_environment_is_a_finding(root: Path) -> None:
    prod = environment.load(root, "prod", stack="mail", shell=PLAIN)
    found = check(prod, load_contract(root), secrets=False)
    assert [finding.what for finding in found] == [
        "the mail stack is not meant for the prod environment"
    ]
    assert found[0].where == "stacks/mail/stack.env:3"


def test_an_unknown_stack_is_refused_with_the_nearest_one(root: Path) -> None:
    with pytest.raises(GangwayError, match="did you mean hybrid"):
        open_project(root, "dev", stack="hybird", engine="docker")
