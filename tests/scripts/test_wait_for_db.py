"""Waiting for the database is diagnosis."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.scripts.conftest import SCRIPTS, Database, Environment, Script
from tests.support import drivers
from tests.support.postgres import Postgres, free_port, postgres
from tests.support.processes import eventually, running

LONG = "60"
"""A deadline in seconds that no test may reach."""


def test_a_database_that_answers_lets_the_command_run_with_its_arguments_untouched(
    script: Script, database: Database
) -> None:
    words = ["a b", "", "it's", '"q"', "$HOME", "*", "--", "--timeout"]
    command = ["python3", "-c", "import sys; print(sys.argv[1:])", *words]
    done = script("entrypoint", "wait-for-db", "--", *command)
    assert (done.status, done.out, done.err) == (0, f"{words}\n", "")


def test_the_commands_status_is_the_result(script: Script, database: Database) -> None:
    assert script("wait-for-db", "--", "bash", "-c", "exit 5").status == 5


def test_a_command_that_is_not_there_is_named(script: Script, database: Database) -> None:
    done = script("wait-for-db", "--", "no-such-program")
    assert done.status == 127
    assert "no-such-program" in done.err


def test_python_starts_but_once(
    script: Script, database: Database, env: Environment, tmp_path: Path, programs: Path
) -> None:
    counting = tmp_path / "bin"
    counting.mkdir()
    for name in ("python", "python3"):
        (counting / name).write_text(
            f'#!/bin/sh\necho x >>"{tmp_path}/starts"\nexec "{programs}/{name}" "$@"\n'
        )
        (counting / name).chmod(0o755)
    scripts, _, rest = env["PATH"].partition(":")
    assert script("wait-for-db", PATH=f"{scripts}:{counting}:{rest}").status == 0
    assert (tmp_path / "starts").read_text() == "x\n"


def test_a_password_from_a_file_is_used(script: Script, database: Database, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(database.server.password + "\n")
    done = script("wait-for-db", POSTGRES_PASSWORD="", POSTGRES_PASSWORD_FILE="password")
    assert done.status == 0, done.err


def test_a_wrong_password_fails_at_once_and_names_the_variables(
    script: Script, database: Database
) -> None:
    done = script("wait-for-db", POSTGRES_PASSWORD="wrong", DB_WAIT_SECONDS=LONG, seconds=20)
    assert done.status == 2
    assert "POSTGRES_PASSWORD" in done.err
    assert "POSTGRES_USER" in done.err
    assert done.err.count("\n") == 1, done.err


def test_a_wrong_password_in_a_file_names_the_files_variable(
    script: Script, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("wrong")
    done = script("wait-for-db", POSTGRES_PASSWORD="", POSTGRES_PASSWORD_FILE="password")
    assert done.status == 2
    assert "POSTGRES_PASSWORD_FILE" in done.err


def test_an_empty_password_is_told_from_a_wrong_one(script: Script, database: Database) -> None:
    done = script("wait-for-db", POSTGRES_PASSWORD="", DB_WAIT_SECONDS=LONG, seconds=20)
    assert done.status == 2
    assert "empty" in done.err


def test_a_missing_database_fails_at_once_and_names_the_variable(
    script: Script, database: Database
) -> None:
    done = script("wait-for-db", POSTGRES_DB="nowhere", DB_WAIT_SECONDS=LONG, seconds=20)
    assert done.status == 2
    assert "nowhere" in done.err
    assert "POSTGRES_DB" in done.err


def test_a_closed_port_is_tried_until_the_deadline(script: Script, database: Database) -> None:
    started = time.monotonic()
    done = script("wait-for-db", "--timeout", "1", POSTGRES_PORT=str(free_port()))
    assert 0.5 < time.monotonic() - started < 10
    assert done.status == 2
    assert "POSTGRES_HOST" in done.err
    assert "POSTGRES_PORT" in done.err
    assert "refused" in done.err.lower() or "111" in done.err


def test_a_name_that_does_not_resolve_is_tried_until_the_deadline(
    script: Script, database: Database
) -> None:
    done = script("wait-for-db", POSTGRES_HOST="no-such-host.invalid", DB_WAIT_SECONDS="0.5")
    assert done.status == 2
    assert "no-such-host.invalid" in done.err
    assert "POSTGRES_HOST" in done.err


def test_a_host_that_never_answers_does_not_outlast_the_deadline(
    script: Script, database: Database
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        done = script("wait-for-db", POSTGRES_PORT=port, DB_WAIT_SECONDS="1", seconds=10)
    assert done.status == 2
    assert "no answer" in done.err


def test_a_command_does_not_run_without_the_database(script: Script, database: Database) -> None:
    done = script(
        "wait-for-db", "--timeout", "0.2", "--", "echo", "ran", POSTGRES_PORT=str(free_port())
    )
    assert (done.status, done.out) == (2, "")


def test_a_database_that_starts_late_is_waited_for(env: Environment) -> None:
    with postgres(start=False) as late:
        env |= late.environment | {"DB_WAIT_SECONDS": LONG}
        with running(["wait-for-db", "--", "echo", "connected"], env=env) as waiting:
            waiting.says("waiting for")
            late.start()
            waiting.says("connected")
            assert waiting.ends() == 0


def test_a_server_that_is_still_starting_up_is_waited_for(env: Environment) -> None:
    with postgres(start=False) as server:
        env |= server.environment | {"DB_WAIT_SECONDS": LONG}
        # A standby that takes no connections says what a server in recovery says: 57P03.
        (server.directory / "data" / "standby.signal").touch()
        server.start("hot_standby=off", "restore_command=false", wait=False)
        with running(["wait-for-db", "--", "echo", "connected"], env=env) as waiting:
            waiting.says("the database system is")
            server.promote()
            waiting.says("connected")
            assert waiting.ends() == 0


def test_too_many_connections_are_waited_out(
    env: Environment, database: Database, server: Postgres
) -> None:
    server.query(
        f"CREATE ROLE narrow LOGIN CONNECTION LIMIT 1 PASSWORD '{server.password}'",
        database.name,
    )
    env |= {"POSTGRES_USER": "narrow", "DB_WAIT_SECONDS": LONG, "PGPASSWORD": server.password}
    hold: list[str | Path] = [
        server.psql(),
        "-h127.0.0.1",
        f"-p{server.port}",
        "-Unarrow",
        database.name,
    ]
    with subprocess.Popen(hold, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin
        assert holder.stdout
        holder.stdin.write(b"SELECT 1;\n")
        holder.stdin.flush()
        holder.stdout.readline()
        with running(["wait-for-db", "--", "echo", "connected"], env=env) as waiting:
            waiting.says("too many connections")
            holder.stdin.close()
            waiting.says("connected")
            assert waiting.ends() == 0


STARTING = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"


class Unready:
    """A server that is never ready: it refuses each connection in another way, and counts them."""

    def __init__(self, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.refused = 0
        self._listener = listener

    def serve(self) -> None:
        """Refuse connections until the listener is closed."""
        answers = cycle(
            [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"N",
             b"E" + (len(STARTING) + 4).to_bytes(4) + STARTING]
        )  # fmt: skip
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(next(answers))
            self.refused += 1


@contextmanager
def unready() -> Iterator[Unready]:
    """Yield a server that is never ready."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Unready(listener)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture(scope="module")
def each_driver(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a folder with each driver alone."""
    return drivers.install(tmp_path_factory.mktemp("drivers"))


@pytest.mark.parametrize("command", [["wait-for-db"], ["migrate"]], ids=" ".join)
@pytest.mark.parametrize("driver", drivers.DRIVERS)
def test_attempts_leave_nothing_behind(
    driver: str, command: list[str], each_driver: dict[str, Path]
) -> None:
    env = {
        "PATH": os.pathsep.join([str(SCRIPTS), str(Path(sys.executable).parent), os.defpath]),
        "PYTHONPATH": str(each_driver[driver]),
        # Its name is looked up, which asyncpg does in a thread.
        "POSTGRES_HOST": "localhost", "POSTGRES_DB": "d", "POSTGRES_USER": "u",
        "DB_WAIT_SECONDS": LONG,
    }  # fmt: skip
    with unready() as server:
        env["POSTGRES_PORT"] = str(server.port)
        with running(command, env=env) as waiting:

            def after(attempts: int) -> drivers.Held:
                eventually(lambda: server.refused >= attempts, waiting.log)
                assert waiting.process.poll() is None, waiting.log
                return drivers.held(*drivers.family(waiting.process.pid))

            # An attempt under way has a thread and some files of its own.
            before, then = after(5), after(30)
            assert then.threads <= before.threads + 1, waiting.log
            assert then.files <= before.files + 5, waiting.log
            assert then.memory <= before.memory + 2_000_000, waiting.log


def test_every_missing_variable_is_in_one_message(script: Script) -> None:
    done = script("wait-for-db")
    assert done.status == 2
    assert done.err.count("\n") == 1
    for name in ("POSTGRES_HOST", "POSTGRES_DB", "POSTGRES_USER"):
        assert name in done.err


@pytest.mark.parametrize(
    "variables",
    [{"POSTGRES_PORT": "x"}, {"POSTGRES_PORT": "70000"}, {"DB_WAIT_SECONDS": "soon"}],
)
def test_a_setting_that_is_no_number_is_named(
    script: Script, database: Database, variables: dict[str, str]
) -> None:
    done = script("wait-for-db", **variables)
    assert done.status == 2
    assert f"{next(iter(variables))}={next(iter(variables.values()))}" in done.err


def test_a_password_given_twice_is_refused(script: Script, database: Database) -> None:
    done = script("wait-for-db", POSTGRES_PASSWORD_FILE="/run/secrets/password")
    assert done.status == 2
    assert "POSTGRES_PASSWORD_FILE" in done.err


def test_a_password_file_that_cannot_be_read_is_named(script: Script, database: Database) -> None:
    done = script("wait-for-db", POSTGRES_PASSWORD="", POSTGRES_PASSWORD_FILE="/no/such/file")
    assert done.status == 2
    assert "/no/such/file" in done.err
    assert "POSTGRES_PASSWORD_FILE" in done.err


def test_sigterm_ends_the_waiting(env: Environment, database: Database) -> None:
    env |= {"POSTGRES_PORT": str(free_port()), "DB_WAIT_SECONDS": LONG}
    with running(["wait-for-db"], env=env) as waiting:
        waiting.says("waiting for")
        waiting.signal()
        assert waiting.ends(5) != 0


def address(server: Postgres, name: str, *, host: str = "127.0.0.1", password: str = "") -> str:
    secret = quote(password or server.password, safe="")
    return f"postgresql://{server.user}:{secret}@{host}:{server.port}/{name}"


def test_database_url_alone_is_enough(
    script: Script, env: Environment, server: Postgres, database: Database, tmp_path: Path
) -> None:
    for name in server.environment:
        del env[name]
    url = address(server, database.name)
    assert script("wait-for-db", "--", "echo", "connected", DATABASE_URL=url).out == "connected\n"
    (tmp_path / "url").write_text(f"{url}\n")
    done = script("entrypoint", "wait-for-db", "--", "echo", "again", DATABASE_URL_FILE="url")
    assert done.out == "again\n", done.err


def test_database_url_comes_before_the_single_variables(
    script: Script, server: Postgres, database: Database
) -> None:
    url = address(server, database.name)
    done = script("wait-for-db", DATABASE_URL=url, POSTGRES_HOST="no-such-host.invalid")
    assert done.status == 0, done.err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://u:never to be seen@h/d", "does not begin with postgresql://"),
        ("postgresql://u:p@h:port/d", "not an address"),
        ("postgresql://u:p@/d", "no host"),
        ("postgresql://u:p@h", "no database"),
        ("postgresql://h:6543/d", "no user"),
    ],
)
def test_a_malformed_database_url_is_one_line(script: Script, url: str, said: str) -> None:
    done = script("wait-for-db", DATABASE_URL=url, DB_WAIT_SECONDS=LONG)
    assert done.status == 2
    assert said in done.err and "DATABASE_URL" in done.err and done.err.count("\n") == 1, done.err


def test_a_wrong_password_in_the_url_names_the_url(
    script: Script, server: Postgres, database: Database
) -> None:
    url = address(server, database.name, password="wrong")
    done = script("wait-for-db", DATABASE_URL=url, DB_WAIT_SECONDS=LONG, seconds=20)
    assert done.status == 2
    assert "DATABASE_URL" in done.err and "POSTGRES_" not in done.err, done.err


def test_an_ipv6_only_host_is_told_at_once_to_use_the_pooler(
    script: Script, server: Postgres, database: Database
) -> None:
    # An address for documentation. Nothing is sent: this only looks for a route.
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        if probe.connect_ex(("2001:db8::1", 1)) == 0:
            pytest.skip("there is a way to IPv6 addresses here; containers have none")
    url = address(server, database.name, host="[2001:db8::1]")
    done = script("wait-for-db", DATABASE_URL=url, DB_WAIT_SECONDS=LONG, seconds=20)
    assert done.status == 2
    assert "IPv6" in done.err and "6543" in done.err and "DATABASE_URL" in done.err, done.err
