"""The starter's files as somebody gets them: as if written for that repository by hand."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from gangway.operations import offline_images
from gangway.operations.adoption import blocks, starter
from gangway.operations.adoption.starter import File, Lock, Names
from gangway.settings import contract
from tests.unit.conftest import ROOT

PLAIN = Names("shop")
BESIDE = Names("shop", "gangway", "gangway_tasks.py")
# What only the samples have.
SAMPLES = re.compile(
    r"habits?\b|flask front|\bscheduler\b|\bapps/|langflow|qdrant|fullstack|dashboards?\b|"
    r"(?<!_)front ?end\b|api\.main|api\.migrate|app:5000|STACK_APPS|APP_URL|docs/\w",
    re.IGNORECASE,
)


@pytest.mark.parametrize("names", [PLAIN, BESIDE], ids=["plain", "beside"])
def test_nothing_of_the_samples_is_in_what_somebody_reads(names: Names) -> None:
    for path, file in starter.files(names).items():
        # The names of packages aside, and Celery's own word.
        if path.startswith("docker/offline/requirements") or path == "scripts/alive.py":
            continue
        assert not SAMPLES.search(f"{path}\n{file.text}"), f"{path}: {SAMPLES.search(file.text)}"


def test_beside_other_compose_files_ours_have_another_name_wherever_they_are_named() -> None:
    files = starter.files(BESIDE)
    assert {path for path in files if path.endswith(".yml") and "/" not in path} == {
        f"gangway{overlay}.yml" for overlay in ("", ".dev", ".test", ".prod", ".native", ".swarm")
    }
    for path, file in files.items():
        assert not re.search(r"docker-compose[.\w]*\.yml", file.text), path
    assert "COMPOSE_FILE=gangway.yml:gangway.dev.yml\n" in files["env/dev.env"].text
    assert ":gangway.native.yml" in files["env/engines/native.env"].text
    assert "extends: {file: gangway.yml, service: api}" in files["gangway.test.yml"].text


def test_beside_other_tasks_ours_have_another_name_and_are_called_by_it() -> None:
    files = starter.files(BESIDE)
    assert "gangway_tasks.py" in files and "tasks.py" not in files
    assert "`invoke -c gangway_tasks dev.up --ports auto`" in files["env/dev.env"].text
    assert not [path for path, file in files.items() if re.search(r"`invoke [a-z]", file.text)]


def test_every_environment_is_the_projects() -> None:
    files = starter.files(Names("book-shop"))
    for name in ("dev", "test", "prod", "staging"):
        text = files[f"env/{name}.env"].text
        assert "GANGWAY_STACK=book-shop\n" in text
        assert f"ENVIRONMENT_NAME={name}\n" in text
        assert "POSTGRES_USER=book_shop\n" in text
        assert "--env-file stacks/book-shop/stack.env" in text
        assert "COMPOSE_PROJECT_NAME" not in text


def test_a_database_is_named_as_postgresql_wants_it() -> None:
    assert Names("2-shops").database == "_2_shops"


def test_personal_files_are_nothing_that_git_sees() -> None:
    files = starter.files(PLAIN)
    assert "local.env" in files["env/.gitignore"].text.split()
    assert {"/*", "!dev/", "!test/", "!.gitignore"} <= set(files["secrets/.gitignore"].text.split())


def test_programs_stay_programs() -> None:
    files = starter.files(PLAIN)
    assert files["scripts/entrypoint"].executable
    assert not files["scripts/lib.sh"].executable and not files["docker-compose.yml"].executable


def test_every_variable_that_is_described_is_one_of_something_that_is_there() -> None:
    files = starter.files(PLAIN)
    described = contract.described({"env/contract.yml": files["env/contract.yml"].text}).variables
    others = "".join(file.text for path, file in files.items() if path != "env/contract.yml")
    # What only tasks read.
    tasks = ("CACHE_KEYS", "RATE_LIMIT_KEYS", "MAKEMIGRATION", "DOWNGRADE", "HISTORY", "NODE_IMAGE")
    assert [name for name in described if name not in others and not name.startswith(tasks)] == []


def test_an_image_that_only_a_sample_has_is_not_built_here(tmp_path: Path) -> None:
    for path, file in starter.files(PLAIN).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(file.text)
    ours = {image.name for image in offline_images.of(ROOT)}
    theirs = offline_images.of(tmp_path)
    assert ours - {image.name for image in theirs} == {offline_images.QDRANT.name}
    assert offline_images.input_hashes(tmp_path, theirs).keys() == {each.name for each in theirs}


def test_comments_and_order_stay_where_a_service_is_cut_out() -> None:
    ours = (ROOT / "docker-compose.yml").read_text(encoding="utf-8").splitlines()
    theirs = starter.files(PLAIN)["docker-compose.yml"].text.splitlines()
    kept = [line for line in theirs if line in ours]
    position = -1
    for line in kept:
        position = ours.index(line, position + 1)
    assert len(theirs) - len(kept) < 12


def test_the_wheel_has_what_the_checkout_has(tmp_path: Path) -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    included = build["targets"]["wheel"]["force-include"]
    originals = starter.originals(ROOT)
    assert {path.partition("/")[0] for path in originals} == {
        name.partition("/")[0] for name in included
    }
    for name, file in originals.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8")
        path.chmod(0o755 if file.executable else 0o644)
    assert starter.files(PLAIN, tmp_path) == starter.files(PLAIN)


def test_a_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    lock = Lock("1.0", BESIDE, {"b": "2", "a": "1"}, {"3": "text\n"})
    starter.write_lock(tmp_path, lock)
    assert starter.read_lock(tmp_path) == lock
    assert (tmp_path / starter.LOCK).read_text().index('"a"') < lock.text().index('"b"')


def test_an_entry_is_cut_out_with_the_comment_above_it() -> None:
    text = """services:
  # One.
  one: {a: 1}

  # Two.
  two:
    # inside
    b: [1,
      2]

  three: {}
"""
    assert blocks.without(text, "services", "two") == (
        "services:\n  # One.\n  one: {a: 1}\n\n  three: {}\n"
    )
    assert yaml.safe_load(blocks.without(text, "services", "three")) == {
        "services": {"one": {"a": 1}, "two": {"b": [1, 2]}}
    }


def test_what_is_to_be_cut_out_must_be_there() -> None:
    with pytest.raises(KeyError, match=r"services\.four"):
        blocks.without("services:\n  one: {}\n", "services", "four")
    changed = {**starter.originals(ROOT), "env/dev.env": File("ENVIRONMENT=development\n")}
    with pytest.raises(KeyError, match=r"env/dev\.env"):
        starter.rendered(changed, PLAIN)
