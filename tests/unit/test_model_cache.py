"""The merged model is kept exactly as long as nothing that it is made of changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gangway.model import model_cache
from gangway.settings import cache
from gangway.settings.environment import Environment, load

ARGV = ["docker", "compose", "config"]
MODEL = {"name": "x", "services": {}}
COMPOSE = "services: {api: {image: '${IMAGE:-busybox}', user: '${UID_OF_API}'}}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "dev.env").write_text(
        "ENVIRONMENT=development\nCOMPOSE_FILE=docker-compose.yml\nIMAGE=debian\n"
    )
    (tmp_path / "docker-compose.yml").write_text(COMPOSE)
    plugin = tmp_path / "docker-config" / "cli-plugins" / "docker-compose"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("one")
    return tmp_path


def loaded(root: Path, shell: Mapping[str, str], **overrides: str) -> Environment:
    around = {"PATH": "/usr/bin:/bin", "DOCKER_CONFIG": str(root / "docker-config"), **shell}
    return load(root, "dev", overrides=overrides, shell=around)


def keep(root: Path) -> None:
    environment = loaded(root, {})
    model_cache.keep(environment, model_cache.ingredients(environment, ARGV), MODEL)


def found(environment: Environment, argv: list[str] = ARGV) -> object:
    return model_cache.kept(environment, model_cache.ingredients(environment, argv))


def test_it_is_found_again(root: Path) -> None:
    keep(root)
    assert found(loaded(root, {})) == MODEL


def test_what_the_files_never_mention_does_not_matter(root: Path) -> None:
    keep(root)
    assert found(loaded(root, {"SHLVL": "7"})) == MODEL


@pytest.mark.parametrize("file", ["env/dev.env", "docker-compose.yml"])
def test_a_changed_file_makes_it_stale_even_within_the_same_second(root: Path, file: str) -> None:
    keep(root)
    text = (root / file).read_text()
    (root / file).write_text(text.replace("debian", "alpine").replace("busybox", "toybox1"))
    assert found(loaded(root, {})) is None


@pytest.mark.parametrize("name", ["IMAGE", "UID_OF_API", "COMPOSE_PROFILES", "DOCKER_HOST"])
def test_so_does_a_variable_of_the_shell_that_they_use(root: Path, name: str) -> None:
    keep(root)
    assert found(loaded(root, {name: "another"})) is None


def test_so_does_one_on_the_command_line(root: Path) -> None:
    keep(root)
    assert found(loaded(root, {}, IMAGE="another")) is None


def test_so_does_another_compose_plugin(root: Path) -> None:
    keep(root)
    (root / "docker-config" / "cli-plugins" / "docker-compose").write_text("another")
    assert found(loaded(root, {})) is None


def test_without_a_plugin_to_tell_it_by_it_is_never_kept(root: Path) -> None:
    keep(root)
    shell = {"PATH": str(root), "DOCKER_CONFIG": str(root)}
    assert model_cache.ingredients(loaded(root, shell), [str(root / "docker-compose")]) is None


def test_no_variable_of_the_shell_is_written_down(root: Path) -> None:
    environment = loaded(root, {"DOCKER_AUTH_CONFIG": "a credential"})
    model_cache.keep(environment, model_cache.ingredients(environment, ARGV), MODEL)
    assert found(environment) == MODEL
    assert "a credential" not in (root / cache.FILE).read_text()


@pytest.mark.parametrize("where", ["shell", "command line", "env/local.env"])
def test_a_model_with_somebody_s_own_credential_is_never_kept(root: Path, where: str) -> None:
    passed_on = "services: {api: {image: busybox, environment: [API_TOKEN]}}\n"
    (root / "docker-compose.yml").write_text(passed_on)
    credential = {"API_TOKEN": 'a "$credential"'}
    if where == "env/local.env":
        (root / where).write_text("API_TOKEN='a \"$credential\"'\n")
    environment = loaded(
        root,
        credential if where == "shell" else {},
        **(credential if where == "command line" else {}),
    )
    made_of = model_cache.ingredients(environment, ARGV)
    model_cache.keep(environment, made_of, {"services": {"api": {"URL": 'x:a "$$credential"@y'}}})
    assert found(environment) is None
    assert not (root / cache.FILE).exists()
    model_cache.keep(environment, made_of, MODEL)
    assert found(environment) == MODEL


def test_a_well_known_one_of_the_repository_s_files_may_be_kept(root: Path) -> None:
    with (root / "env" / "dev.env").open("a") as file:
        file.write("API_TOKEN=well-known\n")
    keep(root)
    assert found(loaded(root, {})) == MODEL


def test_a_variable_that_is_only_passed_on_matters_too(root: Path) -> None:
    (root / "docker-compose.yml").write_text("services: {api: {environment: [COLOUR]}}\n")
    keep(root)
    assert found(loaded(root, {"COLOUR": "red"})) is None


def test_so_does_another_call(root: Path) -> None:
    keep(root)
    assert found(loaded(root, {}), [*ARGV, "--no-interpolate"]) is None


def test_a_service_that_extends_one_of_the_merged_files_may_be_kept(root: Path) -> None:
    extended = "  app: {extends: {file: docker-compose.yml, service: api}}\n"
    (root / "docker-compose.yml").write_text("services:\n  api: {image: busybox}\n" + extended)
    keep(root)
    assert found(loaded(root, {})) == MODEL


@pytest.mark.parametrize(
    "text",
    [
        "include: [more.yml]\n",
        "services:\n  api:\n    extends: {file: more.yml, service: api}\n",
        "services:\n  api:\n    extends: {file: below/more.yml, service: api}\n",
        "services:\n  api:\n    extends:\n      file: docker-compose.yml\n      service: api\n",
        "x: {extends: {file: docker-compose.yml, service: api}, env_file: a.env}\n",
        "services:\n  api:\n    extends: other\n",
        "    env_file: a.env\n",
        'x: {"extends": {file: b.yml}}\n',
    ],
)
def test_files_that_refer_to_others_are_never_kept(root: Path, text: str) -> None:
    (root / "docker-compose.yml").write_text(COMPOSE + text)
    (root / "below").mkdir()
    (root / "below" / "more.yml").write_text(
        "services:\n  api:\n    extends: {file: other.yml, service: api}\n"
    )
    assert model_cache.ingredients(loaded(root, {}), ARGV) is None
    model_cache.keep(loaded(root, {}), None, MODEL)
    assert found(loaded(root, {})) is None


def test_what_tls_adds_is_part_of_what_the_model_is_made_of(root: Path) -> None:
    extends = '    extends: {file: "tls/${TLS:-off}.yml", service: api}\n'
    (root / "docker-compose.yml").write_text(f"services:\n  api:\n{extends}")
    (root / "tls").mkdir()
    for mode in ("off", "files"):
        (root / "tls" / f"{mode}.yml").write_text(f"services: {{api: {{image: {mode}}}}}\n")
    for mode in ("off", "files"):
        made_of = model_cache.ingredients(loaded(root, {"TLS": mode}), ARGV)
        assert made_of
        assert [name for name in made_of["texts"] if "/" in name and "tls" in name] == [
            f"tls/{mode}.yml"
        ]


OWN = """services:
  mail: {extends: {file: theirs.yml, service: mail}}
  api:
    env_file:
      - {path: app.env, required: false}
      - {path: "app.${OVERLAY}.env", required: false}
"""


@pytest.mark.parametrize("file", ["app.env", "app.dev.env", "theirs.yml"])
def test_what_a_stack_of_somebody_s_own_refers_to_makes_it_stale(root: Path, file: str) -> None:
    with (root / "env" / "dev.env").open("a") as settings:
        settings.write("OVERLAY=dev\n")
    (root / "docker-compose.yml").write_text(OWN)
    (root / "theirs.yml").write_text("services: {mail: {image: busybox}}\n")
    keep(root)
    assert found(loaded(root, {})) == MODEL
    (root / file).write_text("services: {mail: {image: alpine}}\n")
    assert found(loaded(root, {})) is None


@pytest.mark.parametrize("text", ["env_file: x", "include: [x]", "extends: {service: a, file: x}"])
def test_what_refers_further_is_never_kept(root: Path, text: str) -> None:
    (root / "docker-compose.yml").write_text(OWN)
    (root / "theirs.yml").write_text(f"services:\n  mail:\n    {text}\n")
    assert model_cache.ingredients(loaded(root, {}), ARGV) is None
