"""A copy of this checkout to run the real tasks in, on the real engine, beside the developer's own.

The copy's projects have a name of their own, so that cleaning up finds all of it and nothing else.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from gangway.settings.environment import load

ROOT = Path(__file__).parents[2]
SOCKET = Path("/var/run/docker.sock")
DEADLINE = 60.0
#: Seconds between two looks at something that is on its way.
GLANCE = 0.1
#: What stands in docker-compose.yml, and what in its place ends with status 7.
A_FAILING_MIGRATION = (
    "MIGRATE_COMMAND: ${MIGRATE_COMMAND-python -m api.migrate}",
    "MIGRATE_COMMAND: sh -c 'echo no such; exit 7'",
)
#: What an ordinary user is when root runs the tests.
ORDINARY_UID = 1234


@dataclass(frozen=True)
class Result:
    """What a command left."""

    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def text(self) -> str:
        """Return all that it wrote."""
        return f"exit status {self.status} after {self.seconds:.1f} s\n{self.stdout}\n{self.stderr}"


@dataclass(frozen=True)
class User:
    """Who runs the tasks, and with which Python: root's may be closed to others."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    python: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, Any]:
        """Return what subprocess needs to become this user; nothing for oneself."""
        if self.uid == os.getuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": list(self.groups)}


def myself() -> User:
    """Return the user who runs the tests."""
    return User(os.getuid(), os.getgid(), tuple(os.getgroups()), (sys.executable,))


@functools.cache
def ordinary() -> User:
    """Return a user who isn't root, but may use the engine: oneself, unless one is root.

    Where root's Python is closed to others, the system's runs with the same packages.
    """
    if os.getuid() != 0:
        return myself()
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    choices: list[tuple[str, dict[str, str]]] = [(sys.executable, {})]
    choices.append(("/usr/bin/python3", {"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}))
    for python, environ in choices:
        user = User(ORDINARY_UID, ORDINARY_UID, (SOCKET.stat().st_gid,), (python,), environ)
        probe = [python, "-c", "import invoke, yaml"]
        try:
            subprocess.run(
                probe, check=True, capture_output=True, env=environ, cwd="/", **user.identity
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return user
    return myself()


@dataclass(frozen=True)
class Checkout:
    """A copy of the checkout at `root`, whose projects' names all start with `prefix`."""

    root: Path
    prefix: str
    user: User
    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)

    def invoke(
        self,
        *words: str,
        timeout: float = 180.0,
        stdin: str | None = None,
        cwd: Path | None = None,
        **variables: str,
    ) -> Result:
        """Run `invoke` with these words to its end; `variables` are added to the shell's."""
        return self.run(
            *self.user.python, "-m", "invoke", *words,
            timeout=timeout, stdin=stdin, cwd=cwd, **variables,
        )  # fmt: skip

    def succeed(self, *words: str, **options: Any) -> Result:
        """Run `invoke` and expect it to exit 0."""
        done = self.invoke(*words, **options)
        assert done.status == 0, done.text
        return done

    def run(
        self,
        *argv: str,
        timeout: float = 180.0,
        stdin: str | None = None,
        cwd: Path | None = None,
        **variables: str,
    ) -> Result:
        """Run any program in the checkout as its user."""
        begun = time.monotonic()
        done = subprocess.run(
            argv,
            cwd=cwd or self.root,
            env=self.environment(variables),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            **self.user.identity,
        )
        seconds = time.monotonic() - begun
        self.history.append(f"{seconds:5.1f} s, status {done.returncode}: {shlex.join(argv)}")
        return Result(done.returncode, done.stdout, done.stderr, seconds)

    @contextmanager
    def started(self, *words: str, **variables: str) -> Iterator[Running]:
        """Start `invoke` in a process group of its own; whatever is left of it is killed."""
        log = self.home / f"{uuid.uuid4().hex}.log"
        with log.open("w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                [*self.user.python, "-m", "invoke", *words],
                cwd=self.root,
                env=self.environment(variables),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self.user.identity,
            )
        running = Running(process, log)
        try:
            yield running
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables for a command in this checkout."""
        # Nothing of the terminal, the personal settings or the CI that the tests run in.
        dropped = {"CI", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "NO_COLOR"}
        outer = {name: value for name, value in os.environ.items() if name not in dropped}
        outer["PATH"] = f"{Path(sys.executable).parent}:{outer.get('PATH', os.defpath)}"
        added = {"HOME": str(self.home), **self.user.environ, **self.variables, **variables}
        return {name: value for name, value in {**outer, **added}.items() if value != UNSET}

    def write(self, path: str, text: str) -> Path:
        """Write a file of the checkout as its user would."""
        file = self.root / path
        new = not file.exists()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        if new and self.user.identity:
            os.chown(file, self.user.uid, self.user.gid)
        return file

    @contextmanager
    def edited(self, path: str, old: str, new: str) -> Iterator[None]:
        """Replace the one `old` in a file by `new` for as long as the block lasts."""
        file = self.root / path
        before = file.read_text(encoding="utf-8")
        assert before.count(old) == 1, f"{path} has {before.count(old)} of {old!r}"
        self.write(path, before.replace(old, new))
        try:
            yield
        finally:
            self.write(path, before)

    def project(self, environment: str) -> str:
        """Return the Compose project's name that an environment has in this checkout."""
        return load(self.root, environment, shell={}).get("COMPOSE_PROJECT_NAME")

    def urls(self, environment: str) -> dict[str, str]:
        """Return the URL of each service that the environment publishes, by `invoke X.urls`."""
        lines = self.succeed(f"{environment}.urls").stdout.splitlines()
        return dict(line.split(maxsplit=1) for line in lines)

    def containers(self, environment: str, service: str = "") -> list[dict[str, Any]]:
        """Return what the engine knows of the environment's containers, one-shot ones too."""
        filters = [f"label=com.docker.compose.project={self.project(environment)}"]
        if service:
            filters.append(f"label=com.docker.compose.service={service}")
        return inspect(names("ps", "-aq", filters=filters))

    def ids(self, environment: str) -> dict[str, str]:
        """Return the container of each running service, and when it started."""
        return {
            f"{found['Config']['Labels']['com.docker.compose.service']} {found['Id']}": str(
                found["State"]["StartedAt"]
            )
            for found in self.containers(environment)
            if found["State"]["Running"]
        }

    def sql(self, environment: str, text: str) -> str:
        """Return what the environment's database answers, unaligned and without headings."""
        return self.succeed(f"{environment}.psql", "--", "-Atc", text).stdout.strip()

    def dump(self) -> str:
        """Return what was run, and each container's state and last log lines, for a report."""
        parts = ["\n".join(self.history[-5:])]
        for container in names("ps", "-aq", filters=[f"name={self.prefix}"]):
            state = docker("inspect", "--format", _STATE, container).stdout.strip()
            logs = docker("logs", "--tail", "15", container)
            parts.append(f"--- {state}\n{logs.stdout}{logs.stderr}")
        return "\n".join(parts)

    def remove(self) -> None:
        """Take away everything of this checkout's projects: containers, networks, data, images."""
        if found := names("ps", "-aq", filters=[f"name={self.prefix}"]):
            docker("rm", "--force", "--volumes", *found)
        for kind in ("network", "volume"):
            if found := names(kind, "ls", "-q", filters=[f"name={self.prefix}"]):
                docker(kind, "rm", *found)
        name = "{{.Repository}}:{{.Tag}}"
        if found := names("image", "ls", "--format", name, filters=[f"reference={self.prefix}*"]):
            done = docker("image", "rm", *found)
            assert done.status == 0, done.text

    def volumes(self, environment: str, *names: str) -> list[str]:
        """Return volumes of the environment's project as `leftovers` has them."""
        return [f"volume {self.project(environment)}_{name}" for name in names]

    def leftovers(self, environment: str) -> list[str]:
        """Return the containers, networks and volumes of the environment's project."""
        label = [f"label=com.docker.compose.project={self.project(environment)}"]
        return [
            *names("ps", "-a", "--format", "container {{.Names}}", filters=label),
            *names("network", "ls", "--format", "network {{.Name}}", filters=label),
            *names("volume", "ls", "--format", "volume {{.Name}}", filters=label),
        ]


_STATE = (
    "{{.Name}}: {{.State.Status}}, exit status {{.State.ExitCode}}"
    "{{with .State.Health}}, {{.Status}}{{end}}"
)

#: As a variable's value: leave it out of the environment.
UNSET = "\0unset"


@dataclass(frozen=True)
class Running:
    """A command under way, and the file that gets all it writes."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        """Return what it has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def says(self, words: str, within: float = DEADLINE) -> None:
        """Wait until it has written these words."""

        def said() -> bool:
            assert self.process.poll() is None or words in self.text, self.text
            return words in self.text

        eventually(said, within=within)

    def interrupt(self) -> None:
        """Do as the terminal does on Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)

    def ended(self, within: float = DEADLINE) -> int:
        """Return the exit status, once there is one."""
        return self.process.wait(within)


Kind = TypeVar("Kind", bound=Checkout)


def copy(
    target: Path,
    *,
    name: str,
    user: User,
    kind: type[Kind],
    variables: Mapping[str, str] | None = None,
) -> Kind:
    """Copy the files of this checkout that git knows or would add; `name` tells its projects."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for path in listed.stdout.split("\0"):
        if path and (ROOT / path).is_file():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, target / path)
    for file in (target / "env").glob("*.env"):
        text = file.read_text(encoding="utf-8")
        file.write_text(
            re.sub(r"(?m)^COMPOSE_PROJECT_NAME=gangway", f"COMPOSE_PROJECT_NAME={name}", text),
            encoding="utf-8",
        )
    home = target.parent / "home"
    home.mkdir(exist_ok=True)
    if user.identity:
        own(target, user)
        own(home, user)
    return kind(target, name, user, home, variables or {})


def own(top: Path, user: User) -> None:
    """Give a folder and all in it to a user."""
    os.chown(top, user.uid, user.gid)
    for path in top.rglob("*"):
        os.chown(path, user.uid, user.gid)


def docker(*argv: str, timeout: float = 60.0, stdin: str = "") -> Result:
    """Run a docker command to its end."""
    begun = time.monotonic()
    done = subprocess.run(
        ["docker", *argv],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)


def names(*argv: str, filters: Sequence[str]) -> list[str]:
    """Return the lines of a docker listing."""
    flags = [word for each in filters for word in ("--filter", each)]
    done = docker(*argv, *flags)
    assert done.status == 0, done.text
    return sorted(set(done.stdout.splitlines()))


def inspect(ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the engine's records of containers or images."""
    if not ids:
        return []
    done = docker("inspect", *ids)
    assert done.status == 0, done.text
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def eventually(holds: Callable[[], object], *, within: float = DEADLINE, what: str = "") -> None:
    """Look until `holds` returns something true; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what or holds}"
        time.sleep(GLANCE)


def web(url: str, **options: Any) -> httpx.Client:
    """Return a client for a service, which uses no proxy of the shell's."""
    return httpx.Client(base_url=url, trust_env=False, timeout=10.0, **options)


def get(url: str) -> httpx.Response | None:
    """Return the answer to one request, None where nobody gave a whole one."""
    try:
        return httpx.get(url, trust_env=False, timeout=10.0)
    except httpx.TransportError:
        return None


def add_by_page(pages: httpx.Client, name: str) -> httpx.Response:
    """Send the page's form for a new habit; return the page that follows."""
    token = re.search(r'name="csrf_token" value="([^"]+)"', pages.get("/").text)
    assert token, "the page has no form"
    return pages.post("/habits", data={"csrf_token": token[1], "name": name}, follow_redirects=True)


def habits(api: httpx.Client, path: str = "/habits") -> set[str]:
    """Return the names of the habits that the api has."""
    return {str(habit["name"]) for habit in api.get(path).json()}


ESCAPE = "\x1b"


def is_plain(text: str) -> bool:
    """Say whether a text has neither escape codes nor redrawn lines."""
    return ESCAPE not in text and "\r" not in text


def one_message(done: Result) -> str:
    """Return the one error message of a command that a user's mistake ended."""
    assert done.status == 2, done.text
    assert "Traceback" not in done.stderr + done.stdout, done.text
    assert done.stderr.count("error: ") == 1, done.text
    assert is_plain(done.stderr), done.text
    return done.stderr[done.stderr.index("error: ") :].strip()
