"""What must hold, one session each; bare `nox` runs those that every change has to pass.

`nox -t nightly` runs those that take what others prove to more stacks, apps, programs or machines:
a change seldom breaks them alone, and all of it takes longer than a change should wait.

Sessions use the environment that Nox itself runs in, `.venv` as `scripts/bootstrap` makes it: one
lock file, nothing installed again for each session; `lint` alone adds the apps' packages, for their
types, in an environment of its own. Options after `--` reach pytest, or the
benchmark: `nox -s unit -- -k contract`.

A session that needs a container engine is skipped where none answers; where CI is set, it fails.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
# Nox looks for programs here, whether .venv is activated or not.
os.environ["PATH"] = os.pathsep.join([str(PROGRAMS), os.environ.get("PATH", os.defpath)])
# Every file in these that a shell would run is linted, with an extension or without.
SHELL = (".ci", "docker", "scripts")
PYTHON = ("gangway", "tests", "noxfile.py", "tasks.py", "benchmarks")
# What `gangway new` writes.
NEW = "gangway/operations/adoption/new"
# The apps that stand behind the proxy in tests.
PROBE = "tests/e2e/front/probe"
# What an app's packages are locked by.
LOCKS = ("apps/*/requirements.txt", "apps/*/uv.lock", "apps/*/poetry.lock")
# Python without an extension.
SCRIPTS = ("scripts/cron", "scripts/reload")
# Production's rules hold where ENVIRONMENT is one of these.
PRODUCTION = ("production", "staging")
# Run each night in place of at every change.
NIGHTLY: dict[str, Any] = {"default": False, "tags": ["nightly"]}
# What keeps programs alive, reloads and debugs them: half of the time that `unit` would take.
PROGRAM_TESTS = [f"tests/scripts/test_{name}.py" for name in ("alive", "debugging", "reload")]
BACKUP_TESTS = "tests/scripts/backup"
AWAY_TESTS = f"{BACKUP_TESTS}/test_away.py"

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "none"
nox.options.error_on_missing_interpreters = True


@nox.session(venv_backend="uv|virtualenv", reuse_venv=True)
def lint(session: nox.Session) -> None:
    """Check style, types, scripts, Dockerfiles, the workflow and every environment's settings."""
    shell = shell_files(session)
    checks = {
        "ruff check": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        **type_checks(session),
        "lint-imports": ["lint-imports", "--no-cache", "--no-logo"],
        "shellcheck": ["shellcheck", "--external-sources", *shell],
        "shfmt": ["shfmt", "--diff", *shell],
        "hadolint": ["hadolint", *names("docker/**/*Dockerfile")],
        "actionlint": ["actionlint", "-shellcheck", str(PROGRAMS / "shellcheck")],
        **{f"{name}.config": config_check(name) for name in environments()},
        **{
            f"{name}.config --engine native": [
                "invoke", f"{name}.config", "--engine", "native", "--", "--quiet",
            ]
            for name in environments("development", "test")
        },
        # No finding of any level; .compose-lint.yml says which stay, and why.
        **{
            f"compose-lint {name} {stack}": [
                "compose-lint", "--fail-on", "low", "--strict-config", "--quiet",
                "--skip-suppressed", str(rendered(session, name, stack)),
            ]
            for name in environments(*PRODUCTION)
            for stack in ["core", *production_stacks()]
        },
    }  # fmt: skip
    failed = [name for name, command in checks.items() if not passes(session, command)]
    if failed:
        session.error(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


@nox.session
def unit(session: nox.Session) -> None:
    """Test the parts that need no engine, the container scripts against real servers among them."""
    # Most of these wait for programs of their own, so three at a time do well on two CPUs.
    others = [f"--ignore={path}" for path in (*PROGRAM_TESTS, BACKUP_TESTS)]
    pytest(session, "--numprocesses=3", *others, *existing("tests/unit", "tests/scripts"))


@nox.session(**NIGHTLY)
def programs(session: nox.Session) -> None:
    """Hang, kill, reload and debug workers and servers under the container scripts."""
    pytest(session, "--numprocesses=3", *PROGRAM_TESTS)


@nox.session
def policy(session: nox.Session) -> None:
    """Hold every rendered model to the rules, the docs and recipes to what happens; no engine."""
    pytest(session, "--numprocesses=2", "tests/policy")


@nox.session
def images(session: nox.Session) -> None:
    """Hold the base images that are built here to the official images' interface."""
    needs_engine(session)
    if os.environ.get("GANGWAY_IMAGES") != "offline":
        session.skip("GANGWAY_IMAGES is not offline: no base image is built here")
    pytest(session, "tests/e2e/test_offline_images.py")


@nox.session
def native(session: nox.Session) -> None:
    """Run development and test as local processes, kill them, and use them; needs no engine."""
    pytest(session, "tests/e2e/native")


@nox.session
def dev_smoke(session: nox.Session) -> None:
    """Bring the development stack up, use it, edit a file, see the edit served, take it down."""
    end_to_end(session)


@nox.session
def developing(session: nox.Session) -> None:
    """Debug a service across its reloads, profile it, build it anew, draw the stack."""
    end_to_end(session)


@nox.session
def test_env(session: nox.Session) -> None:
    """Run the applications' tests in the throw-away stack, development untouched beside it."""
    end_to_end(session)


@nox.session
def prod_smoke(session: nox.Session) -> None:
    """Make, start, inspect, load, scale and stop the production stack; `-- --stack NAME`: another.

    Another is held to production's rules, and to what its own tests say of production.
    """
    needs_engine(session)
    stack = stack_of(session.posargs)
    if stack == "core":
        pytest(session, "tests/e2e/test_prod_smoke.py", "tests/e2e/test_prod_stack.py")
        return
    pytest(session, "tests/e2e/test_prod_stack.py")
    own = f"tests/e2e/test_stack_{stack}.py"
    if Path(ROOT, own).exists():
        pytest(session, own, "-k", "TestProduction")


@nox.session
def deploy(session: nox.Session) -> None:
    """Deploy releases, good and bad, under load; kill the deploys, go back, scale, restart."""
    needs_engine(session)
    # Two productions: most of a deploy is waiting, too.
    pytest(session, "--numprocesses=2", "--dist=loadfile", "tests/e2e/deploy")


@nox.session
def backup(session: nox.Session) -> None:
    """Break backups, restores and the database itself in every way; nothing is lost unsaid."""
    needs_engine(session)
    parts = (f"--ignore={AWAY_TESTS}", BACKUP_TESTS, "tests/e2e/backup")
    pytest(session, "--numprocesses=3", "--dist=loadfile", *parts)


@nox.session(**NIGHTLY)
def away(session: nox.Session) -> None:
    """Copy the kept log to another place, lose the machine, and have it again."""
    pytest(session, AWAY_TESTS)


@nox.session
def staging_smoke(session: nox.Session) -> None:
    """Prove that an environment is a file: production's overlay under its own names and ports."""
    end_to_end(session)


@nox.session(**NIGHTLY)
def stack_hybrid(session: nox.Session) -> None:
    """Run Django and FastAPI at once: one database, one image, migrations that never race."""
    end_to_end(session)


@nox.session(**NIGHTLY)
def stack_fullstack(session: nox.Session) -> None:
    """Run the Next.js front end on the API: save, watch, either alone, and production."""
    end_to_end(session)


@nox.session(**NIGHTLY)
def stack_dashboards(session: nox.Session) -> None:
    """Run the Dash app, locked by Poetry, in development, production and staging; look at it."""
    end_to_end(session)


@nox.session(**NIGHTLY)
def stack_jobs(session: nox.Session) -> None:
    """Run jobs, their streams and their browser; kill workers, lose Redis, pool the database."""
    end_to_end(session)


@nox.session
def front(session: nox.Session) -> None:
    """Ask bare apps, development and production the same, and compare; put TLS in front."""
    needs_engine(session)
    pytest(session, "tests/e2e/front")


@nox.session(**NIGHTLY)
def slow(session: nox.Session) -> None:
    """Be a slow machine: late data stores, a long first start, a tenth of a CPU."""
    end_to_end(session)


@nox.session(**NIGHTLY)
def package(session: nox.Session) -> None:
    """Build the wheel; run an app that isn't ours with it, on an engine and without."""
    end_to_end(session)


@nox.session(**NIGHTLY)
def adopt(session: nox.Session) -> None:
    """Adopt seven repositories that aren't ours; develop, test, ship and natively run each."""
    end_to_end(session)


@nox.session
def mistakes(session: nox.Session) -> None:
    """Make every mistake that a user can: one clear message each, and the next start works."""
    needs_engine(session)
    paths = [f"tests/e2e/test_{name}.py" for name in ("mistakes", "small_stack")]
    pytest(session, "--numprocesses=2", "--dist=loadfile", *paths)


@nox.session(**NIGHTLY)
def swarm(session: nox.Session) -> None:
    """Be three machines on this one, and lose some of them."""
    needs_engine(session)
    lab = [sys.executable, "-m", "tests.e2e.swarm.lab", "--unusable"]
    if reason := run(session, *lab, silent=True).strip():
        session.skip(reason)
    pytest(session, "tests/e2e/swarm")


@nox.session(**NIGHTLY)
def copies(session: nox.Session) -> None:
    """Snapshots, a database for each branch and worktree, production's data: natively and not."""
    end_to_end(session)


@nox.session(**NIGHTLY)
def majors(session: nox.Session) -> None:
    """Take development and production to a newer PostgreSQL, and back."""
    needs_engine(session)
    pytest(session, "tests/e2e/test_majors.py")


@nox.session(default=False)
def stack_langflow(session: nox.Session) -> None:
    """Run Langflow beside the full stack; its image alone takes ten minutes and 2 GB."""
    needs_engine(session)
    if os.environ.get("GANGWAY_IMAGES") == "offline":
        run(session, "invoke", "images.offline", "--also", "langflow")
    end_to_end(session)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure against a floor stack in the same run, and write docs/performance.md."""
    needs_engine(session)
    run(session, sys.executable, "-m", "benchmarks", *session.posargs)


def run(session: nox.Session, *command: str, silent: bool = False) -> str:
    """Run a program, of `.venv` where it has one of that name; return what it printed if silent."""
    if not (PROGRAMS / "pytest").exists():
        session.error(f"{PROGRAMS} lacks the project's tools: run this as scripts/bootstrap nox")
    output = session.run(*command, external=True, silent=silent, env={"PATH": os.environ["PATH"]})
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


def stack_of(words: list[str]) -> str:
    """Return the stack that `--stack NAME` among the words names."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--stack", default="core")
    return str(parser.parse_known_args(words)[0].stack)


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


def names(pattern: str) -> list[str]:
    """Return the files that match, relative to the checkout."""
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))


def environments(*kinds: str) -> Iterator[str]:
    """Yield the name of every environment (a file in env/), or of those with these ENVIRONMENTs."""
    for path in sorted((ROOT / "env").glob("*.env")):
        settings = path.read_text(encoding="utf-8").splitlines()
        wanted = not kinds or any(f"ENVIRONMENT={kind}" in settings for kind in kinds)
        if path.name != "local.env" and wanted:
            yield path.stem


def shell_files(session: nox.Session) -> list[str]:
    """Return the shell scripts of the checkout."""
    return run(session, "shfmt", "--find", *existing(*SHELL), silent=True).split()


def type_checks(session: nox.Session) -> dict[str, list[str]]:
    """Return what checks the types: ours, the container scripts', and each app's by itself.

    The apps' packages, as they are locked, go to this session's own environment.
    """
    apps = sorted({str(Path(lock).parent) for pattern in LOCKS for lock in names(pattern)})
    # As scripts/bootstrap does: what pip is told of a closed network, uv is told too.
    told = {"UV_DEFAULT_INDEX": "PIP_INDEX_URL", "SSL_CERT_FILE": "PIP_CERT"}
    network = {name: os.environ[pip] for name, pip in told.items() if os.environ.get(pip)}
    # As the images do it, whichever lock an app has.
    session.run(
        "docker/install-dependencies",
        *names("apps/requirements-test.txt"),
        *apps,
        external=True,
        env={"UV": str(PROGRAMS / "uv"), "VENV": session.virtualenv.location} | network,
    )
    # What an app imports of the one beside it.
    beside = {"apps/hybrid": ["apps/api"]}
    theirs = [f"--python-executable={session.bin}/python", "--cache-dir=.mypy_cache/apps"]
    between = names("apps/*.py")
    return {
        "mypy": mypy([".", "docker"], *existing(*PYTHON)),
        # Each app has tests of its own, under one name: they can't be checked together.
        **{f"mypy {app}": mypy([app, *beside.get(app, ())], *theirs, app) for app in apps},
        "mypy apps": mypy(apps, *theirs, *between),
        # What these import is what the apps have.
        "mypy new": mypy([NEW], *theirs, *names(f"{NEW}/**/*.py")),
        "mypy scripts": mypy(
            ["scripts"], *theirs, "--scripts-are-modules", *SCRIPTS, *names("scripts/*.py")
        ),
        "mypy docker": mypy(["docker"], "docker/install-dependencies"),
        "mypy compile-wheels": mypy(["docker"], "docker/compile-wheels"),
        "mypy backup": mypy(["docker"], "docker/backup"),
        "mypy build-step": mypy(["docker"], "docker/build-step"),
        "mypy fixtures": mypy(
            ["."], *theirs, *names("tests/scripts/fixtures/**/*.py"), *names(f"{PROBE}/*.py")
        ),
    }


def mypy(roots: list[str], *arguments: str) -> list[str]:
    """Return the strict type check of what is imported from these folders."""
    return ["env", f"MYPYPATH={':'.join(roots)}", "mypy", "--strict", *arguments]


def config_check(name: str) -> list[str]:
    """Return the command that merges an environment's model; the task checks the contract first."""
    if shutil.which("docker"):
        return ["invoke", f"{name}.config", "--engine", "docker", "--", "--quiet"]
    return ["docker-compose", "--env-file", f"env/{name}.env", "config", "--quiet"]


def production_stacks() -> list[str]:
    """Return the stacks besides core that are meant for production: by their overlay."""
    return sorted(path.parent.name for path in ROOT.glob("stacks/*/prod.yml"))


def rendered(session: nox.Session, name: str, stack: str) -> Path:
    """Render the model of a stack with every profile, without a daemon; return the file."""
    path = ROOT / ".gangway" / "lint" / f"{name}-{stack}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    layers = [f"env/{name}.env", *existing(f"stacks/{stack}/stack.env")]
    flags = [word for file in layers for word in ("--env-file", file)]
    compose = ["docker-compose", *flags, "--profile", "*"]
    run(session, *compose, "config", "--output", str(path))
    return path.relative_to(ROOT)
