"""Layers: what wins, where it came from, and that Compose computes the same."""

# `shell` is an argument of load() here, and starts none.
# ruff: noqa: S604

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gangway.base.errors import FindingsError, GangwayError
from gangway.settings import contract, reference
from gangway.settings.environment import (
    PRECEDENCE,
    Environment,
    environments,
    image_sources,
    load,
    parse_overrides,
    stacks,
)
from tests.unit.conftest import ROOT

if TYPE_CHECKING:
    from tests.unit.conftest import Checkout, Render

# Lowest first: each layer's file, and what it must be called.
LAYERS = [
    ("env/dev.env", "environment"),
    ("env/images/local.env", "images"),
    ("stacks/wide/stack.env", "stack"),
    (".gangway/dev.env", "checkout"),
    ("env/local.env", "local"),
]
HEAD = "ENVIRONMENT=development\n"


def values(env: Environment) -> dict[str, str]:
    return {name: variable.value for name, variable in env.variables.items()}


@pytest.mark.parametrize("highest", range(1, len(LAYERS) + 1))
def test_each_file_layer_beats_those_beneath_and_compose_agrees(
    highest: int, checkout: Checkout, render: Render, shell: dict[str, str]
) -> None:
    files = {path: f"WHO={layer}\nONLY_{layer}=here\n" for path, layer in LAYERS[:highest]}
    files["env/dev.env"] += HEAD
    root = checkout(files)
    env = load(
        root,
        "dev",
        images="local" if highest > 1 else None,
        stack="wide" if highest > 2 else None,
        shell=shell,
    )
    path, layer = LAYERS[highest - 1]
    assert list(env.files) == [file for file, _ in LAYERS[:highest]]
    assert (env.get("WHO"), env.variables["WHO"].layer) == (layer, layer)
    assert env.variables["WHO"].origin == f"{path}:1"
    assert values(env) == render(env)


def test_the_shell_beats_every_file_and_the_command_line_beats_the_shell(
    checkout: Checkout, render: Render, shell: dict[str, str]
) -> None:
    root = checkout({"env/dev.env": HEAD + "A=file\nB=file\nC=file\nD=$A$B$C\n"})
    env = load(root, "dev", shell={**shell, "A": "shell", "B": "shell"}, overrides={"B": "typed"})
    assert [env.variables[name].origin for name in "ABC"] == [
        "shell",
        "command line",
        "env/dev.env:4",
    ]
    assert values(env) | {"D": "shelltypedfile"} == values(env) == render(env)


def test_an_empty_value_in_a_higher_layer_counts(
    checkout: Checkout, render: Render, shell: dict[str, str]
) -> None:
    root = checkout({"env/dev.env": HEAD + "A=file\nB=file\n", "env/local.env": "A=\n"})
    env = load(root, "dev", shell={**shell, "B": ""})
    assert (env.get("A"), env.get("B")) == ("", "")
    assert values(env) == render(env)


def test_a_file_refers_to_the_layers_beneath_it(
    checkout: Checkout, render: Render, shell: dict[str, str]
) -> None:
    files = {
        "env/dev.env": HEAD + "FILES=base.yml\nPORT=1\n",
        ".gangway/dev.env": "FILES=${FILES}:own.yml\n",
        "env/local.env": "PORT=2${PORT}\n",
    }
    env = load(checkout(files), "dev", shell=shell)
    assert (env.get("FILES"), env.get("PORT")) == ("base.yml:own.yml", "21")
    assert env.beneath["FILES"] == "base.yml"
    assert values(env) == render(env)


def test_a_reference_that_compose_versions_resolve_differently_is_refused(
    checkout: Checkout,
) -> None:
    files = {"env/dev.env": HEAD + "A=low\n", "env/local.env": "A=high\nB=${A}\n"}
    with pytest.raises(GangwayError, match=r"which this file and env/dev.env:2 both set") as caught:
        load(checkout(files), "dev", shell={})
    assert caught.value.where == "env/local.env:2"


def test_a_reference_to_a_layer_that_is_read_later_says_so(checkout: Checkout) -> None:
    files = {"env/dev.env": HEAD + "B=${A}\n", "env/local.env": "A=1\n"}
    with pytest.raises(GangwayError, match=r"env/local.env:1 sets it, which is read later"):
        load(checkout(files), "dev", shell={})


@pytest.mark.parametrize("kind", ["test", "production", "staging"])
def test_personal_settings_are_for_development_only(kind: str, checkout: Checkout) -> None:
    files = {"env/x.env": f"ENVIRONMENT={kind}\nA=1\n", "env/local.env": "A=mine\n"}
    env = load(checkout(files), "x", shell={})
    assert env.get("A") == "1"
    assert env.files == ("env/x.env",)


@pytest.mark.parametrize(
    ("place", "origin"),
    [
        ("env/dev.env", "environment"),
        (".gangway/dev.env", "checkout"),
        ("env/local.env", "local"),
        ("shell", "shell"),
        ("override", "command line"),
    ],
)
def test_stack_and_images_are_chosen_in_any_layer(
    place: str, origin: str, checkout: Checkout, render: Render, shell: dict[str, str]
) -> None:
    choice = {"GANGWAY_STACK": "wide", "GANGWAY_IMAGES": "local"}
    files = {
        "env/dev.env": HEAD,
        "stacks/wide/stack.env": "WIDE=1\n",
        "env/images/local.env": "IMAGE=here\n",
    }
    lines = "".join(f"{name}={value}\n" for name, value in choice.items())
    if "/" in place:
        files[place] = files.get(place, "") + lines
    env = load(
        checkout(files),
        "dev",
        shell={**shell, **choice} if place == "shell" else shell,
        overrides=choice if place == "override" else None,
    )
    assert (env.stack, env.images) == ("wide", "local")
    assert (env.get("WIDE"), env.get("IMAGE")) == ("1", "here")
    found = env.variable("GANGWAY_STACK")
    assert found is not None
    assert found.layer == origin
    assert values(env) == render(env)


def test_a_stack_can_choose_its_images(checkout: Checkout) -> None:
    files = {
        "env/dev.env": HEAD,
        "stacks/wide/stack.env": "GANGWAY_IMAGES=local\n",
        "env/images/local.env": "IMAGE=here\n",
    }
    env = load(checkout(files), "dev", stack="wide", shell={})
    assert env.files == ("env/dev.env", "env/images/local.env", "stacks/wide/stack.env")


@pytest.mark.parametrize("overlay", ["dev", "test"])
def test_a_stack_adds_its_own_files_to_those_of_whatever_environment(
    overlay: str, checkout: Checkout, render: Render, shell: dict[str, str]
) -> None:
    stack = "COMPOSE_FILE=${COMPOSE_FILE}:stacks/wide/compose.yml:stacks/wide/${OVERLAY}.yml\n"
    files = {
        "env/x.env": f"{HEAD}COMPOSE_FILE=base.yml\nOVERLAY={overlay}\n",
        "stacks/wide/stack.env": stack,
    }
    env = load(checkout(files), "x", stack="wide", shell=shell)
    added = f"base.yml:stacks/wide/compose.yml:stacks/wide/{overlay}.yml"
    assert env.get("COMPOSE_FILE") == added
    assert values(env) == render(env)


def test_an_option_beats_the_variable_and_the_variable_then_says_so(
    checkout: Checkout, render: Render, shell: dict[str, str]
) -> None:
    files = {
        "env/dev.env": HEAD,
        "env/images/local.env": "GANGWAY_IMAGES=local\n",
        "env/local.env": "GANGWAY_IMAGES=local\n",
    }
    env = load(
        checkout(files), "dev", images="registry", shell={**shell, "GANGWAY_IMAGES": "local"}
    )
    assert env.images == "registry"
    assert "env/images/local.env" not in env.files
    assert env.variables["GANGWAY_IMAGES"].value == "registry"
    assert values(env) == render(env)


def test_defaults_add_no_file_and_no_assignment(checkout: Checkout) -> None:
    files = {"env/dev.env": HEAD, "stacks/core/stack.env": "A=1\n"}
    files["env/images/registry.env"] = "A=1\n"
    env = load(checkout(files), "dev", stack="core", images="registry", shell={})
    assert env.files == ("env/dev.env",)
    assert env.overrides == {}


def test_loading_again_with_the_same_choices_gives_the_same(checkout: Checkout) -> None:
    files = {"env/dev.env": HEAD, "env/images/local.env": "GANGWAY_IMAGES=local\n"}
    root = checkout(files)
    once = load(root, "dev", images="local", shell={"X": "1"}, overrides={"Y": "2"})
    again = load(
        root,
        once.name,
        stack=once.stack,
        images=once.images,
        overrides=once.overrides,
        shell=once.shell,
    )
    assert again == once


def test_a_new_environment_is_a_file(checkout: Checkout) -> None:
    files = {"env/dev.env": HEAD, "env/qa.env": "ENVIRONMENT=staging\n", "env/local.env": ""}
    root = checkout(files)
    assert environments(root) == ["dev", "qa"]
    assert load(root, "qa", shell={}).kind == "prod"


def test_the_shell_cannot_switch_off_the_rules_of_production(checkout: Checkout) -> None:
    root = checkout({"env/prod.env": "ENVIRONMENT=production\n"})
    assert load(root, "prod", shell={"ENVIRONMENT": "development"}).kind == "prod"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "dve"}, "no environment named 'dve'\n  fix: did you mean dev?"),
        ({"name": "local"}, "no environment named 'local'"),
        ({"name": "../dev"}, "no environment named '../dev'"),
        ({"name": "dev", "stack": "wied"}, "no stack named 'wied'\n  fix: did you mean wide?"),
        ({"name": "dev", "images": "lcal"}, "no image source named 'lcal'\n  fix: did you mean lo"),
    ],
)
def test_unknown_names_get_the_nearest_known_one(
    arguments: dict[str, str], message: str, checkout: Checkout
) -> None:
    files = {"env/dev.env": HEAD, "stacks/wide/stack.env": "", "env/images/local.env": ""}
    with pytest.raises(GangwayError) as caught:
        load(checkout(files), arguments.pop("name"), shell={}, **arguments)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_an_unknown_choice_in_a_file_is_shown_with_its_line(checkout: Checkout) -> None:
    files = {"env/dev.env": HEAD + "GANGWAY_STACK=wied\n", "stacks/wide/stack.env": ""}
    with pytest.raises(GangwayError, match="no stack named 'wied'") as caught:
        load(checkout(files), "dev", shell={})
    assert caught.value.where == "env/dev.env:2"


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        ("A=1\n", "env/dev.env", "ENVIRONMENT is not set here"),
        ("A=1\nENVIRONMENT=produktion\n", "env/dev.env:2", "ENVIRONMENT is 'produktion'"),
        ("ENVIRONMENT=\n", "env/dev.env:1", "ENVIRONMENT is ''"),
    ],
)
def test_an_environment_file_must_say_what_it_is(
    content: str, where: str, what: str, checkout: Checkout
) -> None:
    with pytest.raises(GangwayError, match=what) as caught:
        load(checkout({"env/dev.env": content}), "dev", shell={})
    assert caught.value.where == where


def test_a_malformed_file_is_shown_with_its_lines(checkout: Checkout) -> None:
    files = {"env/dev.env": HEAD, "env/local.env": "fine=1\nbroken\nA='x\n"}
    with pytest.raises(FindingsError) as caught:
        load(checkout(files), "dev", shell={})
    places = [finding.where for finding in caught.value.findings]
    assert places == ["env/local.env:2", "env/local.env:3"]


def test_an_unreadable_file_is_one_clear_message(checkout: Checkout) -> None:
    root = checkout({"env/other.env": HEAD})
    (root / "env/dev.env").symlink_to("nowhere")
    with pytest.raises(GangwayError, match="cannot read it: No such file") as caught:
        load(root, "dev", shell={})
    assert caught.value.where == "env/dev.env"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can change user")
def test_a_file_of_somebody_else_is_one_clear_message() -> None:
    program = (
        "import os, pathlib\n"
        "from gangway.settings import environment\n"
        "from gangway.base.errors import GangwayError\n"
        "os.setuid(65534)\n"
        "try: environment.load(pathlib.Path(), 'dev', shell={})\n"
        "except GangwayError as error: print(error)\n"
    )
    # Not tmp_path, which another user may not enter.
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "env").mkdir()
        (root / "env/dev.env").write_text(HEAD)
        (root / "env/dev.env").chmod(0o600)
        root.chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.startswith("env/dev.env: cannot read it: Permission denied")


def test_no_environment_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(GangwayError, match="no environment named 'dev'"):
        load(tmp_path, "dev", shell={})


def test_the_plain_command_does_the_same_when_pasted_anywhere(
    checkout: Checkout, shell: dict[str, str]
) -> None:
    files = {
        "env/dev.env": HEAD + "COMPOSE_FILE=base.yml\nCOMPOSE_PROJECT_NAME=pasted\nA=1\n",
        "base.yml": 'services: {one: {image: none, environment: {A: "${A}", B: "${B}"}}}',
        "deep/er/file": "",
    }
    root = checkout(files)
    env = load(root, "dev", shell=shell, overrides={"B": "it's $HOME; two words"})
    # The standalone Compose has the same arguments.
    standalone = shlex.quote(os.fspath(sys.executable).replace("python", "docker-compose"))
    for place in (root, root / "deep/er", root.parent):
        line = env.plain(env.compose_command("config"), cwd=place)
        done = subprocess.run(
            ["bash", "-c", line.replace("docker compose", standalone)],
            cwd=place,
            env=shell,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "name: pasted" in done.stdout
        assert 'A: "1"\n' in done.stdout
        assert "B: it's $$HOME; two words\n" in done.stdout


def test_a_command_that_is_pasted_at_a_link_runs_in_the_checkout_itself(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = checkout({"env/dev.env": HEAD, "deep/file": ""})
    link = root.with_name(f"{root.name}-link")
    link.symlink_to(root)
    for folder, typed in (
        (link, f"cd {root} && x"),
        (link / "deep", f"cd {root} && x"),
        (root, "x"),
    ):
        monkeypatch.chdir(folder)
        assert load(root, "dev", shell={"PWD": str(folder)}).plain(["x"]) == typed


def test_the_plain_command_shows_no_secret(checkout: Checkout) -> None:
    root = checkout({"env/dev.env": HEAD})
    env = load(root, "dev", shell={}, overrides={"A": "two words", "TOKEN": "geheim"})
    line = env.plain(["true"], cwd=root, is_secret="TOKEN".__eq__)
    assert line == "A='two words' TOKEN=\"${TOKEN:?}\" true"


def test_a_process_gets_the_shell_and_the_command_line() -> None:
    env = load(ROOT, "dev", shell={"A": "1", "B": "2"}, overrides={"B": "3"})
    assert env.process_environment() == {"A": "1", "B": "3"}


def test_names_come_from_the_folders() -> None:
    assert {"dev", "test", "prod", "staging"} <= set(environments(ROOT))
    assert "local" not in environments(ROOT)
    folders = {path.parent.name for path in ROOT.glob("stacks/*/stack.env")}
    assert folders and set(stacks(ROOT)) == {"core", *folders}
    assert {"registry", "mirror", "offline"} <= set(image_sources(ROOT))


def test_a_stack_is_a_folder_with_an_env_file(checkout: Checkout) -> None:
    root = checkout({"stacks/wide/stack.env": "", "stacks/other/compose.yml": "", "stacks/x": ""})
    assert stacks(root) == ["core", "wide"]


def test_where_every_environment_names_a_stack_there_is_no_default_one(checkout: Checkout) -> None:
    files = {f"env/{name}.env": HEAD + "GANGWAY_STACK=shop\n" for name in ("dev", "test")}
    root = checkout({**files, "stacks/shop/stack.env": "A=1\n"})
    assert stacks(root) == ["shop"]
    with pytest.raises(GangwayError) as caught:
        load(root, "dev", stack="core", shell={})
    assert str(caught.value) == "no stack named 'core'\n  fix: there are: shop"


def test_what_an_environment_begins_with_is_its_base(checkout: Checkout) -> None:
    root = checkout({"env/dev.env": HEAD + "COMPOSE_FILE=ours.yml:ours.dev.yml\n"})
    assert load(root, "dev", shell={}).base == "ours.yml"


def test_override_words_are_assignments() -> None:
    assert parse_overrides(["A=1", "B=x=y", "A="]) == {"A": "", "B": "x=y"}


@pytest.mark.parametrize("word", ["A", "=1", "A-B=1", "", "1A=x"])
def test_an_override_that_is_no_assignment_is_refused(word: str) -> None:
    with pytest.raises(GangwayError, match="is not NAME=value"):
        parse_overrides([word])


def test_the_table_shows_value_and_origin_and_masks_secrets() -> None:
    env = load(
        ROOT,
        "dev",
        shell={"LOG_LEVEL": "error", "BUILD_INDEX_URL": "https://me:hunter2@example.com/simple"},
        overrides={"MY_API_KEY": "hunter3", "IMAGE_TAG": "v1"},
    )
    rows = {
        name: (value, origin) for name, value, origin in reference.table(env, contract.load(ROOT))
    }
    assert rows["LOG_LEVEL"] == ("error", "shell")
    assert rows["IMAGE_TAG"] == ("v1", "command line")
    assert rows["POSTGRES_DB"][0] == "gangway_dev"
    assert rows["POSTGRES_DB"][1].startswith("env/dev.env:")
    assert rows["API_URL"] == ("http://api:8000", "default")
    assert "hunter" not in repr(rows)
    # In a file, and so no variable; and another stack's.
    assert not {"POSTGRES_PASSWORD", "JOBS_RATE_LIMIT"} & set(rows)
    assert list(rows) == sorted(rows)


def test_reading_an_environment_loads_no_slow_module() -> None:
    program = (
        "import pathlib, sys; from gangway.base import errors, output\n"
        "from gangway.settings import environment, checkout\n"
        "environment.load(pathlib.Path(), 'dev')\n"
        "print(*sorted({'yaml', 'subprocess', 'socket', 'invoke'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_the_docs_list_the_layers_as_they_are() -> None:
    docs = (ROOT / "docs/environments.md").read_text(encoding="utf-8")
    layers = [f"{number}. {text}" for number, text in enumerate(PRECEDENCE.values(), 1)]
    assert "\n".join(layers) in docs


def test_an_env_file_may_say_where_the_engine_is(checkout: Checkout, shell: dict[str, str]) -> None:
    root = checkout({"env/prod.env": "ENVIRONMENT=production\nDOCKER_HOST=ssh://server\n"})
    assert load(root, "prod", shell=shell).process_environment()["DOCKER_HOST"] == "ssh://server"
    own = {**shell, "DOCKER_HOST": "ssh://other"}
    assert load(root, "prod", shell=own).process_environment()["DOCKER_HOST"] == "ssh://other"
