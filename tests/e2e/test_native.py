"""Development and test without a container engine: killed, filled up, mistaken, and well again.

The folder has a space and a quote in its name, and no engine answers; what needs one says so.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from tests.e2e.conftest import MakeNative
from tests.e2e.native import SERVICES, NativeCheckout, ordinary
from tests.e2e.support import (
    A_FAILING_MIGRATION,
    UNSET,
    Result,
    docker,
    eventually,
    get,
    habits,
    myself,
    one_message,
    web,
)

pytestmark = pytest.mark.timeout(120)

OVERRIDE = "docker-compose.override.yml"
TESTS = "apps/api/tests/test_habits.py"
AWKWARD = ("a b", "it's", '"quoted"', "$HOME", "*", "", "--flag", "back\\slash", "ünï")
#: Seconds within which a service that was killed is healthy again.
BACK = 20.0
SAVED_TO_SERVED = 10.0


@dataclass(frozen=True)
class Stack:
    """The checkout that the tests of this file share, and how it came up first."""

    checkout: NativeCheckout
    up: Result
    urls: dict[str, str]


@pytest.fixture(scope="module")
def stack(make_native: MakeNative) -> Stack:
    checkout = make_native("it's a check out", myself())
    up = checkout.succeed("dev.up", "--ports", "auto")
    return Stack(checkout, up, checkout.urls("dev"))


@pytest.fixture
def checkout(stack: Stack) -> NativeCheckout:
    """Return the shared checkout with everything up, whatever the test before did to it."""
    if not stack.checkout.healthy():
        stack.checkout.succeed("dev.up")
    return stack.checkout


@pytest.fixture
def api(stack: Stack, checkout: NativeCheckout) -> Iterator[httpx.Client]:
    with web(stack.urls["api"]) as client:
        yield client


def add(api: httpx.Client) -> str:
    """Add a habit that nobody else has; return its name, once it is committed."""
    name = f"Habit {uuid.uuid4().hex}"
    api.post("/habits", json={"name": name}).raise_for_status()
    return name


def serves(url: str, text: str) -> bool:
    answer = get(url)
    return answer is not None and answer.status_code == 200 and text in answer.text


def quiet(done: Result) -> Result:
    """Return a result in which nothing went wrong that the user needn't know."""
    assert "Traceback" not in done.stdout + done.stderr, done.text
    return done


@contextmanager
def override(checkout: NativeCheckout, text: str) -> Iterator[None]:
    """Have a personal override file for as long as the block lasts."""
    file = checkout.write(OVERRIDE, text)
    try:
        yield
    finally:
        file.unlink()


class TestUp:
    def test_without_an_engine_it_says_in_one_line_what_it_does_instead(self, stack: Stack) -> None:
        lines = [line for line in stack.up.stderr.splitlines() if "no container engine" in line]
        assert len(lines) == 1, stack.up.text
        assert "dev runs natively" in lines[0] and "--engine docker" in lines[0]
        quiet(stack.up)

    def test_what_is_not_enforced_is_said_once(self, stack: Stack) -> None:
        (line,) = re.findall(r"(?m)^not enforced without containers: .*$", stack.up.stderr)
        for what in ("limits", "read-only files", "capabilities", "networks"):
            assert what in line

    def test_api_and_app_are_served_at_the_urls_it_shows(
        self, stack: Stack, checkout: NativeCheckout
    ) -> None:
        shown = dict(line.split(maxsplit=1) for line in stack.up.stdout.splitlines())
        assert shown == stack.urls
        assert get(f"{stack.urls['api']}/ready").json() == {  # type: ignore[union-attr]
            "status": "ok", "postgres": "ok", "redis": "ok",
        }  # fmt: skip
        assert serves(stack.urls["app"], "Write to a friend")

    def test_a_saved_change_is_served(self, stack: Stack, checkout: NativeCheckout) -> None:
        url = f"{stack.urls['api']}/openapi.json"
        for number in (1, 2):
            with checkout.edited(
                "apps/api/api/main.py", 'title="Gangway habits"', f'title="Edit {number}"'
            ):
                eventually(lambda: serves(url, f"Edit {number}"), within=SAVED_TO_SERVED)  # noqa: B023
        eventually(lambda: serves(url, "Gangway habits"), within=SAVED_TO_SERVED)

    def test_a_saved_change_of_the_app_is_served(
        self, stack: Stack, checkout: NativeCheckout
    ) -> None:
        template = "apps/app/web/templates/habits.html"
        with checkout.edited(template, "<h1>Habits</h1>", "<h1>Edited</h1>"):
            eventually(lambda: serves(stack.urls["app"], "<h1>Edited</h1>"), within=SAVED_TO_SERVED)

    def test_a_second_up_changes_nothing(self, checkout: NativeCheckout) -> None:
        before = checkout.pids()
        quiet(checkout.succeed("dev.up"))
        assert checkout.pids() == before

    def test_a_changed_variable_starts_again_what_has_it(self, checkout: NativeCheckout) -> None:
        before = checkout.pids()
        checkout.succeed("dev.up", "-e", "LOG_LEVEL=info")
        changed = {name for name, pids in checkout.pids().items() if pids != before[name]}
        assert changed == {"api", "app", "scheduler"}
        shown = checkout.succeed("dev.exec", "api", "-e", "LOG_LEVEL=info", "--", "printenv")
        assert "LOG_LEVEL=info" in shown.stdout.splitlines()
        checkout.succeed("dev.up")
        assert {name for name, pids in checkout.pids().items() if pids != before[name]} == changed

    def test_it_needs_no_docker_on_path(self, checkout: NativeCheckout) -> None:
        """Compose comes with the requirements then."""
        before = checkout.pids()
        done = quiet(checkout.succeed("dev.up", PATH=without_docker(checkout.home)))
        assert checkout.pids().keys() == before.keys(), done.text
        assert checkout.healthy()

    def test_no_variable_of_the_shell_reaches_a_service(self, checkout: NativeCheckout) -> None:
        leak: dict[str, Any] = {"FOO_LEAK": "1", "PGPASSWORD": "leak", "PYTHONPATH": "/leak"}
        checkout.succeed("dev.restart", "api", "postgres", **leak)
        for task in ("dev.exec", "dev.run"):
            assert "leak" not in checkout.succeed(task, "api", "--", "env", **leak).stdout.lower()
        for service in ("api", "postgres"):
            pid, _ = checkout.pids()[service]
            assert b"leak" not in Path(f"/proc/{pid}/environ").read_bytes().lower()

    def test_nothing_below_the_state_is_for_others_to_read(self, checkout: NativeCheckout) -> None:
        top = checkout.state()
        paths = [top.parent, top, *top.rglob("*")]
        assert len(paths) > 100
        opened = [path for path in paths if not is_private(path)]
        assert opened == []

    def test_a_port_of_the_data_stores_answers_on_this_machine_alone(
        self, checkout: NativeCheckout
    ) -> None:
        ports = {int(found.rpartition(":")[2]) for found in checkout.urls("dev").values()}
        for table, anywhere in (("tcp", "00000000"), ("tcp6", "0" * 32)):
            for line in Path(f"/proc/net/{table}").read_text(encoding="utf-8").splitlines()[1:]:
                address, state = line.split()[1], line.split()[3]
                host, port = address.split(":")
                if state == "0A" and int(port, 16) in ports:
                    assert host != anywhere, line


def is_private(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # a temporary file of a server's
        return True
    return stat.S_ISLNK(mode) or not mode & 0o077


def without_docker(folder: Path) -> str:
    """Return a PATH with all the programs that there are, but for docker."""
    programs = folder / "programs"
    if not programs.exists():
        programs.mkdir(mode=0o755)
        for place in ("/usr/local/bin", "/usr/bin", "/bin"):
            for program in sorted(Path(place).glob("*")):
                if not program.name.startswith("docker"):
                    with suppress(FileExistsError):
                        (programs / program.name).symlink_to(program)
    return f"{programs}"


class TestKilled:
    """A service, its monitor, or everything is killed with -9; what was committed stays."""

    @pytest.mark.parametrize("service", SERVICES)
    def test_a_service_that_is_killed_comes_back(
        self, checkout: NativeCheckout, api: httpx.Client, service: str
    ) -> None:
        name = add(api)
        pid, monitor = checkout.pids()[service]
        checkout.kill(pid)
        comes_back(checkout, service, pid)
        assert checkout.pids()[service][1] == monitor
        assert checkout.seen(service)["restarts"] == 1
        eventually(lambda: ready(api), within=BACK)
        assert name in habits(api)
        checkout.succeed("dev.restart", service)

    def test_no_acknowledged_row_is_lost_while_postgres_is_killed_again_and_again(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        with Writer(str(api.base_url)) as writer:
            for _ in range(3):
                seen = len(writer.acknowledged)
                eventually(lambda: len(writer.acknowledged) > seen + 20, within=BACK)  # noqa: B023
                pid, _ = checkout.pids()["postgres"]
                checkout.kill(pid)
                comes_back(checkout, "postgres", pid)
            seen = len(writer.acknowledged)
            eventually(lambda: len(writer.acknowledged) > seen + 20, within=BACK)
        kept = set(checkout.sql("dev", "select name from habits").splitlines())
        assert len(writer.acknowledged) > 80
        assert set(writer.acknowledged) <= kept
        checkout.sql("dev", f"delete from habits where name like '{writer.prefix}%'")

    @pytest.mark.parametrize("service", SERVICES)
    def test_a_service_whose_monitor_is_killed_goes_down_and_up_brings_it_back(
        self, checkout: NativeCheckout, api: httpx.Client, service: str
    ) -> None:
        name = add(api)
        _, monitor = checkout.pids()[service]
        checkout.kill(monitor)
        eventually(lambda: not checkout.held(service), within=10, what="its lock is free")
        assert checkout.of(service) == {}
        assert re.search(rf"(?m)^{service} +exited", checkout.succeed("dev.ps").stdout)
        quiet(checkout.succeed("dev.up"))
        assert checkout.healthy()
        assert name in habits(api)

    def test_after_everything_was_killed_up_brings_it_back(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        name = add(api)
        checkout.kill_all()
        assert "exited" in checkout.succeed("dev.ps").stdout
        quiet(checkout.succeed("dev.up"))
        assert checkout.healthy()
        assert name in habits(api)

    def test_after_everything_was_killed_down_works_too(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        name = add(api)
        checkout.kill_all()
        quiet(checkout.succeed("dev.down"))
        checkout.succeed("dev.up")
        assert name in habits(api)

    def test_a_service_that_goes_on_failing_is_given_pauses(self, checkout: NativeCheckout) -> None:
        file = "apps/scheduler/scheduler/__main__.py"
        checkout.succeed("test.up", "scheduler", "--engine", "native", "--ports", "auto")
        try:
            before = checkout.seen("scheduler", "test")
            with checkout.edited(file, 'log.info("started")', "raise SystemExit(3)"):
                os.kill(int(before["pid"]), signal.SIGKILL)
                began = time.monotonic()
                eventually(lambda: checkout.seen("scheduler", "test")["restarts"] >= 6, within=30)
                # 0.1 s, then twice as long each time: 3.1 s between six failures.
                assert time.monotonic() - began > 3
            eventually(lambda: checkout.healthy("scheduler", environment="test"), within=30)
        finally:
            checkout.succeed("test.down")


def comes_back(checkout: NativeCheckout, service: str, pid: int) -> None:
    """Wait until a service runs as another process than `pid`, and is healthy."""

    def back() -> bool:
        seen = checkout.seen(service)
        return seen.get("pid") not in (0, pid) and seen.get("health") == "healthy"

    eventually(back, within=BACK, what=f"{service} is healthy again")


def ready(api: httpx.Client) -> bool:
    try:
        return api.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


@dataclass
class Writer:
    """Adds one habit after the other, and keeps the names that the api has answered for."""

    url: str
    prefix: str = field(default_factory=lambda: f"row-{uuid.uuid4().hex[:8]}-")
    acknowledged: list[str] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _write(self) -> None:
        number = 0
        with web(self.url) as api:
            while not self._end.wait(0.005):
                number += 1
                name = f"{self.prefix}{number}"
                with suppress(httpx.TransportError):
                    if api.post("/habits", json={"name": name}).status_code == 201:
                        self.acknowledged.append(name)


class TestTwoAtOnce:
    @pytest.fixture
    def go(self, checkout: NativeCheckout) -> Iterator[Path]:
        """Take the stack down, and return a file that migrate waits for when it starts."""
        checkout.succeed("dev.down")
        wait = "[sh, -c, 'until [ -e go ]; do sleep 0.05; done; exec entrypoint migrate']"
        go = checkout.root / "apps" / "api" / "go"
        with override(checkout, f"services: {{migrate: {{command: {wait}}}}}\n"):
            try:
                yield go
            finally:
                go.unlink(missing_ok=True)

    def test_of_two_ups_one_works_and_the_other_is_refused(
        self, checkout: NativeCheckout, go: Path
    ) -> None:
        with checkout.started("dev.up") as up:
            up.says("\n  redis ")
            message = one_message(checkout.invoke("dev.up"))
            assert re.search(r"dev is being changed by invoke dev\.up \(process \d+\)", message)
            go.touch()
            assert up.ended() == 0, up.text
        assert checkout.healthy()

    def test_after_an_up_was_killed_the_next_one_goes_on(
        self, checkout: NativeCheckout, go: Path
    ) -> None:
        with checkout.started("dev.up") as up:
            eventually(lambda: checkout.seen("migrate").get("pid"))
            database = checkout.pids()["postgres"]
            up.process.kill()
            up.ended()
        go.touch()
        checkout.succeed("dev.up")
        assert checkout.healthy()
        assert checkout.pids()["postgres"] == database

    def test_an_interrupted_up_starts_nothing_more(
        self, checkout: NativeCheckout, go: Path
    ) -> None:
        with checkout.started("dev.up") as up:
            eventually(lambda: checkout.seen("migrate").get("pid"))
            up.interrupt()
            assert up.ended() == 130
        go.touch()
        eventually(lambda: checkout.seen("migrate").get("state") == "exited", within=30)
        assert not {"api", "app", "scheduler"}.intersection(checkout.pids())
        checkout.succeed("dev.up")
        assert checkout.healthy()


#: What reaches the engine, where there is one.
ENGINE: dict[str, Any] = {"DOCKER_HOST": os.environ.get("DOCKER_HOST", UNSET)}


@pytest.fixture
def _docker() -> None:
    if not shutil.which("docker") or docker("version").status:
        pytest.skip("no container engine answers")


@pytest.mark.usefixtures("_docker")
class TestTwoEngines:
    """Here an engine answers: two must not share an environment unawares."""

    @pytest.fixture
    def redis(self, stack: Stack) -> Iterator[NativeCheckout]:
        """Run the checkout's redis as a container, and nothing natively."""
        checkout = stack.checkout
        checkout.succeed("dev.down")
        up = checkout.invoke("dev.up", "redis", "--engine", "docker", "--ports", "auto", **ENGINE)
        try:
            if up.status and "can't be pulled" in up.stderr:
                pytest.skip("there is no image of redis here")
            assert up.status == 0, up.text
            yield checkout
        finally:
            checkout.invoke("dev.down", "--engine", "docker", "--volumes", "--yes", **ENGINE)

    def test_containers_of_the_environment_keep_it_from_running_natively(
        self, redis: NativeCheckout
    ) -> None:
        message = one_message(redis.invoke("dev.up", "--engine", "native", **ENGINE))
        assert "dev runs in containers already" in message
        assert "invoke dev.down --engine docker" in message
        assert redis.pids() == {}

    def test_native_services_keep_the_environment_out_of_containers(
        self, checkout: NativeCheckout
    ) -> None:
        message = one_message(checkout.invoke("dev.up", "--engine", "docker", **ENGINE))
        assert "dev runs natively already" in message
        assert "invoke dev.down --engine native" in message
        assert checkout.healthy()

    def test_what_runs_natively_is_what_auto_means(self, checkout: NativeCheckout) -> None:
        before = checkout.pids()
        checkout.succeed("dev.up", **ENGINE)
        assert checkout.pids() == before


class TestMistakes:
    def test_a_taken_port_is_named_with_its_holder_and_variable(
        self, checkout: NativeCheckout
    ) -> None:
        with squatter() as (process, port):
            message = one_message(checkout.invoke("dev.up", "-e", f"PUBLISHED_API_PORT={port}"))
            assert f"port {port} is taken by python" in message
            assert f"(process {process})" in message
            assert "set PUBLISHED_API_PORT" in message and "--ports auto" in message
            assert checkout.healthy()

    def test_ports_auto_moves_away_from_a_taken_port(self, checkout: NativeCheckout) -> None:
        with squatter() as (_, port):
            test = ("--engine", "native", "-e", f"PUBLISHED_API_PORT={port}")
            assert f"port {port} is taken" in one_message(checkout.invoke("test.up", *test))
        urls = checkout.urls("dev")
        with squatter(checkout.urls("test")["api"].rpartition(":")[2]):
            try:
                up = checkout.succeed("test.up", "--engine", "native", "--ports", "auto")
                moved = dict(line.split(maxsplit=1) for line in up.stdout.splitlines())
                assert serves(f"{moved['api']}/health", "ok")
                assert not set(moved.values()) & set(urls.values())
            finally:
                checkout.succeed("test.down")

    def test_production_does_not_run_natively(self, checkout: NativeCheckout) -> None:
        for words in (("prod.up", "--engine", "native"), ("staging.ps", "--engine", "native")):
            message = one_message(checkout.invoke(*words))
            assert "doesn't run natively" in message and "limits" in message
        message = one_message(checkout.invoke("prod.up", GANGWAY_ENGINE="native"))
        assert "doesn't run natively" in message

    def test_a_failing_migration_says_why_and_mended_it_works(
        self, checkout: NativeCheckout
    ) -> None:
        checkout.succeed("dev.down")
        versions = "apps/api/migrations/versions"
        head = max(path.name for path in (checkout.root / versions).glob("*.py")).partition("_")[0]
        broken = checkout.write(
            f"{versions}/9999_broken.py",
            f'from alembic import op\n\nrevision = "9999"\ndown_revision = "{head}"\n\n\n'
            'def upgrade() -> None:\n    op.execute("select no_such_function()")\n\n\n'
            "def downgrade() -> None:\n    pass\n",
        )
        try:
            done = checkout.invoke("dev.up")
            message = done.stderr[done.stderr.index("error: migrate did not start") :]
            assert done.status == 2 and "invoke dev.logs migrate" in message, done.text
            assert re.search(r"(?m)^  \| .*function no_such_function\(\) does not", done.stderr)
            assert set(checkout.pids()) == {"postgres", "redis"}
        finally:
            broken.unlink()
        checkout.succeed("dev.up")
        assert checkout.healthy()

    def test_a_service_that_ends_at_once_shows_its_last_words(
        self, checkout: NativeCheckout
    ) -> None:
        file = "apps/scheduler/scheduler/__main__.py"
        with checkout.edited(file, 'log.info("started")', 'raise SystemExit("my last words")'):
            done = checkout.invoke("dev.restart", "scheduler")
            assert done.status in (0, 2), done.text
            eventually(
                lambda: "my last words" in checkout.succeed("dev.logs", "scheduler").stdout,
                within=10,
            )
        eventually(lambda: checkout.healthy("scheduler"), within=30)

    def test_a_wrong_service_gets_the_nearest_right_one(self, checkout: NativeCheckout) -> None:
        message = one_message(checkout.invoke("dev.exec", "ap", "--", "true"))
        assert "no service named 'ap'" in message

    def test_what_needs_containers_says_so(self, checkout: NativeCheckout) -> None:
        assert "stats needs a container engine" in one_message(checkout.invoke("dev.stats"))

    def test_there_is_no_watch_to_wait_for(self, checkout: NativeCheckout) -> None:
        done = checkout.succeed("dev.up", "--watch", timeout=30)
        assert "sources are watched anyway" in done.stderr

    def test_exec_in_a_service_that_is_down_says_how_to_start_it(
        self, checkout: NativeCheckout
    ) -> None:
        checkout.succeed("dev.down")
        message = one_message(checkout.invoke("dev.exec", "api", "--", "true"))
        assert "api isn't running" in message and "invoke dev.up api" in message


@contextmanager
def squatter(port: str = "0") -> Iterator[tuple[int, int]]:
    """Have a program listen on a port of this machine; yield its process and the port."""
    program = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])));"
        "print(s.getsockname()[1], flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, port],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        yield process.pid, int(process.stdout.readline())
        process.communicate("\n")


class TestFullDisk:
    """The state is on a small file system of its own."""

    @pytest.fixture
    def disk(self, checkout: NativeCheckout) -> Iterator[Path]:
        """Mount a small tmpfs where the test environment keeps its state."""
        if os.getuid() != 0 or sys.platform != "linux":
            pytest.skip("only root can mount a small file system")
        top = checkout.state("test")
        shutil.rmtree(top, ignore_errors=True)
        top.mkdir(mode=0o700, parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", str(top)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        # Data that is on the disk already isn't moved into memory.
        (top / "volumes").mkdir(mode=0o700)
        try:
            yield top
        finally:
            checkout.invoke("test.down", "--engine", "native")
            subprocess.run(["umount", str(top)], check=True)

    UP = ("test.up", "--engine", "native", "--ports", "auto")

    def test_a_database_that_does_not_fit_says_so(
        self, checkout: NativeCheckout, disk: Path
    ) -> None:
        message = one_message(checkout.invoke(*self.UP, timeout=60))
        assert "the disk is full: no space left on device" in message
        assert str(disk) in message and "df -h" in message

    def test_not_even_a_state_that_fits(self, checkout: NativeCheckout, disk: Path) -> None:
        fill(disk)
        message = one_message(checkout.invoke(*self.UP, timeout=60))
        assert "the disk is full: no space left on device" in message
        assert checkout.pids("test") == {}

    def test_it_works_once_there_is_room(self, checkout: NativeCheckout, disk: Path) -> None:
        fill(disk)
        one_message(checkout.invoke(*self.UP, timeout=60))
        (disk / "full").unlink()
        subprocess.run(["mount", "-o", "remount,size=512m", str(disk)], check=True)
        quiet(checkout.succeed(*self.UP))
        assert checkout.healthy(environment="test")

    def test_a_disk_that_fills_up_ends_no_service(
        self, checkout: NativeCheckout, disk: Path
    ) -> None:
        subprocess.run(["mount", "-o", "remount,size=512m", str(disk)], check=True)
        checkout.succeed(*self.UP)
        url = checkout.urls("test")["api"]
        fill(disk)
        for _ in range(50):
            assert serves(f"{url}/health", "ok")
        assert checkout.pids("test").keys() == set(SERVICES)
        quiet(checkout.succeed("test.down"))
        assert checkout.processes(disk) == {}


def fill(folder: Path) -> None:
    """Write until nothing more fits."""
    with (folder / "full").open("wb", buffering=0) as file, suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)


class TestDraining:
    """In the test environment the servers are production's; a SIGTERM lets them finish."""

    @pytest.fixture
    def url(self, checkout: NativeCheckout) -> Iterator[str]:
        checkout.succeed("test.up", "--engine", "native", "--ports", "auto")
        yield checkout.urls("test")["api"]
        checkout.succeed("test.down", "--engine", "native")

    @pytest.mark.parametrize("words", ["test.restart api", "test.down"])
    def test_a_request_in_flight_is_answered(
        self, checkout: NativeCheckout, url: str, words: str
    ) -> None:
        with ThreadPoolExecutor(2) as pool:
            asked = pool.submit(httpx.get, f"{url}/slow?seconds=3", trust_env=False, timeout=20)
            eventually(lambda: connections(url) > 0, within=5)
            done = checkout.succeed(*words.split())
            assert not asked.cancelled() and asked.result().json() == {"slept": 3.0}
        quiet(done)


def connections(url: str) -> int:
    """Return how many connections to a port of this machine are open."""
    port = f":{int(url.rpartition(':')[2]):04X}"
    lines = Path("/proc/net/tcp").read_text(encoding="utf-8").splitlines()[1:]
    return sum(line.split()[1].endswith(port) and line.split()[3] == "01" for line in lines)


class TestLogs:
    def test_a_log_keeps_to_its_bound(self, checkout: NativeCheckout) -> None:
        bound, logging = 100 * 1024, "{options: {max-size: 100k}}"
        scheduler = checkout.folder("scheduler")
        flood = "print(*range(60_000), sep='\\n', flush=True); log.info('flooded')"
        try:
            with override(checkout, f"services: {{scheduler: {{logging: {logging}}}}}\n"):
                checkout.succeed("dev.up", "scheduler")
                with checkout.edited(
                    "apps/scheduler/scheduler/__main__.py", 'log.info("started")', flood
                ):
                    eventually(
                        lambda: "flooded" in (scheduler / "log").read_text(encoding="utf-8"),
                        within=20,
                    )
                sizes = [file.stat().st_size for file in scheduler.glob("log*")]
                assert len(sizes) == 2
                assert max(sizes) <= bound and sum(sizes) > bound / 2
                shown = checkout.succeed("dev.logs", "scheduler", "--tail", "300").stdout
                assert "| 59999\n" in shown
        finally:
            checkout.succeed("dev.up")

    def test_tail_shows_the_last_lines_of_one_service(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        for number in range(5):
            api.get(f"/habits/{1000 + number}")
        eventually(lambda: "/habits/1004" in logs(checkout, "api"), within=10)

        def shows_the_last_two() -> bool:
            lines = logs(checkout, "api", "--tail", "2").splitlines()
            assert len(lines) == 2
            # Unless a health check has come between the two.
            return lines == logs(checkout, "api").splitlines()[-2:]

        eventually(shows_the_last_two, within=10)

    def test_all_services_are_shown_by_name(self, checkout: NativeCheckout) -> None:
        shown = {line.split("|")[0].strip() for line in logs(checkout).splitlines()}
        assert shown == {*SERVICES, "migrate"}

    def test_since_leaves_out_what_came_before(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        api.get("/habits/2001")
        eventually(lambda: "/habits/2001" in logs(checkout, "api"), within=10)
        moment = datetime.now(UTC).isoformat()
        api.get("/habits/2002")
        eventually(lambda: "/habits/2002" in logs(checkout, "api"), within=10)
        shown = logs(checkout, "api", "--since", moment)
        assert "/habits/2002" in shown and "/habits/2001" not in shown
        assert "/habits/2001" in logs(checkout, "api", "--since", "10m")
        message = one_message(checkout.invoke("dev.logs", "--since", "yesterday"))
        assert "--since 'yesterday'" in message

    def test_following_shows_new_lines_until_it_is_interrupted(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        with checkout.started("dev.logs", "-f", "api", "--tail", "1") as following:
            following.says("api  | ")
            api.get("/habits/3001")
            following.says("/habits/3001", within=10)
            assert following.text.count("/habits/3001") == 1
            following.interrupt()
            assert following.ended(within=10) == 130
        assert "Traceback" not in following.text

    def test_a_reader_that_has_seen_enough_costs_no_traceback(
        self, checkout: NativeCheckout
    ) -> None:
        python = f"'{checkout.user.python[0]}' -m invoke"
        done = checkout.run("sh", "-c", f"{python} dev.logs -f | head -1", timeout=30)
        assert done.stdout.count("\n") == 1
        quiet(done)


def logs(checkout: NativeCheckout, *words: str) -> str:
    return checkout.succeed("dev.logs", *words).stdout


class TestPasswords:
    HARD = """p$a $$b ${HOME} 'q' "d" \\ #% é"""

    def test_any_character_can_be_in_a_password(self, checkout: NativeCheckout) -> None:
        # The password is what new data is made with.
        checkout.succeed("test.down", "--engine", "native", "--volumes", "--yes")
        hard: dict[str, Any] = {"SECRETS_DIR": "./secrets/hard"}
        for name in ("postgres_password", "redis_password", "secret_key"):
            checkout.write(f"secrets/hard/{name}", f"{self.HARD}\n")
        up = checkout.succeed("test.up", "--engine", "native", "--ports", "auto", **hard)
        try:
            assert checkout.healthy(environment="test"), up.text
            api = checkout.urls("test")["api"]
            assert serves(f"{api}/ready", '"redis":"ok"')
            select = ("psql", "-U", "gangway", "-d", "gangway_test", "-Atc", "select 6 * 7")
            right = checkout.succeed("test.exec", "postgres", "--", *select, **hard)
            assert right.stdout == "42\n"
            for wrong in ("wrong", ""):
                known = ("env", "PGPASSFILE=/dev/null", f"PGPASSWORD={wrong}")
                done = checkout.invoke("test.exec", "postgres", "--", *known, *select, **hard)
                assert done.status == 2 and "42" not in done.stdout, done.text
                assert re.search("password authentication failed|no password supplied", done.stderr)
            assert self.HARD not in up.stdout + up.stderr
            assert all(self.HARD not in words for words in checkout.processes().values())
        finally:
            checkout.succeed("test.down", "--volumes", "--yes", **hard)


class TestTasks:
    def test_ps_names_every_service_with_its_state(self, checkout: NativeCheckout) -> None:
        shown = checkout.succeed("dev.ps").stdout
        for service, (pid, _) in checkout.pids().items():
            assert re.search(rf"(?m)^{service} +running \(healthy\) +{pid}\b", shown), shown
        assert re.search(r"(?m)^migrate +exited with status 0", shown), shown

    @pytest.mark.parametrize("task", ["exec", "run"])
    def test_arguments_and_status_pass_through(self, checkout: NativeCheckout, task: str) -> None:
        words = ("printf", "<%s>\\n", *AWKWARD)
        done = checkout.succeed(f"dev.{task}", "api", "--", *words)
        assert done.stdout.splitlines() == [f"<{word}>" for word in AWKWARD]
        assert checkout.invoke(f"dev.{task}", "api", "--", "sh", "-c", "exit 7").status == 7

    def test_exec_takes_standard_input_and_runs_in_the_service_s_folder(
        self, checkout: NativeCheckout
    ) -> None:
        done = checkout.succeed("dev.exec", "api", "--", "sh", "-c", "pwd; cat", stdin="piped\n")
        assert done.stdout == f"{checkout.root}/apps/api\npiped\n"

    def test_an_unknown_program_is_named(self, checkout: NativeCheckout) -> None:
        done = checkout.invoke("dev.exec", "api", "--", "no-such-program")
        assert "no-such-program" in done.stderr and done.status in (2, 127), done.text
        quiet(done)

    def test_shell_takes_commands(self, checkout: NativeCheckout) -> None:
        assert checkout.succeed("dev.shell", stdin="echo $((6 * 7))\n").stdout == "42\n"

    def test_psql_takes_commands_and_scripts(self, checkout: NativeCheckout) -> None:
        assert checkout.sql("dev", "select 6 * 7") == "42"
        assert checkout.succeed("dev.psql", "--", "-At", stdin="select 'in';\n").stdout == "in\n"

    def test_redis_takes_commands(self, checkout: NativeCheckout) -> None:
        if shutil.which("redis-cli") or shutil.which("valkey-cli"):
            assert checkout.succeed("dev.redis", "--", "ping").stdout == "PONG\n"
        else:
            done = checkout.invoke("dev.redis", "--", "ping")
            assert done.status == 2, done.text
            assert "there is no redis-cli and no valkey-cli here; install one" in done.stderr

    def test_restart_is_of_the_named_service_alone(self, checkout: NativeCheckout) -> None:
        before = checkout.pids()
        quiet(checkout.succeed("dev.restart", "app"))
        after = checkout.pids()
        assert {name for name in before if after.get(name) != before[name]} == {"app"}
        assert checkout.healthy()

    def test_restart_of_the_database_does_not_wait_for_its_clients(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        name = add(api)
        done = quiet(checkout.succeed("dev.restart", "postgres"))
        assert done.seconds < 10
        eventually(lambda: ready(api), within=BACK)
        assert name in habits(api)

    def test_migrations_are_run_and_listed(self, checkout: NativeCheckout) -> None:
        checkout.succeed("dev.migrate")
        shown = checkout.succeed("dev.history").stdout
        assert re.search(r"\(head\) \(current\)", shown), shown

    def test_config_is_the_model_that_runs(self, checkout: NativeCheckout) -> None:
        shown = checkout.succeed("dev.config", "--engine", "native").stdout
        assert f"name: {checkout.project('dev')}\n" in shown
        assert "scripts/native/postgres" in shown and "127.0.0.1" in shown

    def test_the_printed_command_does_the_same_when_pasted(self, checkout: NativeCheckout) -> None:
        printed = checkout.succeed("dev.ps", "--dry-run").stdout.strip()
        assert " -m gangway.engines.native " in printed
        pasted = checkout.run("sh", "-c", printed)
        assert pasted.status == 0, pasted.text
        assert pasted.stdout == checkout.succeed("dev.ps").stdout

    def test_down_keeps_the_data(self, checkout: NativeCheckout, api: httpx.Client) -> None:
        name = add(api)
        done = quiet(checkout.succeed("dev.down"))
        assert checkout.processes() == {}, done.text
        assert get(str(api.base_url)) is None
        checkout.succeed("dev.up")
        assert name in habits(api)

    def test_down_with_volumes_asks_and_then_deletes(
        self, checkout: NativeCheckout, api: httpx.Client
    ) -> None:
        name = add(api)
        message = one_message(checkout.invoke("dev.down", "--volumes"))
        assert "--yes" in message and name in habits(api)
        checkout.succeed("dev.down", "--volumes", "--yes")
        assert not (checkout.state() / "volumes").exists()
        checkout.succeed("dev.up")
        assert name not in habits(api) and "Write to a friend" in habits(api)

    def test_reset_begins_again(self, checkout: NativeCheckout, api: httpx.Client) -> None:
        name = add(api)
        checkout.succeed("dev.reset", "--yes")
        assert checkout.healthy()
        assert name not in habits(api)


class TestRun:
    """The apps' tests, with development running beside them."""

    @pytest.fixture(autouse=True)
    def _nothing_in_memory(self) -> Iterator[None]:
        """See that no run leaves a piece of the machine's shared memory behind, of either kind."""

        def pieces() -> set[str]:
            segments = Path("/proc/sysvipc/shm").read_text().splitlines()
            files = {path.name for path in Path("/dev/shm").iterdir()}
            return files.union(line.split()[1] for line in segments)

        linux = sys.platform == "linux"
        before = pieces() if linux else set()
        yield
        assert not linux or pieces() <= before

    def test_the_tests_pass_and_nothing_is_left(self, checkout: NativeCheckout) -> None:
        before = checkout.pids()
        done = quiet(checkout.succeed("test.run", "--engine", "native", TESTS))
        assert re.search(r"\d+ passed", done.stdout), done.text
        self.nothing_left(checkout)
        assert checkout.pids() == before

    @pytest.mark.parametrize(("text", "status"), [("assert 6 * 9 == 42", 1), ("(", 2)])
    def test_the_status_is_pytest_s(self, checkout: NativeCheckout, text: str, status: int) -> None:
        path = "apps/api/tests/test_of_this_moment.py"
        file = checkout.write(path, f"def test_fails() -> None:\n    {text}\n")
        try:
            done = checkout.invoke("test.run", "--engine", "native", path)
        finally:
            file.unlink()
        assert done.status == status, done.text
        assert "test_of_this_moment.py" in done.stdout
        self.nothing_left(checkout)

    def test_each_run_has_a_fresh_database(self, checkout: NativeCheckout) -> None:
        checkout.succeed("test.run", "--engine", "native", "--keep", TESTS)
        kept = "select count(*) from habits where name = 'left'"
        checkout.sql("test", "insert into habits (name) values ('left')")
        assert checkout.sql("test", kept) == "1"
        checkout.succeed("test.run", "--engine", "native", "--keep", TESTS)
        try:
            assert checkout.sql("test", kept) == "0"
        finally:
            checkout.succeed("test.down", "--volumes", "--yes")
        self.nothing_left(checkout)

    def test_down_forgets_what_the_model_has_in_memory(self, checkout: NativeCheckout) -> None:
        wanted = "CREATE TABLE kept (); SELECT 1"
        for _ in range(2):
            checkout.succeed("test.up", "postgres", "--ports", "auto")
            checkout.succeed("test.psql", "--", "-v", "ON_ERROR_STOP=1", "-c", wanted)
            checkout.succeed("test.down")

    def test_interrupted_it_leaves_nothing(self, checkout: NativeCheckout) -> None:
        path = "apps/api/tests/test_of_this_moment.py"
        file = checkout.write(
            path,
            "import time\n\n\ndef test_sleeps() -> None:\n"
            "    print('asleep', flush=True)\n    time.sleep(60)\n",
        )
        try:
            with checkout.started("test.run", "--engine", "native", path, "--", "-s") as run:
                run.says("asleep")
                run.interrupt()
                assert run.ended(within=20) == 130, run.text
                assert "Traceback" not in run.text
        finally:
            file.unlink()
        self.nothing_left(checkout)

    def test_a_failing_migration_ends_it_before_any_test(self, checkout: NativeCheckout) -> None:
        with checkout.edited("docker-compose.yml", *A_FAILING_MIGRATION):
            done = checkout.invoke("test.run", "--engine", "native")
        assert done.status == 2, done.text
        assert "error: migrate did not start" in done.stderr
        assert "test session starts" not in done.stdout
        self.nothing_left(checkout)

    @staticmethod
    def nothing_left(checkout: NativeCheckout) -> None:
        assert checkout.pids("test") == {}
        assert checkout.processes(checkout.state("test")) == {}
        assert not (checkout.state("test") / "volumes").is_symlink()
        assert not (checkout.state("test") / "volumes").exists()
        assert not (checkout.state("test") / "services").exists()


@pytest.fixture(scope="module")
def theirs(make_native: MakeNative) -> NativeCheckout:
    """Return an ordinary user's checkout, up."""
    if os.getuid() != 0:
        pytest.skip("the other tests are an ordinary user's already")
    made = make_native("plain", ordinary())
    made.succeed("dev.up", "--ports", "auto")
    return made


class TestOrdinaryUser:
    """The same for who isn't root, with a Python and a checkout of their own."""

    def test_everything_is_theirs(self, theirs: NativeCheckout) -> None:
        assert theirs.healthy()
        uids = {Path(f"/proc/{pid}").stat().st_uid for pid in theirs.processes()}
        assert uids == {theirs.user.uid}
        paths = [theirs.root / ".gangway", *(theirs.root / ".gangway").rglob("*")]
        assert {path.lstat().st_uid for path in paths if path.exists()} == {theirs.user.uid}

    def test_requests_are_served(self, theirs: NativeCheckout) -> None:
        urls = theirs.urls("dev")
        assert serves(f"{urls['api']}/ready", '"postgres":"ok"')
        assert serves(urls["app"], "Write to a friend")

    def test_a_killed_database_comes_back_with_its_rows(self, theirs: NativeCheckout) -> None:
        theirs.sql("dev", "insert into habits (name) values ('Theirs')")
        pid, _ = theirs.pids()["postgres"]
        theirs.kill(pid)
        comes_back(theirs, "postgres", pid)
        assert theirs.sql("dev", "select 1 from habits where name = 'Theirs'") == "1"

    def test_a_killed_monitor_takes_its_service_down(self, theirs: NativeCheckout) -> None:
        theirs.kill(theirs.pids()["postgres"][1])
        eventually(lambda: not theirs.held("postgres"), within=10)
        theirs.succeed("dev.up")
        assert theirs.sql("dev", "select 1 from habits where name = 'Theirs'") == "1"

    def test_the_tests_pass(self, theirs: NativeCheckout) -> None:
        done = quiet(theirs.succeed("test.run", "--engine", "native", TESTS))
        assert re.search(r"\d+ passed", done.stdout), done.text

    def test_nothing_is_left_after_down(self, theirs: NativeCheckout) -> None:
        quiet(theirs.succeed("dev.down", "--volumes", "--yes"))
        assert theirs.processes() == {}
        assert not (theirs.state() / "volumes").exists()
