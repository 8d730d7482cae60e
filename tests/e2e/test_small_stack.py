"""What `up` does with containers that it finds, on a stack of one service that starts at once."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gangway.settings.environment import load
from tests.e2e.support import docker
from tests.unit.conftest import ROOT

INVOKE = str(Path(sys.executable).with_name("invoke"))
#: Any image with a shell will do.
IMAGE = load(ROOT, "dev").get("REDIS_IMAGE") or "valkey/valkey:9.0-trixie"
PROD = """ENVIRONMENT=production
COMPOSE_PROJECT_NAME={project}
COMPOSE_FILE=compose.yml
SECRETS_DIR=./keys
"""
CONTRACT = """groups:
  Ours:
    KEY: {type: string, secret: true, secret_file: key, meaning: The key}
    APP_COMMAND: {type: string, default: exec sleep 600, meaning: What it runs}
    APP_MEMORY: {type: memory, default: 64m, meaning: Memory for it}
    APP_PROBE: {type: string, default: "true", meaning: Whether it is well}
    APP_RESTART: {type: string, default: unless-stopped, meaning: When it is started again}
"""
COMPOSE = """services:
  app:
    image: %s
    init: true
    entrypoint: [sh, -c]
    command: ["${APP_COMMAND:-exec sleep 600}"]
    user: "${APP_UID:-10001}:${APP_GID:-10001}"
    restart: ${APP_RESTART:-unless-stopped}
    stop_grace_period: 3s
    healthcheck: {test: [CMD-SHELL, "${APP_PROBE:-true}"], start_period: 60s, start_interval: 200ms}
    secrets: [key]
    volumes: ["data:/tmp"]
    deploy: {resources: {limits: {memory: "${APP_MEMORY:-64m}"}}}
secrets:
  key: {file: "${SECRETS_DIR}/key"}
volumes:
  data: {}
"""


@dataclass(frozen=True)
class Small:
    """A checkout with that stack, whose Compose project is `project`."""

    root: Path
    project: str

    def command(self, *words: str) -> list[str]:
        return [INVOKE, *words]

    def environment(self, folder: Path) -> dict[str, str]:
        dropped = ("CI", "PWD", "OLDPWD")
        outer = {name: value for name, value in os.environ.items() if name not in dropped}
        return {**outer, "PYTHONPATH": str(ROOT), "PWD": str(folder), "GANGWAY_IMAGES": "registry"}

    def invoke(self, *words: str, at: Path | None = None) -> subprocess.CompletedProcess[str]:
        folder = at or self.root
        return subprocess.run(
            self.command(*words), cwd=folder, env=self.environment(folder), check=False,
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip

    def succeed(self, *words: str, at: Path | None = None) -> str:
        done = self.invoke(*words, at=at)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    def running(self) -> list[str]:
        """Return the containers that run."""
        label = f"label=com.docker.compose.project={self.project}"
        return docker("ps", "-q", "--filter", label).stdout.split()

    def inside(self, *words: str) -> str:
        (container,) = self.running()
        return docker("exec", container, *words).stdout


@pytest.fixture
def small(_engine: None, tmp_path: Path) -> Iterator[Small]:
    project = f"gangway-e2e-small-{uuid.uuid4().hex[:6]}"
    files = {
        "env/prod.env": PROD.format(project=project),
        "env/contract.yml": CONTRACT,
        "compose.yml": COMPOSE % IMAGE,
        "tasks.py": (ROOT / "tasks.py").read_text(),
    }
    root = tmp_path / "checkout"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    made = Small(root, project)
    made.succeed("prod.init")
    yield made
    made.succeed("prod.down", "--volumes", "--yes")


def within(seconds: float, holds: Callable[[], object]) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_renewed_secret_is_used_after_up_and_one_that_stayed_starts_nothing(small: Small) -> None:
    small.succeed("prod.up")
    before, key = small.running(), small.root / "keys" / "key"
    assert "nothing about it has changed" in small.succeed("prod.up")
    key.unlink()
    small.succeed("prod.init")
    said = small.succeed("prod.up")
    assert "app keeps data, and stays as it is: its settings or secrets have changed" in said
    assert (small.running(), small.inside("cat", "/run/secrets/key") == key.read_text()) == (
        before, False,
    )  # fmt: skip
    small.succeed("prod.up", "app")
    assert small.inside("cat", "/run/secrets/key") == key.read_text()
    assert "nothing about it has changed" in small.succeed("prod.up")


@pytest.mark.parametrize("restart", ["no", "unless-stopped"])
def test_what_ran_out_of_memory_is_named_with_the_variable_to_raise(
    restart: str, small: Small
) -> None:
    eats = ("APP_COMMAND=tail /dev/zero", "APP_PROBE=false", f"APP_RESTART={restart}")
    done = small.invoke("prod.up", *(word for each in eats for word in ("-e", each)))
    assert done.returncode == 2, done.stderr
    assert "error: app ran out of memory: its limit is 64m\n" in done.stderr
    assert "fix: raise APP_MEMORY, in the env file or for once with -e APP_MEMORY=…" in done.stderr


def test_what_ran_out_of_memory_later_is_named_by_ps(small: Small) -> None:
    eats = ("APP_COMMAND=sleep 2; tail /dev/zero", "APP_RESTART=no")
    small.succeed("prod.up", *(word for each in eats for word in ("-e", each)))
    within(20, lambda: not small.running())
    assert "app ran out of memory: its limit is 64m\n  fix: raise APP_MEMORY" in (
        small.succeed("prod.ps")
    )


@pytest.mark.parametrize("twice", [False, True])
def test_an_interrupted_up_leaves_running_what_ran(twice: bool, small: Small) -> None:
    deaf = "trap '' TERM; while :; do sleep 0.1; done"
    small.succeed("prod.up", "app", "-e", f"APP_COMMAND={deaf}")
    (before,) = small.running()
    words = small.command("prod.up", "app", "-e", f"APP_COMMAND={deaf} # new")
    with subprocess.Popen(
        words, cwd=small.root, env=small.environment(small.root), stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, text=True, start_new_session=True,
    ) as up:  # fmt: skip
        within(30, lambda: before not in small.running())
        os.killpg(up.pid, signal.SIGINT)
        if twice:
            time.sleep(0.5)
            os.killpg(up.pid, signal.SIGINT)
        said = up.communicate(timeout=60)[1]
    assert up.returncode == 130, said
    assert "Traceback" not in said
    assert small.running() == [before]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_data_of_another_user_is_refused_before_the_start_with_what_to_do(small: Small) -> None:
    small.succeed("prod.up", "-e", "APP_COMMAND=echo mine > /tmp/mine; exec sleep 600")
    small.succeed("prod.down")
    for path in (small.root / "keys", small.root / "keys" / "key"):
        os.chown(path, 1000, 1000)
    done = small.invoke("prod.up")
    assert done.returncode == 2, done.stderr
    volume = f"{small.project}_data"
    assert (
        f"the data in {volume} is user 10001:10001's, and app would run as 1000:1000" in done.stderr
    )
    assert not small.running()
    give = shlex.split(done.stderr.rpartition("give it the data: ")[2].splitlines()[0])
    subprocess.run(give, check=True, capture_output=True)
    small.succeed("prod.up")
    assert small.inside("cat", "/tmp/mine") == "mine\n"


def test_a_link_to_the_checkout_is_the_checkout(small: Small) -> None:
    link = small.root.with_name("link")
    link.symlink_to(small.root)
    small.succeed("prod.up", at=link)
    before = small.running()
    small.succeed("prod.up")
    assert small.running() == before
    # By hand and by the link; and a checkout that has forgotten what is its own.
    plain = [docker_program(), "compose", "--env-file", "env/prod.env", "up", "--detach"]
    subprocess.run(
        plain, cwd=link, env=small.environment(link), check=True, capture_output=True, timeout=60
    )
    shutil.rmtree(small.root / ".gangway")
    shown = small.invoke("prod.ps")
    assert "belongs to" not in shown.stderr
    assert "app" in shown.stdout


def docker_program() -> str:
    return shutil.which("docker") or "docker"
