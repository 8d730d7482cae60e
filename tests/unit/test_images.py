"""When images are out of date, going by the model's own `rebuild` rules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gangway.base.errors import GangwayError
from gangway.engines.docker.client import Client
from gangway.engines.docker.images import build, inputs, one_for_each_image, outdated
from gangway.model.model import Model
from gangway.settings.environment import Environment, load

NEVER = "the images haven't been built here yet"


def model(root: Path) -> Model:
    rules = [
        {"action": "rebuild", "path": str(root / "requirements.txt")},
        {"action": "sync", "path": str(root / "src")},
        {"action": "rebuild", "path": str(root / "scripts")},
    ]
    return Model(
        {"name": "x", "services": {"api": {"build": {}, "develop": {"watch": rules}}, "db": {}}}
    )


def write(path: Path, at: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    os.utime(path, (at, at))
    return path


def dev(root: Path) -> Environment:
    write(root / "env" / "dev.env", 1000).write_text("ENVIRONMENT=development\n")
    return load(root, "dev", shell={})


def prepared(root: Path) -> Model:
    for name in ("requirements.txt", "src/main.py", "scripts/serve", ".gangway/dev.built"):
        write(root / name, 1000)
    return model(root)


def test_only_rebuild_rules_of_built_services_count(tmp_path: Path) -> None:
    found = [path.name for path in inputs(model(tmp_path), ["api", "db"])]
    assert found == ["requirements.txt", "scripts"]


def test_images_that_were_never_built_are_out_of_date(tmp_path: Path) -> None:
    assert outdated(dev(tmp_path), model(tmp_path), ["api"]) == NEVER


def test_services_that_are_not_built_here_wait_for_no_build(tmp_path: Path) -> None:
    assert outdated(dev(tmp_path), model(tmp_path), ["db"]) == ""


def test_nothing_changed_is_up_to_date(tmp_path: Path) -> None:
    assert outdated(dev(tmp_path), prepared(tmp_path), ["api", "db"]) == ""


def test_a_changed_lock_or_script_is_named(tmp_path: Path) -> None:
    found = prepared(tmp_path)
    write(tmp_path / "scripts" / "serve", 2000)
    assert (
        outdated(dev(tmp_path), found, ["api"])
        == "scripts/serve changed after the images were built"
    )
    assert outdated(dev(tmp_path), found, ["db"]) == ""


def test_sources_and_caches_dont_count(tmp_path: Path) -> None:
    found = prepared(tmp_path)
    write(tmp_path / "src" / "main.py", 2000)
    write(tmp_path / "scripts" / "__pycache__" / "db.pyc", 2000)
    assert outdated(dev(tmp_path), found, ["api"]) == ""


def client(root: Path, *, says: str) -> Client:
    """Return the way to a docker whose first build fails with these words, and no other does."""
    docker = write(root / "bin" / "docker", 1000)
    docker.write_text(
        f"#!/bin/sh\necho call >> {root}/calls\n"
        f"[ $(wc -l < {root}/calls) -gt 1 ] || {{ echo '{says}'; exit 17; }}\n"
    )
    docker.chmod(0o755)
    write(root / "env" / "dev.env", 1000).write_text("ENVIRONMENT=development\n")
    shell = {"PATH": f"{root}/bin:/usr/bin:/bin"}
    return Client(load(root, "dev", shell=shell))


@pytest.mark.parametrize(
    "lost",
    [
        "failed to solve: failed to get edge: inconsistent graph state",
        "failed to solve: failed to compute cache key: failed to get state for index 0 on [uv 3/3]",
    ],
)
def test_a_step_that_buildkit_has_lost_is_built_again(tmp_path: Path, lost: str) -> None:
    assert build(client(tmp_path, says=lost), model(tmp_path), ["build", "api"]) == 0
    assert (tmp_path / "calls").read_text().count("call") == 2


def test_any_other_failure_of_a_build_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(GangwayError, match="exit code: 1"):
        build(client(tmp_path, says="failed to solve: exit code: 1"), model(tmp_path), ["build"])
    assert (tmp_path / "calls").read_text().count("call") == 1


def test_an_image_that_two_services_share_is_built_once() -> None:
    shared = {"build": {}, "image": "x-api:local"}
    services = {"migrate": shared, "api": shared, "app": {"build": {}, "image": "x-app:local"}}
    made = Model({"name": "x", "services": services})
    assert one_for_each_image(made, ["api", "app", "migrate"]) == ["api", "app"]
    assert one_for_each_image(made, ["migrate"]) == ["migrate"]
