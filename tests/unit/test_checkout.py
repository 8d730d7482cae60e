"""Settings for one checkout only: found, kept, and read by Compose."""

# `shell` is an argument of load() here, and starts none.
# ruff: noqa: S604

from __future__ import annotations

import json
import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from gangway.base.errors import GangwayError
from gangway.settings import checkout as own
from gangway.settings import contract, contract_check, secrets
from gangway.settings.checkout import Checkout as Layer
from gangway.settings.checkout import Template
from gangway.settings.environment import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import Checkout, Render

HEAD = "ENVIRONMENT=development\nCOMPOSE_PATH_SEPARATOR=:\n"
AWKWARD = {
    "PLAIN": "8010",
    "SPACES": "two words # no comment",
    "QUOTES": 'it\'s "so"',
    "DOLLAR": "$HOME/${X}",
    "BACK": "C:\\ca's\\x",
}
needs_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can give files away"
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_written_is_read_back_by_us_and_by_compose(
    checkout: Checkout, render: Render, shell: dict[str, str]
) -> None:
    root = checkout({"env/dev.env": HEAD})
    Layer(root).write("dev", AWKWARD)
    assert Layer(root).read("dev") == AWKWARD
    env = load(root, "dev", shell=shell)
    rendered = render(env)
    assert {name: rendered[name] for name in AWKWARD} == AWKWARD
    assert {env.variables[name].layer for name in AWKWARD} == {"checkout"}


def test_the_layer_file_is_sorted_private_and_replaced_in_one_step(checkout: Checkout) -> None:
    root = checkout({"env/dev.env": HEAD})
    layer = Layer(root)
    layer.write("dev", {"B": "2", "A": "1"})
    before = layer.path("dev").stat().st_ino
    with layer.path("dev").open() as reader:
        layer.write("dev", {"B": "2", "A": "3"})
        assert reader.read().splitlines()[1:] == ["A=1", "B=2"]
    assert layer.path("dev").read_text().splitlines()[1:] == ["A=3", "B=2"]
    assert layer.path("dev").stat().st_ino != before
    assert (mode(layer.path("dev").parent), mode(layer.path("dev"))) == (0o700, 0o600)
    assert {path.name for path in (root / ".gangway").iterdir()} == {"dev.env", ".gitignore"}


def test_git_looks_past_the_checkouts_own_folder(checkout: Checkout) -> None:
    root = checkout({"env/dev.env": HEAD})
    own.record(root, "dev", {"APP_UID": "501"})
    own.state(root, "dev.lock").touch()
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    words = ["git", "status", "--porcelain", "--untracked-files=all", ".gangway"]
    assert subprocess.run(words, cwd=root, check=True, capture_output=True).stdout == b""


def test_recording_keeps_what_was_chosen_earlier(checkout: Checkout) -> None:
    root = checkout({"env/dev.env": HEAD})
    own.record(root, "dev", {"COMPOSE_PROJECT_NAME": "mine", "PUBLISHED_API_PORT": "8010"})
    own.record(root, "dev", {"APP_UID": "501"})
    own.record(root, "test", {"APP_UID": "502"})
    own.record(root, "dev", {"PUBLISHED_API_PORT": ""})
    assert Layer(root).read("dev") == {"COMPOSE_PROJECT_NAME": "mine", "APP_UID": "501"}


def test_recording_nothing_new_writes_nothing(checkout: Checkout) -> None:
    root = checkout({"env/dev.env": HEAD})
    own.record(root, "dev", {"A": ""})
    assert not Layer(root).path("dev").exists()
    own.record(root, "dev", {"A": "1"})
    before = Layer(root).path("dev").stat()
    own.record(root, "dev", {"A": "1"})
    assert Layer(root).path("dev").stat() == before
    own.record(root, "dev", {"A": ""})
    assert not Layer(root).path("dev").exists()


def test_a_layer_file_that_was_spoiled_by_hand_is_shown_with_its_line(checkout: Checkout) -> None:
    root = checkout({".gangway/dev.env": "A=1\nwhat\n"})
    with pytest.raises(GangwayError) as caught:
        Layer(root).read("dev")
    assert caught.value.findings[0].where == ".gangway/dev.env:2"


def test_a_layer_that_cannot_be_written_is_one_clear_message(checkout: Checkout) -> None:
    root = checkout({".gangway": "a file where the directory should be"})
    with pytest.raises(GangwayError, match="cannot write it: ") as caught:
        Layer(root).write("dev", {"A": "1"})
    assert caught.value.where == ".gangway/dev.env"


def test_the_hash_tells_checkouts_apart_and_stays(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert own.short_hash(one) == own.short_hash(two / ".." / "one")
    assert own.short_hash(one) != own.short_hash(two)
    assert len(own.short_hash(one)) == 6


@needs_root
def test_containers_run_as_the_owner_of_the_checkout(checkout: Checkout) -> None:
    root = checkout({"env/dev.env": HEAD, "env/test.env": "ENVIRONMENT=test\n"})
    os.chown(root, 501, 20)
    for name in ("dev", "test"):
        facts = own.facts(load(root, name, shell={}))
        assert facts == {"APP_UID": "501", "APP_GID": "20"}


@needs_root
def test_the_plain_user_needs_no_line_and_an_old_line_goes(checkout: Checkout) -> None:
    root = checkout({"env/dev.env": HEAD})
    os.chown(root, 1000, 1000)
    assert own.facts(load(root, "dev", shell={})) == {}
    own.record(root, "dev", {"APP_UID": "501", "APP_GID": "20"})
    own.record(root, "dev", own.facts(load(root, "dev", shell={})))
    assert Layer(root).read("dev") == {}


@needs_root
def test_what_a_higher_layer_decides_is_left_alone(checkout: Checkout) -> None:
    root = checkout({"env/dev.env": HEAD, "env/local.env": "APP_UID=1\n"})
    os.chown(root, 501, 501)
    facts = own.facts(load(root, "dev", shell={"APP_GID": "2"}))
    assert facts == {}


@needs_root
def test_production_runs_as_the_owner_of_the_secrets(checkout: Checkout) -> None:
    root = checkout({"env/prod.env": "ENVIRONMENT=production\nSECRETS_DIR=./s\n"})
    env = load(root, "prod", shell={})
    assert own.facts(env) == {}
    secrets.init(root / "s", ["secret_key"])
    assert own.facts(env) == {}
    os.chown(root / "s" / "secret_key", 501, 20)
    assert own.facts(env) == {"APP_UID": "501", "APP_GID": "20"}


def test_keys_that_are_good_for_a_while_are_named_as_long_as_they_are_there(
    checkout: Checkout,
) -> None:
    text = f"ENVIRONMENT=production\nSECRETS_DIR=./s\nAPP_UID={os.geteuid()}\n"
    root = checkout({"env/prod.env": text, "s/secret_key_previous": "x\n"})
    found = own.facts(load(root, "prod", shell={}))
    name = "SECRET_KEY_PREVIOUS_FILE"
    assert found[name] == "./s/secret_key_previous"
    own.record(root, "prod", {name: found[name]})
    (root / "s" / "secret_key_previous").unlink()
    assert own.facts(load(root, "prod", shell={}))[name] == ""


@needs_root
def test_production_never_runs_as_root_even_when_the_secrets_are_roots(checkout: Checkout) -> None:
    root = checkout({"env/prod.env": "ENVIRONMENT=production\nSECRETS_DIR=./s\n"})
    secrets.init(root / "s", ["secret_key"], owner=(0, 0))
    env = load(root, "prod", shell={})
    assert "APP_UID" not in own.facts(env)
    text = "groups:\n  A:\n    K: {type: string, meaning: m, secret_file: secret_key}\n"
    checkout({"env/contract.yml": text})
    findings = contract_check.check(env, contract.load(root))
    assert [finding.fix for finding in findings if finding.where == "s/secret_key"] == [
        "chown 10001 s/secret_key"
    ]


def test_a_personal_override_file_is_added_whatever_the_stack(
    checkout: Checkout, compose: list[str], shell: dict[str, str]
) -> None:
    service = '{{services: {{{name}: {{image: none, environment: {{A: "1"}}}}}}}}'
    root = checkout(
        {
            "env/dev.env": HEAD + "COMPOSE_FILE=base.yml\n",
            "stacks/wide/stack.env": "COMPOSE_FILE=${COMPOSE_FILE}:wide.yml\n",
            "base.yml": service.format(name="base"),
            "wide.yml": service.format(name="wide"),
            "base.override.yml": service.format(name="personal"),
        }
    )
    own.record(root, "dev", own.facts(load(root, "dev", shell=shell)))
    recorded = Layer(root).read("dev")["COMPOSE_FILE"]
    assert isinstance(recorded, Template)
    for stack, services in (("core", {"base", "personal"}), ("wide", {"base", "wide", "personal"})):
        env = load(root, "dev", stack=stack, shell=shell)
        assert env.get("COMPOSE_FILE").split(":")[-1] == "base.override.yml"
        assert "COMPOSE_FILE" not in own.facts(env)
        words = env.compose_command("config", "--format", "json")[2:]
        done = subprocess.run(
            [*compose, *words],
            cwd=root,
            env=env.process_environment(),
            capture_output=True,
            check=True,
        )
        assert set(json.loads(done.stdout)["services"]) == services
    (root / "base.override.yml").unlink()
    own.record(root, "dev", own.facts(load(root, "dev", shell=shell)))
    assert "COMPOSE_FILE" not in Layer(root).read("dev")


@pytest.mark.parametrize("kind", ["test", "production"])
def test_the_override_file_is_for_development_only(kind: str, checkout: Checkout) -> None:
    files = {"env/x.env": f"ENVIRONMENT={kind}\nCOMPOSE_FILE=base.yml\n", "base.override.yml": ""}
    assert "COMPOSE_FILE" not in own.facts(load(checkout(files), "x", shell={}))


def test_builds_get_the_ca_bundle_that_the_shell_names(checkout: Checkout) -> None:
    root = checkout({"env/dev.env": HEAD, "ca.pem": "x"})
    bundle = str(root / "ca.pem")
    facts = own.facts(load(root, "dev", shell={"PIP_CERT": "/gone", "SSL_CERT_FILE": bundle}))
    assert facts["BUILD_CA_BUNDLE"] == bundle
    own.record(root, "dev", facts)
    assert load(root, "dev", shell={}).get("BUILD_CA_BUNDLE") == bundle


def test_a_ca_bundle_that_is_given_otherwise_stays(checkout: Checkout) -> None:
    root = checkout({"env/dev.env": HEAD + "BUILD_CA_BUNDLE=own.pem\n", "ca.pem": "x"})
    shell = {"PIP_CERT": str(root / "ca.pem")}
    assert "BUILD_CA_BUNDLE" not in own.facts(load(root, "dev", shell=shell))
    shell["BUILD_CA_BUNDLE"] = "mine.pem"
    assert "BUILD_CA_BUNDLE" not in own.facts(load(root, "dev", shell=shell))
