"""The scripts, run as they run in a container: real processes, a real database, real servers."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.support.postgres import Postgres, postgres

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"

Environment = dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """How a script ended, and what it said."""

    status: int
    out: str
    err: str


Script = Callable[..., Outcome]


def installed(folder: Path, lock: str) -> Path:
    """Install what a lock file names into a folder of its own, and return that."""
    install = ["uv", "pip", "install", f"--python={sys.executable}", "--no-build"]
    if not shutil.which("uv"):
        install = [sys.executable, "-m", "pip", "install", "--only-binary=:all:"]
    how = ["--quiet", "--require-hashes", "--target", str(folder), "-r", str(ROOT / lock)]
    subprocess.run([*install, *how], check=True)
    return folder


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with everything that the applications need; return its bin."""
    directory = tmp_path_factory.mktemp("programs") / "venv"
    locks = [f"-r{path}" for path in sorted(ROOT.glob("apps/*/requirements.txt"))]
    quiet = ["--quiet", "--require-hashes"]
    python = directory / "bin" / "python"
    venv.create(directory, with_pip=shutil.which("uv") is None)
    # One after the other: two locks may pin the same package at different versions.
    for lock in locks:
        install = ["uv", "pip", "install", f"--python={python}", "--no-build"]
        if not shutil.which("uv"):
            install = [str(python), "-m", "pip", "install", "--only-binary=:all:"]
        subprocess.run([*install, *quiet, lock], check=True)
    return directory / "bin"


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment without any package; return its bin."""
    directory = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(directory)
    return directory / "bin"


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install what the development images have beside that; return the folder."""
    return installed(tmp_path_factory.mktemp("tools"), "docker/requirements-debug.txt")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the servers that images have for an app without any; return the folder."""
    return installed(tmp_path_factory.mktemp("servers"), "docker/requirements-serve.txt")


@pytest.fixture
def env(programs: Path, tools: Path, servers: Path) -> Environment:
    """Return a container's environment before anything is set."""
    path = os.pathsep.join([str(SCRIPTS), str(programs), "/usr/local/bin", "/usr/bin", "/bin"])
    return {
        "PATH": path, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
        "DEBUG_PATH": str(tools), "SERVERS_PATH": str(servers),
    }  # fmt: skip


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """One PostgreSQL for all tests."""
    with postgres() as server:
        yield server


_numbers = count(1)


@dataclass(frozen=True)
class Database:
    """A database of a test's own."""

    server: Postgres
    name: str

    def query(self, sql: str) -> str:
        """Return what ``sql`` yields."""
        return self.server.query(sql, self.name)


@pytest.fixture
def database(server: Postgres, env: Environment) -> Database:
    """Make an empty database, and point the environment at it."""
    name = f"test_{next(_numbers)}"
    server.create_database(name)
    env |= server.environment | {"POSTGRES_DB": name}
    return Database(server, name)


@pytest.fixture
def script(env: Environment, tmp_path: Path) -> Script:
    """Run a script to its end; whatever happens, it never prints the password."""

    def run(
        *command: str | Path, cwd: Path = tmp_path, seconds: float = 60, **variables: str
    ) -> Outcome:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert Postgres.password not in done.stdout + done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def api(tmp_path: Path) -> Path:
    """Copy the real API, so that a test may change it."""
    copy = tmp_path / "api"
    shutil.copytree(ROOT / "apps" / "api", copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(params=["asgi", "wsgi"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Copy an application, of either interface."""
    copy = tmp_path / str(request.param)
    shutil.copytree(
        Path(__file__).parent / "fixtures" / copy.name,
        copy,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return copy
