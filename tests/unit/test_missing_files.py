"""Files that services have mounted and that aren't there, each found by its path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gangway.base.errors import FindingsError, GangwayError
from gangway.model.render import rendered
from gangway.operations import preflight
from gangway.operations.missing_files import missing
from gangway.operations.project import opened
from gangway.settings import contract
from gangway.settings.environment import load

if TYPE_CHECKING:
    from pathlib import Path

    from gangway.base.errors import Finding
    from tests.unit.conftest import Checkout

KINDS = {"dev": "development", "prod": "production"}
CONTRACT = """\
groups:
  Ours:
    PAY_KEY: {type: string, meaning: m, secret: true, secret_file: pay_key}
    OLD_KEY: {type: string, meaning: m, secret: true}
"""


def made(checkout: Checkout, services: str, name: str = "dev") -> Path:
    env = f"ENVIRONMENT={KINDS[name]}\nCOMPOSE_FILE=c.yml\nCOMPOSE_PROJECT_NAME=x\nSECRETS_DIR=s\n"
    return checkout(
        {
            f"env/{name}.env": env,
            "env/contract.yml": CONTRACT,
            "apps/api/main.py": "",
            "c.yml": services,
        }
    )


def found(root: Path, *services: str, name: str = "dev", shell: dict[str, str]) -> list[Finding]:
    env = load(root, name, engine="docker", shell=shell)
    model = rendered(env)
    return list(missing(env, model, model.wanted(services), contract.load(root)))


SECRETS = """\
services:
  api: {image: x, secrets: [mail_key], depends_on: [db]}
  db: {image: x, secrets: [mail_key, {source: other, target: x}]}
  idle: {image: x, secrets: [never]}
secrets:
  mail_key: {file: ./s/mail_key}
  other: {file: ./elsewhere/other}
  never: {file: ./s/never}
"""


def test_a_secret_of_a_service_that_starts_is_found_with_all_who_have_it(
    checkout: Checkout, shell: dict[str, str]
) -> None:
    root = made(checkout, SECRETS)
    mail, other = found(root, "api", shell=shell)
    assert mail.what == "the secret mail_key of api, db has no file"
    assert (mail.where, other.where) == ("s/mail_key", "elsewhere/other")
    assert str(mail.fix).startswith("write it to s/mail_key; git restore s/mail_key")


def test_a_secret_that_is_there_is_not_found_and_a_folder_in_its_place_is(
    checkout: Checkout, shell: dict[str, str]
) -> None:
    root = made(checkout, SECRETS)
    checkout({"s/mail_key": "x", "elsewhere/other/x": ""})
    (finding,) = found(root, "api", shell=shell)
    assert finding.what == "the secret other of db is a folder"
    assert finding.fix == "rmdir elsewhere/other, then write the file"


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("pay_key", "invoke prod.init"),
        ("old_key", "add `secret_file: old_key` for OLD_KEY in env/contract.yml"),
        (
            "new_key",
            "write it to s/new_key, mode 0600; or add a secret with `secret_file: new_key`",
        ),
    ],
)
def test_production_says_what_makes_the_file(
    name: str, fix: str, checkout: Checkout, shell: dict[str, str]
) -> None:
    services = (
        f"services: {{a: {{image: x, secrets: [k]}}}}\nsecrets: {{k: {{file: ./s/{name}}}}}\n"
    )
    (finding,) = found(made(checkout, services, "prod"), name="prod", shell=shell)
    assert fix in str(finding.fix)


def test_a_secret_from_a_variable_that_nothing_sets_is_found(
    checkout: Checkout, shell: dict[str, str]
) -> None:
    services = "services: {a: {image: x, secrets: [k]}}\nsecrets: {k: {environment: TOKEN}}\n"
    root = made(checkout, services)
    (finding,) = found(root, shell=shell)
    assert finding.what == "the secret k of a is the value of TOKEN, which nothing sets"
    shell["TOKEN"] = ""
    assert found(root, shell=shell) == []


def test_a_config_without_its_file_is_found(checkout: Checkout, shell: dict[str, str]) -> None:
    services = (
        "services: {a: {image: x, configs: [{source: c, target: /c}, {source: d, target: /d}]}}\n"
        "configs: {c: {file: ./gone.conf}, d: {content: x}}\n"
    )
    (finding,) = found(made(checkout, services), shell=shell)
    assert (finding.what, finding.where) == ("the config c of a has no file", "gone.conf")


MOUNTS = """\
services:
  a:
    image: x
    volumes:
      - {type: bind, source: ./long, target: /long}
      - ./short.conf:/etc/short.conf
      - ./.env:/srv/.env
      - ./made:/made
      - ./scripts:/docker-entrypoint-initdb.d
      - named:/named
volumes: {named: {}}
"""


def test_a_mounted_file_or_strict_folder_is_found_and_one_that_compose_makes_is_not(
    checkout: Checkout, shell: dict[str, str]
) -> None:
    findings = found(made(checkout, MOUNTS), shell=shell)
    assert [finding.where for finding in findings] == ["long", "short.conf", ".env"]
    assert {finding.what for finding in findings} == {"a has it mounted, and it isn't there"}


def test_an_env_file_that_is_not_there_is_named(checkout: Checkout, shell: dict[str, str]) -> None:
    root = made(checkout, "services: {a: {image: x, env_file: ./a.env}}\n")
    with pytest.raises(GangwayError) as caught:
        found(root, shell=shell)
    assert (caught.value.message, caught.value.where) == (
        "an env_file of the Compose files isn't there",
        "a.env",
    )


def test_what_the_contract_and_the_model_miss_is_said_at_once_and_each_file_once(
    checkout: Checkout, shell: dict[str, str]
) -> None:
    services = (
        "services: {a: {image: x, secrets: [pay, mail]}}\n"
        "secrets: {pay: {file: ./s/pay_key}, mail: {file: ./s/mail_key}}\n"
    )
    root = made(checkout, services, "prod")
    project = opened(load(root, "prod", engine="docker", shell=shell), dry_run=True)
    with pytest.raises(FindingsError) as caught:
        preflight.prepare(project, ())
    assert [(finding.what, finding.where) for finding in caught.value.findings] == [
        ("the secret PAY_KEY has no file", "s/pay_key"),
        ("the secret mail of a has no file", "s/mail_key"),
    ]
