"""What `!reset` takes away, and an alias brings back."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from gangway.base.errors import FindingsError
from gangway.operations import preflight
from gangway.operations.project import Project, opened
from gangway.settings import resets
from gangway.settings.environment import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Checkout

BASE = """\
services:
  api: {image: x, secrets: [key], environment: {A: "1", B: "2"}, ports: ["1:1"]}
secrets: {key: {file: ./key}}
"""
# Each service, and what of the resets is lost there.
MINE = """\
x-block: &block
  secrets: !reset []
services:
  worker: &worker
    extends: {file: base.yml, service: api}
    secrets: !reset []
    environment: {B: !reset null}
    ports: !override ["2:2"]
  beat: *worker
  merged:
    <<: *worker
    command: [x]
  again:
    <<: *worker
    secrets: !reset []
    environment: !override {A: "1"}
  extended:
    extends: {service: worker}
  from-block:
    <<: *block
    extends: {file: base.yml, service: api}
  new: {<<: *block, image: y}
"""
LOST = [
    ("beat", "secrets"), ("beat", "environment", "B"), ("from-block", "secrets"),
    ("merged", "secrets"), ("merged", "environment", "B"), ("new", "secrets"),
]  # fmt: skip
LOOP = "services: {a: &a {b: *a, c: !reset [], d: *a}, e: *a}"


def made(checkout: Checkout, text: str = MINE) -> Path:
    return checkout(
        {
            "env/contract.yml": "groups: {}",
            "env/dev.env": "ENVIRONMENT=development\nCOMPOSE_PROJECT_NAME=x\nSECRETS_DIR=.\n"
            "COMPOSE_FILE=base.yml:mine.yml\n",
            "apps/api/main.py": "",
            "key": "x",
            "base.yml": BASE,
            "mine.yml": text,
        }
    )


def test_each_place_that_repeats_a_reset_by_an_alias_is_found(checkout: Checkout) -> None:
    found = resets.repeated(made(checkout), ["base.yml", "mine.yml", "gone.yml"])
    assert sorted(place.path for place in found) == sorted(LOST)
    assert {place.first for place in found} == {"worker", "x-block"}
    lines = MINE.splitlines()
    assert {lines[place.line - 1].strip() for place in found} == {
        "beat: *worker",
        "<<: *worker",
        "<<: *block",
        "new: {<<: *block, image: y}",
    }


def test_what_is_found_is_what_a_compose_forgets_and_nothing_else(
    checkout: Checkout, compose: list[str]
) -> None:
    root = made(checkout)
    done = subprocess.run(
        [*compose, "-f", "base.yml", "-f", "mine.yml", "config", "--format", "json"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    services = json.loads(done.stdout)["services"]
    there = {path for path in LOST if resets.is_there(services, path)}
    # All or nothing, by its version; what has nothing beneath loses nothing.
    assert there in (set(), {*LOST} - {("new", "secrets")})
    for name in ("worker", "again", "extended"):
        assert not resets.is_there(services, (name, "secrets"))
        assert not resets.is_there(services, (name, "environment", "B"))


def project(root: Path, shell: dict[str, str]) -> Project:
    return opened(load(root, "dev", engine="docker", shell=shell), dry_run=True)


def test_a_start_is_refused_where_it_is_so(checkout: Checkout, shell: dict[str, str]) -> None:
    here = project(made(checkout), shell)
    if not resets.is_there(here.model.services, ("beat", "secrets")):
        pytest.skip("this Compose forgets nothing")
    with pytest.raises(FindingsError) as caught:
        preflight.check_files(here, ["beat"])
    first = caught.value.findings[0]
    assert first.what.startswith("beat has secrets again, which `!reset` takes away in worker")
    assert (first.where, "extends: {service: worker}" in str(first.fix)) == ("mine.yml:9", True)
    preflight.check_files(here, ["extended", "again"])


@pytest.mark.parametrize(
    "text", ["", "services: [&a {b: !reset c}, *a]", "*\x00&!reset", "a: &a *a !reset", LOOP]
)
def test_what_is_no_compose_file_has_nothing_to_find(checkout: Checkout, text: str) -> None:
    assert resets.repeated(made(checkout, text), ["mine.yml"]) == []
