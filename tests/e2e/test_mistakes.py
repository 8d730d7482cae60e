"""What goes wrong gets one clear message and status 2, and nothing that blocks the next start."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pexpect
import pyte
import pytest

from tests.e2e.conftest import MakeCheckout
from tests.e2e.support import (
    SOCKET,
    Checkout,
    docker,
    eventually,
    is_plain,
    one_message,
)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

OVERRIDE = "docker-compose.override.yml"
NOBODY = "tcp://127.0.0.1:1"


@pytest.fixture(scope="module")
def checkout(make_checkout: MakeCheckout) -> Checkout:
    """A checkout whose images are built and whose ports are free."""
    made = make_checkout()
    made.succeed("dev.up", "--ports", "auto")
    return made


@contextmanager
def override(checkout: Checkout, text: str) -> Iterator[None]:
    """Have a personal override file for as long as the block lasts; then all starts again."""
    file = checkout.write(OVERRIDE, text)
    try:
        yield
    finally:
        file.unlink()
    checkout.succeed("dev.up")


def fake_docker(folder: Path, pattern: str, answer: str) -> str:
    """Return a PATH on which docker gives this answer to commands of this pattern."""
    real = docker_program()
    program = folder / "docker"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in\n{pattern}) echo {answer} ;;\n*) exec {real} "$@" ;;\nesac\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    for parent in (folder, *folder.parents[:2]):
        with suppress(PermissionError):
            parent.chmod(parent.stat().st_mode | 0o055)
    return f"{folder}:{os.environ['PATH']}"


def docker_program() -> str:
    found = subprocess.run(["which", "docker"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


class TestEngine:
    @pytest.mark.parametrize(
        "words",
        ["dev.ps", "dev.down", "dev.logs", "dev.psql", "dev.exec api -- true", "dev.build",
         "dev.restart", "dev.reset --yes", "test.run", "dev.up"],
    )  # fmt: skip
    def test_no_engine(self, checkout: Checkout, words: str) -> None:
        message = one_message(checkout.invoke(*words.split(), DOCKER_HOST=NOBODY))
        assert message.startswith("error: no container engine answers: ")
        assert "start Docker" in message or NOBODY in message.partition("fix: ")[2]

    def test_no_docker_at_all(self, checkout: Checkout) -> None:
        message = one_message(checkout.invoke("dev.up", PATH=str(checkout.home)))
        assert "'docker' is not on PATH" in message and "install Docker" in message

    @pytest.mark.parametrize("task", ["config", "env", "urls"])
    def test_what_needs_no_engine_works_without(self, checkout: Checkout, task: str) -> None:
        assert checkout.succeed(f"dev.{task}", DOCKER_HOST=NOBODY).stdout

    @pytest.mark.parametrize(
        ("pattern", "answer", "expected"),
        [
            ('"compose version"*', "2.20.0", r"Docker Compose 2\.20\.0 is too old: 2\.24\.4"),
            ('"version --format"*', "24.0.9", r"Docker Engine 24\.0\.9 is too old: 25"),
        ],
    )
    def test_too_old(self, checkout: Checkout, pattern: str, answer: str, expected: str) -> None:
        folder = checkout.home / answer
        folder.mkdir()
        path = fake_docker(folder, pattern, answer)
        if "compose" in pattern:
            # Another plugin than the one whose version is known already.
            (folder / "cli-plugins").mkdir()
            (folder / "cli-plugins" / "docker-compose").touch()
        done = checkout.invoke("dev.up", PATH=path, DOCKER_CONFIG=str(folder))
        message = one_message(done)
        assert re.search(expected, message) and "upgrade" in message

    def test_an_engine_that_goes_away_while_up_runs(self, checkout: Checkout) -> None:
        checkout.succeed("dev.down")
        with (
            Relay(checkout.home / "engine.sock") as relay,
            checkout.started("dev.up", DOCKER_HOST=relay.address) as up,
        ):
            up.says("\n  postgres ")
            relay.cut()
            assert up.ended(within=40) == 2, up.text
        assert "error: no container engine answers" in up.text
        assert up.text.count("error: ") == 1 and "Traceback" not in up.text, up.text
        checkout.succeed("dev.up")


class Relay:
    """A way to the engine that can be cut."""

    def __init__(self, path: Path) -> None:
        self.address = f"unix://{path}"
        self._ends: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o666)
        self._listener.listen(32)
        self._path = path

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def cut(self) -> None:
        """Take no more connections and end those there are."""
        self._path.unlink(missing_ok=True)
        for end in [self._listener, *self._ends]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(SOCKET))
                self._ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    def _copy(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


class TestPorts:
    def test_a_port_that_a_program_has(self, checkout: Checkout) -> None:
        program = (
            "import socket; s = socket.create_server(('127.0.0.1', 0));"
            "print(s.getsockname()[1], flush=True); input()"
        )
        with subprocess.Popen(
            [*checkout.user.python, "-c", program],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **checkout.user.identity,
        ) as squatter:  # fmt: skip
            assert squatter.stdout
            port = squatter.stdout.readline().strip()
            message = one_message(checkout.invoke("dev.up", "-e", f"PUBLISHED_API_PORT={port}"))
            squatter.communicate("\n")
        assert f"port {port} is taken by python" in message
        assert f"(process {squatter.pid})" in message
        assert "set PUBLISHED_API_PORT" in message and "--ports auto" in message

    def test_a_port_that_a_container_has(self, checkout: Checkout) -> None:
        (redis,) = checkout.containers("dev", "redis")
        name = f"{checkout.prefix}-squatter"
        image = redis["Config"]["Image"]
        docker("run", "--detach", "--name", name, "--publish", "127.0.0.1::6379", image)
        try:
            port = docker("port", name, "6379").stdout.strip().rpartition(":")[2]
            message = one_message(checkout.invoke("dev.up", "-e", f"PUBLISHED_API_PORT={port}"))
        finally:
            docker("rm", "--force", "--volumes", name)
        assert f"port {port} is taken by container {name}" in message
        assert "set PUBLISHED_API_PORT" in message and "--ports auto" in message

    def test_one_port_for_two(self, checkout: Checkout) -> None:
        twice = ("-e", "PUBLISHED_API_PORT=18000", "-e", "PUBLISHED_APP_PORT=18000")
        message = one_message(checkout.invoke("dev.up", *twice))
        assert "PUBLISHED_API_PORT" in message and "PUBLISHED_APP_PORT" in message


OWN = """\
services:
  mail: &own
    image: ${REDIS_IMAGE:?}
    entrypoint: [sleep, "1000"]
    init: true
    stop_grace_period: 1s
    ports: ["127.0.0.1:PORT:8025"]
  worker:
    extends: {service: mail}
    ports: !reset []
"""


@contextmanager
def own_services(checkout: Checkout, text: str) -> Iterator[None]:
    """Have services of one's own in the override file, which are gone after the block."""
    with override(checkout, text):
        try:
            yield
        finally:
            checkout.succeed("dev.down")


class TestServicesOfOnesOwn:
    def test_a_fixed_port_that_is_taken_says_what_to_write_and_moves(
        self, checkout: Checkout
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with own_services(checkout, OWN.replace("PORT", str(port))):
                message = one_message(checkout.invoke("dev.up", "mail"))
                assert f"port {port} is taken by" in message
                assert f"${{PUBLISHED_MAIL_PORT:-{port}}} in mail's ports" in message
                done = checkout.succeed("dev.up", "mail", "--ports", "auto")
                moved = checkout.urls("dev")["mail"].rpartition(":")[2]
                assert int(moved) != port and f"mail:8025 {moved}" in done.stderr
                (mail,) = checkout.containers("dev", "mail")
                bound = mail["HostConfig"]["PortBindings"]["8025/tcp"]
                assert [each["HostPort"] for each in bound] == [moved]

    def test_one_without_a_variable_is_scaled_and_stays_so(self, checkout: Checkout) -> None:
        with own_services(checkout, OWN.replace("PORT", "0")):
            checkout.succeed("dev.up", "worker")
            before = set(checkout.ids("dev"))
            checkout.succeed("dev.scale", "worker=3")
            scaled = set(checkout.ids("dev"))
            assert before < scaled and len(scaled) == len(before) + 2
            checkout.succeed("dev.up", "worker")
            assert set(checkout.ids("dev")) == scaled
            checkout.succeed("dev.scale", "worker=0")
            assert not [name for name in checkout.ids("dev") if name.startswith("worker ")]

    def test_a_file_that_is_missing_is_named_before_anything_is_started(
        self, checkout: Checkout
    ) -> None:
        own = OWN.replace("PORT", "0") + "    secrets: [mail_key]\nsecrets: {mail_key: {file: ./k}}"
        with own_services(checkout, own):
            message = one_message(checkout.invoke("dev.up", "worker"))
            assert "k: the secret mail_key of worker has no file" in message
            assert "write it to k" in message
            assert not checkout.containers("dev", "worker")


class TestNames:
    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("dev.up apii", r"no service named 'apii'\n.*did you mean api\?"),
            ("dev.logs schedular", r"no service named 'schedular'\n.*did you mean scheduler\?"),
            ("dev.exec ap -- ls", r"no service named 'ap'\n.*did you mean api?"),
            ("dve.up", r"no environment named 'dve'\n.*did you mean dev\.up\?"),
            ("dev.upp", r"no task named 'dev\.upp'\n.*did you mean dev\.up\?"),
            ("dev.up --stack croe", r"no stack named 'croe'\n.*did you mean core\?"),
            ("dev.up --images ofline", r"no image source named 'ofline'\n.*did you mean offline\?"),
            ("dev.up --biuld", r"no option named '--biuld'\n.*did you mean --build\?"),
            ("dev.up -e LOG_LEVL=debug", r"LOG_LEVL(.|\n)*LOG_LEVEL"),
            ("dev.up -e LOG_LEVEL=debgu", r"LOG_LEVEL(.|\n)*did you mean debug\?"),
            ("dev.up -e nonsense", r"-e 'nonsense' is not NAME=value"),
            ("dev.up -e PUBLISHED_API_PORT=99999", r"PUBLISHED_API_PORT.*out of range"),
            ("dev.up --ports 8100", r"--ports is '8100'"),
            ("dev.up --timeout soon", r"'soon' is not a number"),
            ("dev.exec api", r"no command to run"),
            ("dev.exec", r"'dev\.exec' did not receive .*'service'\n.*invoke --help dev\.exec"),
            ("dev.logs --tail", r"--tail.*needed value"),
            ("dev.scale api=many", r"'api=many' is not SERVICE=NUMBER"),
        ],
    )  # fmt: skip
    def test_a_wrong_name_gets_the_nearest_right_one(
        self, checkout: Checkout, words: str, expected: str
    ) -> None:
        message = one_message(checkout.invoke(*words.split()))
        assert re.search(expected, message), message


class TestFiles:
    def test_a_missing_env_file(self, checkout: Checkout) -> None:
        file = checkout.root / "env/dev.env"
        away = file.rename(file.with_suffix(".away"))
        try:
            message = one_message(checkout.invoke("dev.up"))
        finally:
            away.rename(file)
        assert "no environment named 'dev'" in message

    def test_an_env_file_that_cannot_be_read(self, checkout: Checkout) -> None:
        if checkout.user.uid == 0:
            pytest.skip("root reads every file")
        file = checkout.root / "env/dev.env"
        mode = file.stat().st_mode
        file.chmod(0)
        try:
            message = one_message(checkout.invoke("dev.up"))
        finally:
            file.chmod(mode)
        assert message.startswith("error: env/dev.env: cannot read it: Permission denied")
        assert "ls -l env/dev.env" in message

    @pytest.mark.parametrize("path", ["env/dev.env", "env/local.env"])
    def test_malformed_lines_are_all_named(self, checkout: Checkout, path: str) -> None:
        file = checkout.root / path
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        line = before.count("\n") + 1
        checkout.write(path, before + "LOG LEVEL=debug\nno equals sign\nSEED='unclosed\n")
        try:
            message = one_message(checkout.invoke("dev.up"))
        finally:
            if before:
                checkout.write(path, before)
            else:
                file.unlink()
        for number in range(line, line + 3):
            assert f"{path}:{number}: " in message, message

    def test_a_compose_file_that_is_no_yaml(self, checkout: Checkout) -> None:
        file = checkout.write(OVERRIDE, "services: {api: [\n")
        try:
            message = one_message(checkout.invoke("dev.up"))
        finally:
            file.unlink()
        assert OVERRIDE in message and "can't be merged" in message

    def test_a_subfolder_of_the_checkout_is_as_good_as_its_top(self, checkout: Checkout) -> None:
        done = checkout.succeed("dev.ps", cwd=checkout.root / "apps/api/api")
        assert "api-1" in done.stdout


class TestImages:
    def test_an_image_that_keeps_its_data_elsewhere_is_refused(self, checkout: Checkout) -> None:
        """As PostgreSQL's do up to 17: a named volume one level above stays empty."""
        (there,) = checkout.containers("dev", "postgres")
        tag = f"{checkout.prefix}-pg17:1"
        lines = (
            "USER root",
            "RUN mkdir -p /var/lib/postgresql/data",
            "VOLUME /var/lib/postgresql/data",
        )
        text = "\n".join([f"FROM {there['Config']['Image']}", *lines])
        built = checkout.run("docker", "build", "--tag", tag, "-", stdin=text)
        assert built.status == 0, built.text
        try:
            message = one_message(checkout.invoke("dev.up", "-e", f"POSTGRES_IMAGE={tag}"))
        finally:
            docker("image", "rm", tag)
        assert "a volume of its own at /var/lib/postgresql/data, below postgres-data" in message
        assert checkout.containers("dev", "postgres")[0]["Id"] == there["Id"]


class TestStarts:
    def test_a_service_that_ends_at_once_shows_its_last_words(self, checkout: Checkout) -> None:
        command = "[sh, -c, 'echo these are my last words >&2; exit 3']"
        with override(checkout, f"services: {{api: {{command: {command}}}}}\n"):
            done = checkout.invoke("dev.up")
            message = one_message(done)
            assert "api did not start" in message and "invoke dev.logs api" in message
            assert "  | these are my last words" in done.stderr
            assert "exited with status 3" in done.stderr

    def test_a_migration_that_fails_keeps_the_rest_from_starting(self, checkout: Checkout) -> None:
        command = "[sh, -c, 'echo no such column >&2; exit 1']"
        checkout.succeed("dev.down")
        with override(checkout, f"services: {{migrate: {{command: {command}}}}}\n"):
            done = checkout.invoke("dev.up")
            assert "migrate did not start" in one_message(done), done.text
            assert "  | no such column" in done.stderr
            running = {key.split()[0] for key in checkout.ids("dev")}
            assert running == {"postgres", "redis"}

    def test_a_health_check_that_never_passes_ends_at_the_deadline(
        self, checkout: Checkout
    ) -> None:
        probe = "{test: [CMD, sh, -c, 'echo not today; exit 1'], start_period: 60s}"
        with override(checkout, f"services: {{api: {{healthcheck: {probe}}}}}\n"):
            done = checkout.invoke("dev.up", "--timeout", "8")
            message = one_message(done)
            assert message.startswith("error: not ready after 8 s: api")
            assert "--timeout" in message
            assert "its health check said:\n  | not today" in done.stderr
            assert done.seconds < 30

    def test_a_build_that_fails_shows_why(self, checkout: Checkout) -> None:
        with checkout.edited(
            "docker/app.Dockerfile", STEP, f"RUN echo broken step && false\n{STEP}"
        ):
            done = checkout.invoke("dev.up", "--build")
        assert "broken step" in done.stderr and one_message(done)
        checkout.succeed("dev.up")

    def test_a_full_disk_is_said_to_be_full(self, checkout: Checkout) -> None:
        full = (
            "RUN --mount=type=tmpfs,target=/full,size=65536"
            " dd if=/dev/zero of=/full/file bs=1M count=1"
        )
        with checkout.edited("docker/app.Dockerfile", STEP, f"{full}\n{STEP}"):
            message = one_message(checkout.invoke("dev.up", "--build"))
        assert message.startswith("error: the disk is full")
        assert "docker system df" in message
        checkout.succeed("dev.up")


#: A line of the development stage, before which a step can be put.
STEP = (
    "# The mounted source is never written to, and a .pyc can't outlive an edit in the same second."
)


class TestTwoAtOnce:
    def test_down_while_up_runs_is_refused_and_up_can_be_interrupted(
        self, checkout: Checkout
    ) -> None:
        probe = "{test: [CMD, 'false'], start_period: 60s}"
        with override(checkout, f"services: {{api: {{healthcheck: {probe}}}}}\n"):
            with checkout.started("dev.up") as up:
                up.says("\n  app ")
                message = one_message(checkout.invoke("dev.down"))
                assert re.search(r"dev is being changed by invoke dev\.up \(process \d+\)", message)
                up.interrupt()
                assert up.ended() == 130, up.text
            assert "Traceback" not in up.text and "interrupted" in up.text
            assert checkout.ids("dev")


class TestInterrupted:
    @pytest.mark.parametrize("moment", ["", "$ docker compose", "\n  redis ", "\n  migrate "])
    def test_while_it_starts(self, checkout: Checkout, moment: str) -> None:
        checkout.succeed("dev.down")
        with checkout.started("dev.up") as up:
            if moment:
                up.says(moment)
            else:
                # As soon as anything at all can be seen of it.
                eventually(lambda: children(up.process.pid), within=20)
            up.interrupt()
            assert up.ended() == 130, up.text
        assert "Traceback" not in up.text, up.text
        checkout.succeed("dev.up")

    def test_while_it_builds(self, checkout: Checkout) -> None:
        with (
            checkout.edited("docker/app.Dockerfile", STEP, f"RUN sleep 60\n{STEP}"),
            checkout.started("dev.up", "--build") as up,
        ):
            up.says("RUN sleep 60")
            up.interrupt()
            assert up.ended(within=20) == 130, up.text
        assert "Traceback" not in up.text, up.text
        checkout.succeed("dev.up")

    def test_a_sigterm_ends_a_one_off_container_as_well(self, checkout: Checkout) -> None:
        """As cron, systemd and `timeout` send it."""
        with checkout.started(
            "dev.run", "scheduler", "--", "sh", "-c", "echo begun; sleep 300"
        ) as run:
            run.says("\nbegun")
            os.kill(run.process.pid, signal.SIGTERM)
            assert run.ended(within=20) == 128 + signal.SIGTERM, run.text
        assert "Traceback" not in run.text, run.text
        label = f"label=com.docker.compose.project={checkout.project('dev')}"
        left = docker("ps", "-aq", "--filter", label, "--filter", "name=-run-")
        assert left.stdout == ""

    def test_a_sigterm_ends_what_runs_in_a_container_as_well(self, checkout: Checkout) -> None:
        with checkout.started("dev.exec", "scheduler", "--", "sleep", "301") as run:
            listed = (
                "dev.exec",
                "scheduler",
                "--",
                "sh",
                "-c",
                "cat /proc/[0-9]*/cmdline | tr '\\0' ' '",
            )
            eventually(lambda: "sleep 301" in checkout.succeed(*listed).stdout)
            os.kill(run.process.pid, signal.SIGTERM)
            assert run.ended(within=20) == 128 + signal.SIGTERM, run.text
        eventually(lambda: "sleep 301" not in checkout.succeed(*listed).stdout, within=5)

    def test_by_a_kill(self, checkout: Checkout) -> None:
        """Nothing can clean up then; the next start must not mind."""
        checkout.succeed("dev.down")
        with checkout.started("dev.up") as up:
            up.says("$ docker compose")
            os.kill(up.process.pid, signal.SIGKILL)
            up.ended()
        checkout.succeed("dev.up")


def children(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    except OSError:
        return ""


class TestTerminal:
    """On a terminal, the services' lines are redrawn in place and coloured."""

    def up(self, checkout: Checkout, **variables: str) -> tuple[str, list[str]]:
        """Return all that `up` wrote to a terminal, and what the screen shows in the end."""
        checkout.succeed("dev.down")
        python, *arguments = checkout.user.python
        child = pexpect.spawn(
            python,
            [*arguments, "-m", "invoke", "dev.up"],
            cwd=checkout.root,
            env=checkout.environment({"TERM": "xterm-256color", **variables}),
            dimensions=(50, 200),
            encoding="utf-8",
            timeout=120,
            preexec_fn=become(checkout),
        )
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0, child.before
        screen = pyte.Screen(200, 50)
        pyte.Stream(screen).feed(child.before)
        return child.before, [line.rstrip() for line in screen.display]

    def test_it_is_redrawn_and_coloured(self, checkout: Checkout) -> None:
        written, shown = self.up(checkout)
        for service in ("postgres", "redis", "migrate", "api", "app", "scheduler"):
            lines = [line for line in shown if line.startswith(f"  {service} ")]
            assert len(lines) == 1, shown
            assert ("done" if service == "migrate" else "healthy") in lines[0]
            assert written.count(f"  {service} ") > 1
        assert "\x1b[32m" in written and "\x1b[36m" in written
        assert "http://127.0.0.1:" in "\n".join(shown)

    def test_who_wants_no_colour_gets_none(self, checkout: Checkout) -> None:
        written, _ = self.up(checkout, NO_COLOR="1")
        assert not re.search(r"\x1b\[\d*m", written)

    def test_in_ci_without_a_terminal_lines_are_plain(self, checkout: Checkout) -> None:
        done = checkout.succeed("dev.up", CI="true", TERM="xterm-256color")
        assert is_plain(done.stdout + done.stderr)


def become(checkout: Checkout) -> object:
    """Return what a child must call to be the checkout's user."""
    user = checkout.user
    if not user.identity:
        return None

    def change() -> None:
        os.setgroups(user.groups)
        os.setgid(user.gid)
        os.setuid(user.uid)

    return change


def test_after_all_that_down_leaves_nothing(checkout: Checkout) -> None:
    checkout.succeed("dev.down", "--volumes", "--yes")
    assert checkout.leftovers("dev") == []
