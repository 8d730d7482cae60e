"""What a container runs: its arguments, its secrets, its settings."""

import shlex
from pathlib import Path

import pytest

from tests.scripts.conftest import SCRIPTS, Script

AWKWARD = ["a b", "", "it's", '"quoted"', "$HOME", "*", "new\nline", "--flag=x y", "back\\slash"]
ECHO = "import sys; print(sys.argv[1:])"


def test_a_command_of_the_users_own_runs_with_its_arguments_untouched(script: Script) -> None:
    done = script("entrypoint", "python3", "-c", ECHO, *AWKWARD)
    assert (done.status, done.out) == (0, f"{AWKWARD}\n"), done.err


def test_a_command_takes_the_entrypoints_place(script: Script) -> None:
    done = script("bash", "-c", "echo $$; exec entrypoint bash -c 'echo $$'")
    first, second = done.out.split()
    assert first == second


def test_a_commands_exit_status_is_the_containers(script: Script) -> None:
    assert script("entrypoint", "bash", "-c", "exit 7").status == 7


def test_without_a_command_it_says_what_could_be_run(script: Script) -> None:
    done = script("entrypoint")
    assert done.status == 2
    assert "serve" in done.err


def test_a_secret_given_twice_is_refused_and_both_names_are_told(
    script: Script, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("x")
    done = script("entrypoint", "serve", SECRET_KEY="y", SECRET_KEY_FILE="key")
    assert done.status == 2
    assert "SECRET_KEY" in done.err
    assert "SECRET_KEY_FILE" in done.err
    assert done.err.count("\n") == 1


def test_a_secret_file_that_is_missing_is_named(script: Script) -> None:
    done = script("entrypoint", "serve", REDIS_PASSWORD_FILE="/run/secrets/nothing")
    assert done.status == 2
    assert "/run/secrets/nothing" in done.err
    assert "REDIS_PASSWORD_FILE" in done.err


def sourced(code: str) -> list[str]:
    return ["bash", "-Eeuo", "pipefail", "-c", f". {shlex.quote(str(SCRIPTS))}/lib.sh; {code}"]


def test_a_secret_comes_from_its_file_without_the_newline_at_its_end(
    script: Script, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(" two words \n")
    done = script(*sourced('file_env PW; printf "<%s>" "$PW"'), PW_FILE="password")
    assert done.out == "< two words >"


def test_a_secret_from_a_file_does_not_reach_child_processes(
    script: Script, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("x")
    done = script(*sourced("file_env PW; env"), PW="", PW_FILE="password")
    assert not [line for line in done.out.splitlines() if line.startswith("PW=")]
    assert "PW_FILE=password" in done.out


def test_a_secret_of_its_own_stays_as_it_is(script: Script) -> None:
    assert script(*sourced("file_env PW; env"), PW="a=b c", PW_FILE="").out.count("PW=a=b c\n") == 1


def test_a_directory_is_not_a_secret_file(script: Script, tmp_path: Path) -> None:
    done = script(*sourced("file_env PW"), PW_FILE=str(tmp_path))
    assert done.status == 2
    assert str(tmp_path) in done.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("alembic upgrade head", ["alembic", "upgrade", "head"]),
        ("""a 'b  c' "d 'e'" f\\ g""", ["a", "b  c", "d 'e'", "f g"]),
        ("a '' b", ["a", "", "b"]),
        ("$HOME `id` $(id) * ; rm && x", ["$HOME", "`id`", "$(id)", "*", ";", "rm", "&&", "x"]),
    ],
)
def test_a_command_in_a_variable_splits_at_blanks_and_quotes_alone(
    script: Script, text: str, words: list[str]
) -> None:
    done = script(*sourced('split_words C; printf "%s\\n" "${WORDS[@]}"'), C=text)
    assert done.out.split("\n")[:-1] == words, done.err


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "", "  "])
def test_a_command_that_cannot_be_split_is_named(script: Script, text: str) -> None:
    done = script(*sourced("split_words MIGRATE_COMMAND"), MIGRATE_COMMAND=text)
    assert done.status == 2
    assert "MIGRATE_COMMAND" in done.err


@pytest.mark.parametrize(
    ("files", "least", "most"),
    [
        ({"cpu.max": "150000 100000\n"}, 1, 2),
        ({"cpu.max": "50000 100000\n"}, 1, 1),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1, 1),
        ({"cpu.max": "100000000 100000\n"}, 1, 999),
    ],
)
def test_cpus_are_those_that_the_container_may_use(
    script: Script, tmp_path: Path, files: dict[str, str], least: int, most: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert least <= int(script(*sourced("cpus"), CGROUP_ROOT=str(tmp_path)).out) <= most


@pytest.mark.parametrize(
    "files",
    [{}, {"cpu.max": "max 100000"}, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "1"}],
)
def test_without_a_quota_every_cpu_counts(
    script: Script, tmp_path: Path, files: dict[str, str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert script(*sourced("cpus"), CGROUP_ROOT=str(tmp_path)).out == script("nproc").out
