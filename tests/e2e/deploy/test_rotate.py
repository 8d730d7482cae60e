"""New secrets under load: nobody notices, whoever is killed in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.deploy.stack import KEPT, Stack
from tests.e2e.support import docker

pytestmark = [pytest.mark.engine, pytest.mark.timeout(360)]


def secrets(stack: Stack) -> dict[str, str]:
    folder = Path(stack.checkout.root) / "secrets" / "prod"
    return {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}


@pytest.mark.parametrize("name", ["postgres_password", "redis_password", "secret_key"])
def test_a_new_secret_costs_nobody_anything(stack: Stack, name: str) -> None:
    (release,), before, kept = stack.serves(), secrets(stack), stack.running(*KEPT)
    with stack.loaded():
        stack.checkout.succeed("prod.rotate", name)
    after = secrets(stack)
    assert after.pop("secret_key_previous", before[name]) == before[name]
    assert {key for key in before if before[key] != after[key]} == {name}
    stack.whole(release)
    assert stack.running(*KEPT) == kept
    # The data stores themselves come back with the new one.
    for service in KEPT:
        record = stack.checkout.containers("prod", service)[0]
        assert docker("restart", record["Id"]).status == 0
    stack.checkout.succeed("prod.up")
    stack.whole(release)


def test_killed_halfway_the_apps_work_and_it_goes_on(stack: Stack) -> None:
    (release,), before = stack.serves(), secrets(stack)
    with stack.loaded():
        with stack.checkout.started("prod.rotate", "postgres_password") as rotating:
            rotating.says("gangway_between while the password changes")
            rotating.says("  switched")
            rotating.process.kill()
            rotating.ended()
        assert secrets(stack)["postgres_password"] == before["postgres_password"]
        stack.checkout.succeed("prod.rotate", "postgres_password")
    assert secrets(stack).keys() == before.keys()
    assert stack.checkout.sql("prod", "select string_agg(usename, ' ') from pg_user") == "gangway"
    stack.whole(release)
