"""When images are out of date, going by the model's own `rebuild` rules."""

from __future__ import annotations

import os
from pathlib import Path

from gangway.engines.docker.images import inputs, outdated
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
