"""What must hold, one session each; bare `nox` runs all of them but the benchmark.

Sessions use the environment that Nox itself runs in, `.venv` as `scripts/bootstrap` makes it: one
lock file, nothing installed again for each session. Options after `--` reach pytest, or the
benchmark: `nox -s unit -- -k contract`.

A session that needs a container engine is skipped where none answers; where CI is set, it fails.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
# Every file in these that a shell would run is linted, with an extension or without.
SHELL = (".ci", "docker", "scripts")
PYTHON = ("gangway", "tests", "noxfile.py", "tasks.py", "benchmarks")
PRODUCTION_MODEL = Path(".gangway", "lint", "production.yml")

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "none"
nox.options.error_on_missing_interpreters = True


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, scripts, Dockerfiles, the workflow and every environment's settings."""
    python = existing(*PYTHON)
    shell = shell_files(session)
    checks: dict[str, list[str]] = {
        "ruff check": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "mypy": ["mypy", "--strict", *python],
        "shellcheck": ["shellcheck", "--external-sources", *shell],
        "shfmt": ["shfmt", "--diff", *shell],
        "hadolint": ["hadolint", *sorted(map(str, ROOT.glob("docker/**/*Dockerfile")))],
        "actionlint": ["actionlint", "-shellcheck", str(PROGRAMS / "shellcheck")],
        # `config` checks the variable contract before it prints the model.
        **{
            f"{name}.config": ["invoke", f"{name}.config", "--", "--quiet"]
            for name in environments()
        },
        "compose-lint": ["compose-lint", "--fail-on", "low", "--strict-config", "-q"],
    }
    checks["compose-lint"].append(str(production_model(session)))
    failed = [name for name, command in checks.items() if not passes(session, command)]
    if failed:
        session.error(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


@nox.session
def unit(session: nox.Session) -> None:
    """Test the parts that need no engine, the container scripts against real servers among them."""
    pytest(session, *existing("tests/unit", "tests/scripts"))


@nox.session
def policy(session: nox.Session) -> None:
    """Hold the rendered model of every environment and stack to the rules; needs no engine."""
    pytest(session, "tests/policy")


@nox.session
def dev_smoke(session: nox.Session) -> None:
    """Bring the development stack up, use it, edit a file, see the edit served, take it down."""
    end_to_end(session)


@nox.session
def test_env(session: nox.Session) -> None:
    """Run the applications' tests in the throw-away stack, development untouched beside it."""
    end_to_end(session)


@nox.session
def prod_smoke(session: nox.Session) -> None:
    """Make, start, inspect, load, scale and stop the production stack."""
    end_to_end(session)


@nox.session
def staging_smoke(session: nox.Session) -> None:
    """Prove that an environment is a file: production's overlay under its own names and ports."""
    end_to_end(session)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure against a floor stack in the same run, and write docs/performance.md."""
    needs_engine(session)
    run(session, sys.executable, "-m", "benchmarks", *session.posargs)


def run(session: nox.Session, *command: str, silent: bool = False) -> str:
    """Run a program, of `.venv` where it has one of that name; return what it printed if silent."""
    path = os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", os.defpath)])
    if not (PROGRAMS / "pytest").exists():
        session.error(f"{PROGRAMS} lacks the project's tools: run this as scripts/bootstrap nox")
    output = session.run(*command, external=True, silent=silent, env={"PATH": path})
    return output if isinstance(output, str) else ""


def passes(session: nox.Session, command: list[str]) -> bool:
    """Run a program; return whether it exited 0, so that one failure doesn't hide the next."""
    try:
        run(session, *command)
    except CommandFailed:
        return False
    return True


def pytest(session: nox.Session, *paths: str) -> None:
    """Run the tests in these paths with the options after `--`."""
    run(session, sys.executable, "-m", "pytest", *paths, *session.posargs)


def end_to_end(session: nox.Session) -> None:
    """Run the session's own file of tests/e2e against a real engine."""
    needs_engine(session)
    name = session.name.removeprefix("test_")
    pytest(session, f"tests/e2e/test_{name}.py")


def needs_engine(session: nox.Session) -> None:
    """Skip the session where no container engine answers; fail it where CI is set."""
    if reason := engine_missing():
        if os.environ.get("CI"):
            session.error(f"CI needs a container engine: {reason}")
        session.skip(reason)


@functools.cache
def engine_missing() -> str:
    """Return why no container engine can be used, or nothing where one answers."""
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=30)
    except FileNotFoundError:
        return "docker is not installed"
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return "no container engine answers (docker version)"
    return ""


def existing(*paths: str) -> list[str]:
    """Return those of the paths that the checkout has."""
    return [path for path in paths if (ROOT / path).exists()]


def environments() -> Iterator[str]:
    """Yield the name of every environment: a file in env/, but for the personal one."""
    for path in sorted((ROOT / "env").glob("*.env")):
        if path.name != "local.env":
            yield path.stem


def shell_files(session: nox.Session) -> list[str]:
    """Return the shell scripts of the checkout."""
    return run(session, "shfmt", "--find", *existing(*SHELL), silent=True).split()


def production_model(session: nox.Session) -> Path:
    """Render what production runs, without a daemon; return the file."""
    (ROOT / PRODUCTION_MODEL).parent.mkdir(parents=True, exist_ok=True)
    compose = ["docker-compose", "--env-file", "env/prod.env"]
    run(session, *compose, "config", "--output", str(PRODUCTION_MODEL))
    return PRODUCTION_MODEL
