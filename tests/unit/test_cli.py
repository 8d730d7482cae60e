"""The command line: bare words, options, what stands after `--`, errors and the listing."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated as A

import pytest

from gangway.base.errors import GangwayError
from gangway.tasks import cli
from gangway.tasks.options import Option

ROOT = Path(__file__).parents[2]
INVOKE = str(Path(sys.executable).with_name("invoke"))


def greet(*names: str, loud: bool = False, tail: A[str, Option("lines", "t")] = "") -> None:
    """Greet people."""


def enter(place: str) -> None:
    """Go in."""


TASKS = {
    "dev.greet": cli.task(greet, ROOT),
    "dev.enter": cli.task(enter, ROOT),
    "dev.end": cli.task(lambda: None, ROOT),
}


def invoke(
    *argv: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [INVOKE, *argv],
        env=env,
        check=False,
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        (["dev.greet", "a", "b"], ["dev.greet", "--names=a", "--names=b"]),
        (["dev.greet", "a", "--loud", "b"], ["dev.greet", "--names=a", "--loud", "--names=b"]),
        (["dev.greet", "--tail", "5", "a"], ["dev.greet", "--tail", "5", "--names=a"]),
        (["dev.greet", "--tail=5", "a"], ["dev.greet", "--tail=5", "--names=a"]),
        (["dev.greet", "-t", "5", "a"], ["dev.greet", "-t", "5", "--names=a"]),
        (["dev.greet", "a=3"], ["dev.greet", "--names=a=3"]),
        (["dev.enter", "here"], ["dev.enter", "here"]),
        (["dev.greet", "a", "dev.enter", "x"], ["dev.greet", "--names=a", "dev.enter", "x"]),
    ],
)
def test_bare_words_become_the_options_of_their_task(
    typed: list[str], understood: list[str]
) -> None:
    assert cli.spread(typed, TASKS) == understood


@pytest.mark.parametrize(
    ("typed", "guess"),
    [
        (["dve.greet"], "did you mean dev.greet"),
        (["dev.gret"], "did you mean dev.greet"),
        (["dev.greet", "--laud"], "did you mean --loud"),
        (["dev.enter", "a", "b"], "invoke --list"),
    ],
)
def test_a_mistyped_word_gets_the_nearest_known_one(typed: list[str], guess: str) -> None:
    with pytest.raises(GangwayError, match=guess):
        cli.spread(typed, TASKS)


def test_what_stands_after_the_dashes_is_untouched() -> None:
    argv = ["invoke", "dev.exec", "api", "--", "sh", "-c", "echo 'a  b' \"$X\"", "--", ""]
    assert cli.remainder(argv) == ["sh", "-c", "echo 'a  b' \"$X\"", "--", ""]


def test_an_unknown_task_is_one_message_and_status_2() -> None:
    done = invoke("dev.upp")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no task named 'dev.upp'")
    assert "dev.up?" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_list_says_each_shared_task_once_and_names_every_environment() -> None:
    out = invoke("--list").stdout
    assert out.count("\n  up ") == 1
    for name in ("dev.up", "test.up", "prod.up", "staging.up", "test.run", "prod.init"):
        assert name in out
    assert out.count("(staging, too)") == out.count("\n  prod.")


def test_help_shows_the_options_of_one_task() -> None:
    out = invoke("--help", "dev.up").stdout
    for option in ("--build", "--watch", "--ports", "--stack", "--dry-run", "-e"):
        assert option in out


def test_a_new_environment_file_brings_its_tasks(tmp_path: Path) -> None:
    for name in ("tasks.py", "gangway", "env"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)
        else:
            shutil.copy(source, tmp_path)
    text = (ROOT / "env" / "staging.env").read_text()
    (tmp_path / "env" / "demo.env").write_text(text.replace("staging", "demo"))
    assert "demo.up" in invoke("--list", cwd=tmp_path).stdout


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return a checkout with tasks and environments alone."""
    shutil.copytree(ROOT / "gangway", tmp_path / "gangway")
    shutil.copytree(ROOT / "env", tmp_path / "env")
    shutil.copy(ROOT / "tasks.py", tmp_path)
    return tmp_path


def test_an_env_file_that_can_not_name_a_task_is_told_of_and_all_else_works(copied: Path) -> None:
    for name in ("dev.local", "my own", "images"):
        (copied / "env" / f"{name}.env").touch()
    listed = invoke("--list", cwd=copied)
    asked = invoke("dev.ps", "--dry-run", "--engine", "docker", cwd=copied)
    assert (listed.returncode, asked.returncode) == (0, 0)
    assert "images.offline" in listed.stdout
    assert " ps --all\n" in asked.stdout
    for said in (listed.stderr, asked.stderr):
        assert "note: env/dev.local.env: this file is not read" in said
        assert said.count("note: ") == 3


def test_an_underscore_in_an_environment_s_name_stays(copied: Path) -> None:
    text = (copied / "env" / "staging.env").read_text()
    (copied / "env" / "pre_prod.env").write_text(text.replace("gangway-staging", "x"))
    assert "pre_prod.init" in invoke("--list", cwd=copied).stdout
    done = invoke("pre_prod.init", "--dry-run", cwd=copied)
    assert done.returncode == 0, done.stderr
    assert "did you mean pre_prod.up?" in invoke("pre-prod.up", cwd=copied).stderr


SHELL = {name: value for name, value in os.environ.items() if name != "GANGWAY_ENGINE"}


@pytest.mark.parametrize(
    ("name", "value", "own"),
    [
        ("COMPOSE_PROJECT_NAME", "probe", "gangway-dev"),
        ("COMPOSE_PROFILES", "debug", "database,api,app,scheduler"),
        ("COMPOSE_FILE", "docker-compose.yml", "docker-compose.yml:docker-compose.dev.yml"),
        ("ENVIRONMENT_NAME", "test", "dev"),
        ("OVERLAY", "prod", "dev"),
    ],
)
@pytest.mark.parametrize("task", ["dev.up", "dev.down", "dev.ps"])
def test_the_shell_can_not_make_another_environment_of_one(
    task: str, name: str, value: str, own: str, copied: Path
) -> None:
    done = invoke(task, "--dry-run", cwd=copied, env={**SHELL, name: value})
    assert done.returncode == 2
    assert done.stderr.startswith("error: the shell would make dev something else:\n")
    assert f"shell: {name}={value} would stand in the place of {own} (env/dev.env:" in done.stderr
    assert f"fix: unset {name}; for one command: -e {name}={value}\n" in done.stderr
    assert not done.stdout


def test_the_command_line_may_say_what_an_environment_is_made_of(copied: Path) -> None:
    words = ("dev.ps", "--dry-run", "--engine", "docker", "-e", "COMPOSE_PROJECT_NAME=mine")
    done = invoke(*words, cwd=copied)
    assert done.returncode == 0, done.stderr
    assert "COMPOSE_PROJECT_NAME=mine" in done.stdout


@pytest.mark.parametrize("where", ["beside", "/outside"])
def test_secrets_are_made_outside_of_the_checkout_too(where: str, tmp_path: Path) -> None:
    folder = tmp_path / where.strip("/")
    named = str(folder) if where.startswith("/") else os.path.relpath(folder, ROOT)
    done = invoke("staging.init", "-e", f"SECRETS_DIR={named}")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["made"] * 3
    assert len(list(folder.iterdir())) == 3


ON_WINDOWS = """
import runpy, sys
import invoke.main
sys.platform = "win32"
sys.modules["fcntl"] = None
sys.argv = {argv}
{run}
"""


@pytest.mark.parametrize(
    ("argv", "run"),
    [
        (["invoke", "dev.env"], "invoke.main.program.run()"),
        (["gangway", "adopt"], "runpy.run_module('gangway', run_name='__main__')"),
    ],
)
def test_windows_itself_is_refused_with_one_message(argv: list[str], run: str) -> None:
    program = ON_WINDOWS.format(argv=argv, run=run)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: Gangway doesn't run on Windows itself\n  fix: run it in WSL"
    )


def test_dry_run_prints_the_plain_command_and_runs_nothing() -> None:
    done = invoke("dev.logs", "api", "--tail", "3", "--dry-run", "--engine", "docker")
    assert done.returncode == 0
    assert done.stdout.startswith("GANGWAY_ENGINE=docker docker compose --env-file env/dev.env")
    assert done.stdout.rstrip().endswith("logs --tail 3 api")


def test_words_that_a_task_does_not_take_are_refused() -> None:
    done = invoke("dev.up", "--dry-run", "--", "--foo")
    assert done.returncode == 2
    assert done.stderr.startswith("error: dev.up takes no words after --: --foo\n  fix: ")


@pytest.mark.parametrize("task", ["init", "scan", "build"])
def test_a_dry_run_neither_makes_nor_looks_for_anything(task: str, tmp_path: Path) -> None:
    nobody = {**os.environ, "DOCKER_HOST": "unix:///nonexistent.sock"}
    secrets = f"SECRETS_DIR={tmp_path / 'secrets'}"
    done = invoke(f"staging.{task}", "--dry-run", "-e", secrets, env=nobody)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not (tmp_path / "secrets").exists()


def test_without_any_engine_s_program_a_dry_run_prints_the_native_command() -> None:
    here = {name: value for name, value in os.environ.items() if name != "GANGWAY_ENGINE"}
    done = invoke("dev.ps", "--dry-run", env={**here, "PATH": str(Path(INVOKE).parent)})
    assert done.stdout.startswith("python -m gangway.engines.native --env-file env/dev.env")


def test_a_task_works_from_a_subfolder_and_its_plain_command_says_so() -> None:
    done = invoke("dev.ps", "--dry-run", "--engine", "docker", cwd=ROOT / "docs")
    assert done.stdout.startswith(
        "cd .. && GANGWAY_ENGINE=docker docker compose --env-file env/dev.env"
    )


@pytest.mark.parametrize("words", ["--list", "dev.env"])
def test_a_reader_that_has_seen_enough_is_no_error(words: str) -> None:
    piped = f"set -o pipefail; {shlex.quote(str(INVOKE))} {words} | sed -n '1{{p;q}}'"
    done = subprocess.run(
        ["bash", "-c", piped], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Broken" not in done.stderr, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_completes_tasks_and_options(shell: str) -> None:
    script = invoke("--print-completion-script", shell)
    assert script.returncode == 0
    assert "invoke" in script.stdout
    assert "dev.up" in invoke("--complete", "--", "invoke dev.").stdout.split()
    assert "--watch" in invoke("--complete", "--", "invoke dev.up -").stdout.split()


def test_bash_completes_a_task_name_for_real() -> None:
    script = f"""
        PATH={Path(INVOKE).parent}:$PATH
        source <(invoke --print-completion-script bash)
        COMP_WORDS=(invoke dev.makem) COMP_CWORD=1 COMP_LINE='invoke dev.makem'
        $(complete -p invoke | sed -E 's/.*-F ([^ ]+).*/\\1/') invoke dev.makem invoke
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "dev.makemigration", done.stderr
