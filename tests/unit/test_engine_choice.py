"""Which engine an environment has, and which others may run the same project."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangway.base.errors import GangwayError
from gangway.engines import choice
from gangway.settings.environment import load

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "engine", "expected", "others"),
    [
        ("dev", "auto", "docker", ["native"]),
        ("dev", "podman", "podman", ["native"]),
        ("test", "native", "native", ["docker"]),
        ("prod", "docker", "docker", []),
    ],
)
def test_an_environment_has_the_engine_that_it_names_and_others_by_its_kind(
    name: str, engine: str, expected: str, others: list[str]
) -> None:
    found = choice.engine_of(load(ROOT, name, engine=engine, shell={}))
    assert found.name == expected
    assert [other.name for other in choice.others(found)] == others


def test_where_no_program_asks_an_engine_auto_means_native_but_for_production() -> None:
    nowhere = {"PATH": "/nonexistent"}
    dev, prod = (choice.engine_of(load(ROOT, name, shell=nowhere)) for name in ("dev", "prod"))
    for dry_run in (True, False):
        assert choice.instead(dev, dry_run=dry_run) == "native"
        assert choice.instead(prod, dry_run=dry_run) is None


def test_only_production_runs_in_a_swarm() -> None:
    assert load(ROOT, "prod", engine="swarm", shell={}).compose_files[-1].endswith("swarm.yml")
    with pytest.raises(GangwayError, match="dev doesn't run in a Swarm"):
        load(ROOT, "dev", engine="swarm", shell={})
