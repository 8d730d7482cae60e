"""A checkout that was made with umask 077 starts as any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gangway.operations import readable
from gangway.operations.project import Project, opened
from gangway.settings.environment import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Checkout

ENV = "COMPOSE_FILE=c.yml\nCOMPOSE_PROJECT_NAME=x\nSECRETS_DIR={secrets}\n"
SERVICES = """services:
  redis: {image: x, configs: [redis], secrets: [password]}
configs: {redis: {file: scripts/redis}}
secrets: {password: {file: "${SECRETS_DIR}/password"}}
"""


def project(checkout: Checkout, kind: str, secrets: str) -> tuple[Project, Path, Path]:
    name = {"production": "prod"}.get(kind, "dev")
    root = checkout(
        {
            f"env/{name}.env": f"ENVIRONMENT={kind}\n" + ENV.format(secrets=secrets),
            "c.yml": SERVICES,
            "scripts/redis": "",
            f"{secrets}/password": "",
        }
    )
    secret, config = root / secrets / "password", root / "scripts/redis"
    secret.chmod(0o600)
    config.chmod(0o700)
    return opened(load(root, name, engine="docker", shell={}), dry_run=False), secret, config


def test_what_everybody_knows_becomes_readable_for_every_user(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    found, secret, config = project(checkout, "development", "secrets/dev")
    readable.open_up(found)
    assert (secret.stat().st_mode & 0o777, config.stat().st_mode & 0o777) == (0o644, 0o744)
    assert capsys.readouterr().err == (
        "made readable for the containers' users: secrets/dev/password, scripts/redis\n"
    )
    readable.open_up(found)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("kind", "secrets"), [("development", "secrets/mine"), ("production", "secrets/prod")]
)
def test_a_secret_stays_its_owner_s(checkout: Checkout, kind: str, secrets: str) -> None:
    found, secret, config = project(checkout, kind, secrets)
    readable.open_up(found)
    assert secret.stat().st_mode & 0o777 == 0o600
    assert config.stat().st_mode & 0o777 == 0o744
