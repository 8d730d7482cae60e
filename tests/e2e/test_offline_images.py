"""The base images honour the interface that the compose files rely on.

The same tests hold for the official images: name them in PYTHON_IMAGE, POSTGRES_IMAGE, REDIS_IMAGE
and NGINX_IMAGE. Without those, the images of `invoke images.offline` are meant.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gangway.base.errors import GangwayError
from gangway.operations import offline_images
from gangway.settings.offline import DEFAULT_PYTHON, PYTHONS, python_image

ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get("PYTHON_IMAGE") or "gangway.local/python:3.13"
POSTGRES = os.environ.get("POSTGRES_IMAGE") or "gangway.local/postgres:18"
REDIS = os.environ.get("REDIS_IMAGE") or "gangway.local/redis:9"
NGINX = os.environ.get("NGINX_IMAGE") or "gangway.local/nginx:1.31"
QDRANT = os.environ.get("QDRANT_IMAGE") or "gangway.local/qdrant-stand-in:1"
ALL = (PYTHON, POSTGRES, REDIS, NGINX, QDRANT)
#: How production runs everything: any uid, no capability, nothing writable but what is named.
HARDENED = (
    "--user=12345:12345",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges:true",
    "--read-only",
    "--tmpfs=/tmp:mode=1777",
)
POSTGRES_TMPFS = (
    "--tmpfs=/var/run/postgresql:mode=1777",
    "--tmpfs=/var/lib/postgresql:mode=1777",
)
NGINX_TMPFS = (
    "--tmpfs=/etc/nginx/conf.d:mode=1777",
    "--tmpfs=/var/cache/nginx:mode=1777",
    "--tmpfs=/var/run:mode=1777",
)
#: Seconds; a busy machine is slow, and only a failure waits for as long as this.
DEADLINE = 60.0
#: Megabytes; an image that grows past this has got something that it doesn't need.
SIZE_LIMITS = {
    "gangway.local/python:3.13": 135,
    "gangway.local/postgres:18": 112,
    "gangway.local/redis:9": 92,
    "gangway.local/nginx:1.31": 96,
    "gangway.local/qdrant-stand-in:1": 175,
}

pytestmark = pytest.mark.engine


def docker(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60
    )


def succeed(*arguments: str) -> str:
    done = docker(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def only_offline(image: str, reason: str) -> None:
    if not image.startswith("gangway.local/"):
        pytest.skip(f"the official image differs: {reason}")


@dataclass(frozen=True)
class Container:
    """A container of a test, by its unique name."""

    name: str

    def exec(self, *command: str, env: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        flags = [flag for pair in env for flag in ("--env", pair)]
        return docker("exec", *flags, self.name, *command)

    def output(self, *command: str, env: Sequence[str] = ()) -> str:
        done = self.exec(*command, env=env)
        assert done.returncode == 0, f"{command}: {done.stderr}\n{self.logs()}"
        return done.stdout.strip()

    def logs(self) -> str:
        done = docker("logs", self.name)
        return done.stdout + done.stderr

    def state(self, field: str) -> str:
        return succeed("inspect", "--format", f"{{{{.State.{field}}}}}", self.name)

    def wait(self, ready: Callable[[], bool]) -> None:
        """Probe until `ready`; each probe asks the engine, which takes its time."""
        deadline = time.monotonic() + DEADLINE
        while not ready():
            assert self.state("Running") == "true", f"it ended:\n{self.logs()}"
            assert time.monotonic() < deadline, f"not ready in time:\n{self.logs()}"

    def ended(self) -> int:
        """Return the exit status, once there is one."""
        return int(succeed("wait", self.name))

    def stop(self, *flags: str) -> tuple[float, int]:
        """Stop it; return the seconds that took and the exit status."""
        begun = time.monotonic()
        succeed("stop", *flags, self.name)
        return time.monotonic() - begun, int(self.state("ExitCode"))


Start = Callable[..., Container]


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    if docker("version").returncode:
        if os.environ.get("CI"):
            pytest.fail("no container engine answers")
        pytest.skip("no container engine answers")
    for image in ALL:
        if docker("image", "inspect", image).returncode:
            built_here = image.startswith("gangway.local/")
            assert not built_here, f"there is no image {image}: run `invoke images.offline` first"
            succeed("pull", image)


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[str] = []

    def run(image: str, *command: str, flags: Sequence[str] = ()) -> Container:
        name = f"gangway-images-{uuid.uuid4().hex[:12]}"
        started.append(name)
        succeed("run", "--detach", "--name", name, *flags, image, *command)
        return Container(name)

    yield run
    if started:
        docker("rm", "--force", "--volumes", *started)


@pytest.fixture(scope="module")
def extended(engine: None) -> Iterator[Container]:
    """One server for all extensions."""
    name = f"gangway-images-{uuid.uuid4().hex[:12]}"
    succeed("run", "--detach", "--name", name, "--env", "POSTGRES_PASSWORD=x", POSTGRES)
    container = Container(name)
    container.wait(lambda: listens(container))
    yield container
    docker("rm", "--force", "--volumes", name)


@pytest.fixture
def network() -> Iterator[str]:
    name = f"gangway-images-{uuid.uuid4().hex[:12]}"
    succeed("network", "create", name)
    yield name
    # After `start`: a test names this fixture first where it uses both.
    succeed("network", "rm", name)


@pytest.fixture
def volume() -> Iterator[str]:
    name = f"gangway-images-{uuid.uuid4().hex[:12]}"
    succeed("volume", "create", name)
    yield name
    succeed("volume", "rm", name)


def listens(container: Container) -> bool:
    probe = container.exec("pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres")
    return probe.returncode == 0


def sql(container: Container, text: str, *, user: str = "postgres", database: str = "") -> str:
    return container.output(
        "psql", "-U", user, "-d", database or user, "-v", "ON_ERROR_STOP=1", "-Atqc", text
    )


def over_network(network: str, host: str, password: str) -> subprocess.CompletedProcess[str]:
    return docker(
        *("run", "--rm", "--network", network, "--env", f"PGPASSWORD={password}", POSTGRES),
        *("psql", "-h", host, "-U", "postgres", "-Atc", "select 'let in'"),
    )


def postgres_flags(*settings: str) -> list[str]:
    return [flag for setting in settings for flag in ("--env", setting)]


class TestPostgres:
    def test_any_user_on_a_read_only_root_gets_a_database(self, start: Start) -> None:
        settings = postgres_flags(
            "POSTGRES_USER=gangway",
            "POSTGRES_PASSWORD=secret",
            'POSTGRES_DB=with "quotes"',
            "POSTGRES_INITDB_ARGS=--encoding=UTF8 --locale-provider=builtin --locale=C.UTF-8"
            " --set 'default_text_search_config=pg_catalog.simple'",
        )
        container = start(POSTGRES, flags=[*HARDENED, *POSTGRES_TMPFS, *settings])
        container.wait(lambda: listens(container))
        found = sql(
            container,
            "select datname, datlocprovider, datlocale, pg_encoding_to_char(encoding)"
            " from pg_database where datname = current_database()",
            user="gangway",
            database='with "quotes"',
        )
        assert found == 'with "quotes"|b|C.UTF-8|UTF8'
        setting = sql(
            container, "show default_text_search_config", user="gangway", database="postgres"
        )
        assert setting == "pg_catalog.simple"
        assert (
            sql(container, "show server_version_num", user="gangway", database="postgres")[:2]
            == "18"
        )
        assert container.output("sh", "-c", "grep ^Uid /proc/1/status").split()[1] == "12345"
        assert container.output("pg_dump", "--version").startswith("pg_dump (PostgreSQL) 18")

    def test_root_gives_way_to_the_postgres_user(self, start: Start) -> None:
        container = start(POSTGRES, flags=postgres_flags("POSTGRES_PASSWORD=secret"))
        container.wait(lambda: listens(container))
        assert container.output("sh", "-c", "grep ^Uid /proc/1/status").split()[1:] == ["999"] * 4
        data = container.output("sh", "-c", 'stat -c "%a %U" "$PGDATA"; echo "$PGDATA"')
        assert data.split() == ["700", "postgres", "/var/lib/postgresql/18/docker"]

    def test_only_the_password_of_the_file_lets_in_over_tcp(
        self, network: str, start: Start, tmp_path: Path
    ) -> None:
        password = tmp_path / "password"
        password.write_text('it\'s a "secret" $x \\\n', encoding="utf-8")
        container = start(
            POSTGRES,
            flags=[
                *("--network", network, *HARDENED, *POSTGRES_TMPFS),
                *("--volume", f"{password}:/run/secrets/password:ro"),
                *postgres_flags(
                    "POSTGRES_PASSWORD=", "POSTGRES_PASSWORD_FILE=/run/secrets/password"
                ),
            ],
        )
        container.wait(lambda: listens(container))
        right = over_network(network, container.name, 'it\'s a "secret" $x \\')
        assert right.stdout.strip() == "let in", right.stderr
        for wrong in ("", "secret"):
            refused = over_network(network, container.name, wrong)
            assert refused.returncode == 2
            assert "password" in refused.stderr
            assert "let in" not in refused.stdout
        assert "secret" not in container.logs()

    def test_password_and_password_file_together_are_refused(
        self, start: Start, tmp_path: Path
    ) -> None:
        password = tmp_path / "password"
        password.write_text("secret", encoding="utf-8")
        both = postgres_flags("POSTGRES_PASSWORD=secret", "POSTGRES_PASSWORD_FILE=/password")
        container = start(POSTGRES, flags=[*both, "--volume", f"{password}:/password:ro"])
        assert container.ended() == 1
        assert "both POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are set" in container.logs()

    def test_without_any_password_nothing_is_made(self, start: Start) -> None:
        container = start(POSTGRES)
        assert container.ended() == 1
        assert "POSTGRES_PASSWORD" in container.logs()

    def test_a_wrong_initdb_argument_ends_it_with_initdb_s_own_words(self, start: Start) -> None:
        settings = postgres_flags(
            "POSTGRES_PASSWORD=secret", "POSTGRES_INITDB_ARGS=--no-such-thing"
        )
        container = start(POSTGRES, flags=settings)
        assert container.ended() != 0
        assert "no-such-thing" in container.logs()

    @pytest.mark.parametrize("user", ["image", "nameless"])
    def test_init_files_run_once_and_in_the_order_of_their_names(
        self, start: Start, tmp_path: Path, user: str
    ) -> None:
        note = "insert into steps (name) values ('{}');\n"
        (tmp_path / "10-first.sql").write_text(
            "create table steps (id serial, name text);\n" + note.format("10"), encoding="utf-8"
        )
        script = tmp_path / "20-second.sh"
        script.write_text(
            '#!/bin/bash\nset -e\npsql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB"'
            f' -c "{note.format("20").strip()}"\n',
            encoding="utf-8",
        )
        script.chmod(0o755)
        with gzip.open(tmp_path / "30-third.sql.gz", "wt", encoding="utf-8") as packed:
            packed.write(note.format("30"))
        sourced = tmp_path / "40-fourth.sh"
        sourced.write_text(
            f'docker_process_sql <<<"{note.format("40").strip()}"\n', encoding="utf-8"
        )
        sourced.chmod(0o644)
        (tmp_path / "50-ignored.txt").write_text("not SQL", encoding="utf-8")
        tmp_path.chmod(0o755)
        container = start(
            POSTGRES,
            flags=[
                *postgres_flags("POSTGRES_USER=gangway", "POSTGRES_PASSWORD=secret"),
                *("--volume", f"{tmp_path}:/docker-entrypoint-initdb.d:ro"),
                *(["--user=10001:10001"] if user == "nameless" else []),
            ],
        )
        container.wait(lambda: listens(container))
        steps = "select string_agg(name, ',' order by id) from steps"
        assert sql(container, steps, user="gangway") == "10,20,30,40"
        container.stop()
        succeed("start", container.name)
        container.wait(lambda: listens(container))
        assert sql(container, steps, user="gangway") == "10,20,30,40"

    def test_a_client_in_an_init_file_need_not_say_where_the_database_is(
        self, start: Start, tmp_path: Path
    ) -> None:
        only_offline(POSTGRES, "its clients ask the system for a name of the user")
        script = tmp_path / "10-short.sh"
        script.write_text("pg_isready\npsql -c 'create table short ()'\n", encoding="utf-8")
        tmp_path.chmod(0o755)
        container = start(
            POSTGRES,
            flags=[
                *HARDENED,
                *POSTGRES_TMPFS,
                *postgres_flags(
                    "POSTGRES_USER=gangway", "POSTGRES_DB=shop", "POSTGRES_PASSWORD=secret"
                ),
                *("--volume", f"{tmp_path}:/docker-entrypoint-initdb.d:ro"),
            ],
        )
        container.wait(lambda: listens(container))
        assert sql(container, "select * from short", user="gangway", database="shop") == ""
        # What the scripts were told, the server isn't.
        assert "PGUSER" not in container.output("sh", "-c", "tr '\\0' '\\n' </proc/1/environ")

    def test_a_failing_init_file_ends_the_container_with_its_error(
        self, start: Start, tmp_path: Path
    ) -> None:
        (tmp_path / "10-wrong.sql").write_text("create tabel nonsense;\n", encoding="utf-8")
        tmp_path.chmod(0o755)
        container = start(
            POSTGRES,
            flags=[
                *postgres_flags("POSTGRES_PASSWORD=secret"),
                *("--volume", f"{tmp_path}:/docker-entrypoint-initdb.d:ro"),
            ],
        )
        assert container.ended() != 0
        assert 'syntax error at or near "tabel"' in container.logs()

    def test_nothing_listens_on_tcp_until_the_database_is_made(
        self, start: Start, tmp_path: Path
    ) -> None:
        container = held_in_init(start, tmp_path)
        assert not listens(container)
        assert sql(container, "select 1") == "1"
        (tmp_path / "gate" / "open").touch()
        container.wait(lambda: listens(container))

    def test_an_initialisation_that_was_killed_begins_afresh(
        self, start: Start, tmp_path: Path
    ) -> None:
        only_offline(POSTGRES, "it starts the half-made database")
        container = held_in_init(start, tmp_path)
        succeed("kill", container.name)
        (tmp_path / "gate" / "open").touch()
        succeed("start", container.name)
        container.wait(lambda: listens(container))
        assert sql(container, "select count(*) from after_the_gate") == "0"

    @pytest.mark.parametrize(
        ("extension", "use", "answer"),
        [
            ("citext", "select 'A'::citext = 'a'", "t"),
            ("hstore", "select ('a=>1'::hstore)->'a'", "1"),
            ("pg_trgm", "select similarity('a', 'a')", "1"),
            ("pgcrypto", "select left(encode(digest('x', 'sha1'), 'hex'), 8)", "11f6ad8e"),
            ("unaccent", "select unaccent('Hôtel')", "Hotel"),
            ("uuid-ossp", "select left(uuid_generate_v5(uuid_nil(), 'x')::text, 8)", "f3e951bb"),
        ],
    )
    def test_extensions_that_apps_ask_for_are_there(
        self, extended: Container, extension: str, use: str, answer: str
    ) -> None:
        sql(extended, f'create extension "{extension}"')
        assert sql(extended, use) == answer

    def test_bare_options_are_the_server_s(self, start: Start) -> None:
        settings = postgres_flags("POSTGRES_PASSWORD=secret")
        container = start(POSTGRES, "-c", "fsync=off", "-c", "application_name=a b", flags=settings)
        container.wait(lambda: listens(container))
        assert sql(container, "show fsync") == "off"

    def test_any_other_command_runs_as_it_is(self) -> None:
        assert "18." in succeed("run", "--rm", POSTGRES, "postgres", "--version")
        assert succeed("run", "--rm", POSTGRES, "printf", "%s|", "a b", "c") == "a b|c|"

    @pytest.mark.parametrize("signal", ["default", "SIGTERM"])
    def test_a_stop_is_quick_and_the_data_is_there_again(
        self, volume: str, start: Start, signal: str
    ) -> None:
        flags = [
            "--volume",
            f"{volume}:/var/lib/postgresql",
            *postgres_flags("POSTGRES_PASSWORD=x"),
        ]
        first = start(POSTGRES, flags=flags)
        first.wait(lambda: listens(first))
        sql(first, "create table kept as select 42 as answer")
        if signal != "default":
            # A smart shutdown; nobody is connected.
            succeed("kill", f"--signal={signal}", first.name)
            assert first.ended() == 0
        else:
            seconds, status = first.stop()
            assert (status, seconds < 5) == (0, True), seconds
        assert "database system is shut down" in first.logs()
        succeed("rm", first.name)
        again = start(POSTGRES, flags=flags)
        again.wait(lambda: listens(again))
        assert sql(again, "select answer from kept") == "42"
        assert "automatic recovery" not in again.logs()
        succeed("rm", "--force", again.name)


def held_in_init(start: Start, folder: Path) -> Container:
    """Return a container whose first init file waits for `folder`/gate/open."""
    gate, files = folder / "gate", folder / "files"
    gate.mkdir()
    files.mkdir()
    gate.chmod(0o777)
    script = files / "10-gate.sh"
    script.write_text(
        "#!/bin/bash\ntouch /gate/reached\n"
        "until [[ -e /gate/open ]]; do read -r -t 0.05 <> <(:) || true; done\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    (files / "20-after.sql").write_text("create table after_the_gate ();\n", encoding="utf-8")
    folder.chmod(0o755)
    container = start(
        POSTGRES,
        flags=[
            *postgres_flags("POSTGRES_PASSWORD=secret"),
            *("--volume", f"{files}:/docker-entrypoint-initdb.d:ro"),
            *("--volume", f"{gate}:/gate"),
        ],
    )
    container.wait((gate / "reached").exists)
    return container


def pongs(container: Container, password: str = "") -> bool:
    probe = container.exec("redis-cli", "ping", env=[f"REDISCLI_AUTH={password}"])
    return probe.stdout.strip() == "PONG"


class TestRedis:
    def test_any_user_on_a_read_only_root_serves_other_containers(
        self, network: str, start: Start
    ) -> None:
        flags = [*HARDENED, "--tmpfs=/data:mode=1777", "--network", network]
        container = start(REDIS, flags=flags)
        container.wait(lambda: pongs(container))
        client = ("run", "--rm", "--network", network, REDIS)
        assert succeed(*client, "redis-cli", "-h", container.name, "set", "key", "a b") == "OK"
        assert succeed(*client, "valkey-cli", "-h", container.name, "get", "key") == "a b"

    def test_root_gives_way_to_an_unprivileged_user(self, start: Start) -> None:
        container = start(REDIS)
        container.wait(lambda: pongs(container))
        assert container.output("sh", "-c", "grep ^Uid /proc/1/status").split()[1:] == ["999"] * 4

    def test_bare_options_are_the_server_s(self, start: Start) -> None:
        container = start(REDIS, "--maxmemory", "32mb", "--requirepass", "a b")
        container.wait(lambda: pongs(container, "a b"))
        assert "NOAUTH" in container.output("redis-cli", "ping")
        found = container.output(
            "redis-cli", "config", "get", "maxmemory", env=["REDISCLI_AUTH=a b"]
        )
        assert found.split() == ["maxmemory", str(32 * 1024 * 1024)]

    def test_a_configuration_file_is_read(self, start: Start, tmp_path: Path) -> None:
        configuration = tmp_path / "own.conf"
        configuration.write_text("maxmemory 16mb\nprotected-mode yes\n", encoding="utf-8")
        tmp_path.chmod(0o755)
        container = start(
            REDIS, "/etc/own.conf", flags=["--volume", f"{configuration}:/etc/own.conf:ro"]
        )
        container.wait(lambda: pongs(container))
        assert container.output("redis-cli", "config", "get", "maxmemory").split()[1] == "16777216"
        assert container.output("redis-cli", "config", "get", "protected-mode").split()[1] == "yes"

    def test_a_configuration_comes_through_standard_input(self, network: str, start: Start) -> None:
        script = "exec redis-server - --save '' --maxmemory 16mb <<<'requirepass \"s e\\\"c\"'"
        flags = [*HARDENED, "--tmpfs=/data:mode=1777", "--network", network]
        container = start(REDIS, "bash", "-ec", script, flags=flags)
        container.wait(lambda: pongs(container, 's e"c'))
        shown = container.output("sh", "-c", "tr '\\0' ' ' </proc/1/cmdline")
        assert "redis-server" in shown or "valkey-server" in shown
        assert "s e" not in shown

    @pytest.mark.parametrize("server", ["redis-server", "valkey-server"])
    def test_a_stop_saves_and_is_quick(self, volume: str, start: Start, server: str) -> None:
        flags = ["--volume", f"{volume}:/data"]
        first = start(REDIS, server, flags=flags)
        first.wait(lambda: pongs(first))
        first.output("redis-cli", "set", "kept", "42")
        seconds, status = first.stop()
        assert (status, seconds < 5) == (0, True), seconds
        succeed("rm", first.name)
        again = start(REDIS, server, flags=flags)
        again.wait(lambda: pongs(again))
        assert again.output("redis-cli", "get", "kept") == "42"
        succeed("rm", "--force", again.name)

    def test_a_folder_that_cannot_be_written_to_is_refused(self, start: Start) -> None:
        container = start(REDIS, flags=["--user=12345", "--workdir=/etc"])
        assert container.ended() != 0
        assert "not writable" in container.logs()


def answer(container: Container, path: str, port: int = 8080) -> str:
    script = (
        f'exec 3<>/dev/tcp/127.0.0.1/{port}; printf "GET {path} HTTP/1.0\\r\\nHost: example\\r\\n'
        'Accept-Encoding: gzip\\r\\nX-Forwarded-For: 192.0.2.7\\r\\n\\r\\n" >&3; cat <&3'
    )
    done = container.exec("bash", "-c", script)
    return done.stdout


def template(folder: Path, text: str) -> list[str]:
    (folder / "site.conf.template").write_text(text, encoding="utf-8")
    folder.chmod(0o755)
    return ["--volume", f"{folder}:/etc/nginx/templates:ro"]


class TestNginx:
    def test_any_user_on_a_read_only_root_renders_templates(
        self, start: Start, tmp_path: Path
    ) -> None:
        text = (
            "server { listen ${PORT}; gzip on; gzip_min_length 1; gzip_types application/json;\n"
            "  set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;\n"
            '  location /who { return 200 "$host $remote_addr ${NOT_SET} $PORT\\n"; } }\n'
        )
        # A variable that isn't set stays for nginx, which then complains: it has to be declared.
        text = 'map "" $NOT_SET { default "left alone"; }\n' + text
        flags = [*HARDENED, *NGINX_TMPFS, *template(tmp_path, text), "--env", "PORT=8080"]
        container = start(NGINX, flags=flags)
        container.wait(lambda: "200 OK" in answer(container, "/who"))
        assert "example 192.0.2.7 left alone 8080" in answer(container, "/who")
        assert '"GET /who HTTP/1.0" 200' in container.logs()
        assert "[emerg]" not in container.logs()

    def test_as_root_it_serves_the_default_page_with_workers_of_its_own_user(
        self, start: Start
    ) -> None:
        container = start(NGINX)
        container.wait(lambda: "200 OK" in answer(container, "/", 80))
        assert "text/html" in answer(container, "/", 80)
        users = container.output("sh", "-c", "cat /proc/[0-9]*/status | grep ^Uid")
        assert "101" in users.split()
        assert container.exec("nginx", "-t").returncode == 0
        assert container.exec("nginx", "-s", "reload").returncode == 0

    def test_a_whole_configuration_of_one_s_own_works_read_only(
        self, start: Start, tmp_path: Path
    ) -> None:
        own = tmp_path / "nginx.conf"
        own.write_text(
            "pid /tmp/nginx.pid; events {} http { include mime.types; server { listen 8080;"
            " location / { return 200 own; } } }",
            encoding="utf-8",
        )
        tmp_path.chmod(0o755)
        flags = [*HARDENED, *NGINX_TMPFS, "--volume", f"{own}:/etc/nginx/nginx.conf:ro"]
        container = start(NGINX, flags=flags)
        container.wait(lambda: answer(container, "/").endswith("own"))

    def test_an_upstream_follows_its_containers(
        self, network: str, start: Start, tmp_path: Path
    ) -> None:
        backend = "server { listen ${PORT}; location / { return 200 $NAME; } }"
        proxy = (
            "resolver 127.0.0.11 valid=1s ipv6=off; resolver_timeout 2s;\n"
            "upstream backend { zone backend 64k; server backend:9999 resolve; }\n"
            # A container that is gone answers nothing at all; the next one is asked soon.
            "server { listen 8080; proxy_connect_timeout 500ms;\n"
            "  location / { proxy_pass http://backend; } }\n"
        )
        for name, text in (("backend", backend), ("proxy", proxy)):
            (tmp_path / name).mkdir()
            template(tmp_path / name, text)
        tmp_path.chmod(0o755)

        def run(name: str, *flags: str) -> Container:
            where = ["--volume", f"{tmp_path / name}:/etc/nginx/templates:ro"]
            flags = (*HARDENED, *NGINX_TMPFS, "--network", network, *where, *flags)
            return start(NGINX, flags=flags)

        own = ("--network-alias=backend", "--env=PORT=9999")
        front = run("proxy")
        front.wait(lambda: "502" in answer(front, "/"))
        one = run("backend", "--env=NAME=one", *own)
        one.wait(lambda: answer(one, "/", 9999).endswith("one"))
        front.wait(lambda: answer(front, "/").endswith("one"))
        two = run("backend", "--env=NAME=two", *own)
        front.wait(lambda: {answer(front, "/")[-3:] for _ in range(4)} == {"one", "two"})
        one.stop()
        front.wait(lambda: [answer(front, "/")[-3:] for _ in range(4)] == ["two"] * 4)
        assert two.state("Running") == "true"

    def test_a_stop_lets_the_answer_under_way_finish(self, start: Start, tmp_path: Path) -> None:
        text = "server { listen 8080; location / { root /etc/nginx/templates; limit_rate 20k; } }\n"
        body = b"0123456789" * 4000
        (tmp_path / "file.bin").write_bytes(body)
        publish = ["--publish", "127.0.0.1::8080"]
        container = start(
            NGINX, flags=[*HARDENED, *NGINX_TMPFS, *template(tmp_path, text), *publish]
        )
        container.wait(lambda: "HTTP/1.1" in answer(container, "/nothing"))
        port = int(succeed("port", container.name, "8080").rpartition(":")[2])
        stopping: list[tuple[float, int]] = []
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(b"GET /file.bin HTTP/1.0\r\nHost: example\r\n\r\n")
            received = client.recv(4096)
            stop = threading.Thread(target=lambda: stopping.append(container.stop()))
            stop.start()
            while chunk := client.recv(65536):
                received += chunk
            stop.join()
        assert received.partition(b"\r\n\r\n")[2] == body
        seconds, status = stopping[0]
        assert (status, seconds < 8) == (0, True), seconds

    def test_templates_without_a_writable_target_are_refused(
        self, start: Start, tmp_path: Path
    ) -> None:
        only_offline(NGINX, "it starts without them")
        container = start(NGINX, flags=[*HARDENED, *template(tmp_path, "server {}")])
        assert container.ended() == 1
        assert "/etc/nginx/conf.d is not writable by uid 12345" in container.logs()

    def test_scripts_of_one_s_own_run_first_and_may_set_variables(
        self, start: Start, tmp_path: Path
    ) -> None:
        hook = tmp_path / "05-name.envsh"
        hook.write_text("export GREETING=hello\n", encoding="utf-8")
        hook.chmod(0o755)
        folder = tmp_path / "templates"
        folder.mkdir()
        text = "server { listen 8080; location / { return 200 ${GREETING}; } }"
        flags = ["--volume", f"{hook}:/docker-entrypoint.d/05-name.envsh:ro"]
        tmp_path.chmod(0o755)
        container = start(NGINX, flags=[*flags, *template(folder, text)])
        container.wait(lambda: answer(container, "/").endswith("hello"))


class TestPython:
    def test_python_and_pip_are_where_the_official_image_has_them(self) -> None:
        script = (
            'for name in python python3 pip; do [ "$(command -v $name)" = /usr/local/bin/$name ];'
            " done; python -c 'import sys; print(*sys.version_info[:2])'; python -m pip --version"
        )
        version, pip = succeed("run", "--rm", *HARDENED, PYTHON, "sh", "-ec", script).splitlines()
        assert version == "3 13"
        assert pip.startswith("pip ")
        assert "(python 3.13)" in pip

    def test_it_says_its_version_as_the_official_image_does(self) -> None:
        script = 'echo "$PYTHON_VERSION"; python -V'
        said, real = succeed("run", "--rm", PYTHON, "sh", "-c", script).splitlines()
        assert f"Python {said}" == real

    @pytest.mark.parametrize("version", [each for each in PYTHONS if each != DEFAULT_PYTHON])
    def test_another_one_is_what_its_name_says(self, version: str) -> None:
        image = python_image(version)
        if docker("image", "inspect", image).returncode:
            pytest.skip(f"invoke images.offline --python {version}")
        script = 'echo "$PYTHON_VERSION"; python3 -V; pip -V'
        said, real, pip = succeed("run", "--rm", image, "sh", "-c", script).splitlines()
        assert real == f"Python {said}" and said.startswith(f"{version}.")
        assert f"(python {version})" in pip

    def test_pip_may_install_outside_a_virtual_environment(self) -> None:
        refused = docker(
            "run", "--rm", PYTHON, "pip", "install", "--no-index", "no-such-thing-here"
        )
        assert "externally-managed" not in refused.stderr
        assert "No matching distribution" in refused.stderr

    def test_a_virtual_environment_has_pip(self) -> None:
        script = "python -m venv /tmp/venv && /tmp/venv/bin/pip --version"
        assert "/tmp/venv/" in succeed("run", "--rm", PYTHON, "sh", "-ec", script)

    def test_the_standard_library_is_whole(self) -> None:
        names = (
            "asyncio, bz2, ctypes, curses, decimal, lzma, multiprocessing, readline, sqlite3, ssl"
        )
        script = (
            f"import {names}, uuid, zlib, zoneinfo\n"
            "zoneinfo.ZoneInfo('Europe/Berlin')\n"
            "import pathlib; print(pathlib.Path(ssl.get_default_verify_paths().openssl_cafile))\n"
            "print(len(ssl.create_default_context().get_ca_certs()))\n"
        )
        *_, certificates = succeed("run", "--rm", *HARDENED, PYTHON, "python", "-c", script).split()
        assert int(certificates) > 50


def request(
    container: Container, method: str, path: str, body: object = None
) -> tuple[int, dict[str, Any]]:
    """Send a request to Qdrant from within its container; return the status and the answer."""
    content = "" if body is None else json.dumps(body)
    script = (
        "exec 3<>/dev/tcp/127.0.0.1/6333;"
        'printf "%s %s HTTP/1.0\\r\\nContent-Length: %d\\r\\n\\r\\n%s" "$1" "$2" "${#3}" "$3" >&3;'
        "cat <&3"
    )
    done = container.exec("bash", "-c", script, "bash", method, path, content)
    head, _, answer = done.stdout.replace("\r", "").partition("\n\n")
    status = head.split()[1:2]
    if not status:
        return 0, {}
    return int(status[0]), json.loads(answer) if answer.startswith("{") else {}


VECTORS = {"vectors": {"size": 2, "distance": "Cosine"}}
POINTS = [
    {"id": 1, "vector": [1, 0], "payload": {"name": "east"}},
    {"id": 2, "vector": [0, 1], "payload": {"name": "north"}},
]


class TestQdrant:
    """The stand-in, or Qdrant itself: what the apps ask of it."""

    @pytest.fixture
    def qdrant(self, start: Start) -> Container:
        flags = ("--tmpfs=/qdrant/storage:mode=1777", "--tmpfs=/qdrant/snapshots:mode=1777")
        container = start(QDRANT, flags=[*HARDENED, *flags])
        container.wait(lambda: request(container, "GET", "/readyz")[0] == 200)
        return container

    def test_the_nearest_point_comes_first_with_its_cosine(self, qdrant: Container) -> None:
        assert request(qdrant, "GET", "/collections/a/exists")[1]["result"] == {"exists": False}
        assert request(qdrant, "PUT", "/collections/a", VECTORS)[0] == 200
        assert request(qdrant, "GET", "/collections/a/exists")[1]["result"] == {"exists": True}
        points = "/collections/a/points"
        assert request(qdrant, "PUT", f"{points}?wait=true", {"points": POINTS})[0] == 200
        query = {"query": [4, 3], "limit": 5, "with_payload": True}
        found = request(qdrant, "POST", f"{points}/query", query)[1]["result"]["points"]
        assert [(point["payload"]["name"], round(point["score"], 3)) for point in found] == [
            ("east", 0.8),
            ("north", 0.6),
        ]

    def test_points_are_listed_a_page_at_a_time_and_can_be_deleted(self, qdrant: Container) -> None:
        request(qdrant, "PUT", "/collections/a", VECTORS)
        points = "/collections/a/points"
        request(qdrant, "PUT", f"{points}?wait=true", {"points": POINTS})
        page = request(qdrant, "POST", f"{points}/scroll", {"limit": 1})[1]["result"]
        assert [point["id"] for point in page["points"]] == [1]
        assert page["next_page_offset"] == 2
        request(qdrant, "POST", f"{points}/delete?wait=true", {"points": [1]})
        page = request(qdrant, "POST", f"{points}/scroll", {})[1]["result"]
        assert [point["id"] for point in page["points"]] == [2]
        assert page["next_page_offset"] is None

    def test_what_is_wrong_is_said_with_qdrants_own_statuses(self, qdrant: Container) -> None:
        assert request(qdrant, "POST", "/collections/none/points/query", {"query": [1]})[0] == 404
        request(qdrant, "PUT", "/collections/a", VECTORS)
        assert request(qdrant, "PUT", "/collections/a", VECTORS)[0] == 409
        short = {"points": [{"id": 1, "vector": [1]}]}
        status, answer = request(qdrant, "PUT", "/collections/a/points?wait=true", short)
        assert status == 400
        assert "expected dim: 2, got 1" in answer["status"]["error"]

    def test_points_outlive_a_kill(self, volume: str, start: Start) -> None:
        flags = [f"--volume={volume}:/qdrant/storage"]
        first = start(QDRANT, flags=flags)
        first.wait(lambda: request(first, "GET", "/readyz")[0] == 200)
        request(first, "PUT", "/collections/a", VECTORS)
        request(first, "PUT", "/collections/a/points?wait=true", {"points": POINTS})
        succeed("kill", first.name)
        second = start(QDRANT, flags=flags)
        second.wait(lambda: request(second, "GET", "/readyz")[0] == 200)
        page = request(second, "POST", "/collections/a/points/scroll", {})[1]["result"]
        assert [point["payload"]["name"] for point in page["points"]] == ["east", "north"]

    def test_it_ends_at_once_when_it_is_told_to(self, qdrant: Container) -> None:
        seconds, status = qdrant.stop()
        assert status == 0
        assert seconds < 5

    def test_the_stand_in_says_that_it_is_one(self, qdrant: Container) -> None:
        only_offline(QDRANT, "it is Qdrant itself")
        assert "qdrant-stand-in: not Qdrant itself" in qdrant.logs()


class TestEveryImage:
    @pytest.mark.parametrize("image", ALL)
    def test_nothing_that_only_builds_need_is_in_it(self, image: str) -> None:
        script = (
            "for name in gcc g++ cc c++ clang tcc make ld as; do"
            '  if command -v "$name"; then exit 1; fi; done;'
            "find / -xdev \\( -name '*.deb' -o -path '/var/lib/apt/lists/*_*' -o -name pip.conf"
            " -o -path '/run/secrets/*' \\) -print"
        )
        done = docker("run", "--rm", "--user=0", "--entrypoint=sh", image, "-ec", script)
        assert (done.returncode, done.stdout) == (0, ""), done

    @pytest.mark.parametrize("image", ALL)
    def test_bash_is_there_for_health_checks(self, image: str) -> None:
        script = "exec 3<>/dev/tcp/127.0.0.1/1 || echo refused"
        done = docker("run", "--rm", *HARDENED, "--entrypoint=bash", image, "-c", script)
        assert done.stdout.strip() == "refused", done.stderr

    @pytest.mark.parametrize("image", ALL)
    def test_the_size_stays_small(
        self, image: str, record_property: Callable[[str, object], None]
    ) -> None:
        megabytes = int(succeed("image", "inspect", "--format", "{{.Size}}", image)) / 1e6
        record_property("megabytes", round(megabytes))
        print(f"{image}: {megabytes:.0f} MB")
        assert megabytes < SIZE_LIMITS.get(image, 500)

    @pytest.mark.parametrize(
        ("image", "expected"),
        [
            (POSTGRES, {"StopSignal": "SIGINT", "Volumes": ["/var/lib/postgresql"]}),
            (REDIS, {"Volumes": ["/data"], "WorkingDir": "/data"}),
            (NGINX, {"StopSignal": "SIGQUIT", "ExposedPorts": ["80/tcp"]}),
            (QDRANT, {"User": "1000:1000", "WorkingDir": "/qdrant"}),
        ],
    )
    def test_the_settings_are_the_official_image_s(
        self, image: str, expected: dict[str, Any]
    ) -> None:
        config = json.loads(succeed("image", "inspect", "--format", "{{json .Config}}", image))
        found = {name: config.get(name) for name in expected}
        assert {n: list(v) if isinstance(v, dict) else v for n, v in found.items()} == expected

    @pytest.mark.parametrize("image", [image.name for image in offline_images.IMAGES[1:]])
    def test_no_secret_of_the_build_is_in_a_layer_s_history(self, image: str) -> None:
        if docker("image", "inspect", image).returncode:
            pytest.skip(f"{image} is not built here")
        history = succeed("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
        assert "index-url" not in history
        for name in ("BUILD_INDEX_URL", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"):
            assert not os.environ.get(name) or os.environ[name] not in history


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a checkout with the files of the images alone."""
    shutil.copytree(ROOT / offline_images.FOLDER, tmp_path / offline_images.FOLDER)
    return tmp_path


# The images that are made from wheels.
WHEELS = {"postgres", "redis", "nginx", "qdrant-stand-in", "node"}


class TestBuilding:
    def test_a_second_build_does_nothing(self) -> None:
        if {item.state for item in offline_images.status(ROOT)} != {"current"}:
            pytest.skip("the images here were not built from this checkout")
        said: list[str] = []
        begun = time.monotonic()
        offline_images.build_offline(ROOT, ca_bundle=None, say=said.append)
        assert said == [f"offline images: all {len(offline_images.IMAGES)} are current"]
        assert time.monotonic() - begun < 5

    @pytest.mark.parametrize(
        ("changed", "rebuilt"),
        [
            ("requirements-redis.txt", {"redis"}),
            ("requirements-node.txt", {"node", "postgres"}),
            ("nginx/nginx.conf", {"nginx"}),
            ("install-wheel", WHEELS),
            ("python.Dockerfile", {"python"} | WHEELS),
            ("debian/docker-clean", {"debian", "python"} | WHEELS),
        ],
    )
    def test_a_change_rebuilds_what_depends_on_it_and_nothing_else(
        self, copy: Path, changed: str, rebuilt: set[str]
    ) -> None:
        before = offline_images.input_hashes(copy)
        with (copy / offline_images.FOLDER / changed).open("a", encoding="utf-8") as file:
            file.write("\n")
        after = offline_images.input_hashes(copy)
        names = {name for name in before if before[name] != after[name]}
        assert {name.removeprefix("gangway.local/").partition(":")[0] for name in names} == rebuilt

    def test_a_machine_without_mmdebstrap_is_told_how_to_get_it(
        self, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with (copy / offline_images.FOLDER / "debian/docker-clean").open(
            "a", encoding="utf-8"
        ) as file:
            file.write("\n")
        programs = tmp_path / "bin"
        programs.mkdir()
        (programs / "docker").symlink_to(str(shutil.which("docker")))
        monkeypatch.setenv("PATH", str(programs))
        with pytest.raises(GangwayError, match="mmdebstrap") as caught:
            offline_images.build_offline(copy, ca_bundle=None, say=lambda _: None)
        assert "apt-get install mmdebstrap" in str(caught.value)

    def test_a_ca_bundle_that_is_not_there_is_named(self, copy: Path) -> None:
        missing = copy / "no.pem"
        with pytest.raises(GangwayError, match=r"no\.pem is not a file"):
            offline_images.build_offline(copy, ca_bundle=missing, say=lambda _: None)

    def test_a_build_that_fails_shows_its_last_lines(self, copy: Path) -> None:
        if {item.state for item in offline_images.status(ROOT)} != {"current"}:
            pytest.skip("the images here were not built from this checkout")
        former = succeed("image", "inspect", "--format", "{{.Id}}", "gangway.local/nginx:1.31")
        dockerfile = copy / offline_images.FOLDER / "nginx.Dockerfile"
        dockerfile.write_text(
            "FROM gangway.local/debian:13\nRUN echo the-reason >&2; exit 7\n", encoding="utf-8"
        )
        with pytest.raises(GangwayError) as caught:
            offline_images.build_offline(copy, ca_bundle=None, say=lambda _: None)
        assert "gangway.local/nginx:1.31 was not built" in str(caught.value)
        assert "the-reason" in str(caught.value)
        kept = succeed("image", "inspect", "--format", "{{.Id}}", "gangway.local/nginx:1.31")
        assert kept == former

    def test_the_mirror_variables_win_over_the_machine_s_sources(self) -> None:
        mirror = {"DEBIAN_MIRROR": "http://mirror.invalid/debian"}
        assert offline_images.archive_url(mirror) == "http://mirror.invalid/debian"
        assert offline_images.security_url(mirror) is None
        both = {**mirror, "DEBIAN_SECURITY_MIRROR": "http://mirror.invalid/security"}
        assert offline_images.security_url(both) == "http://mirror.invalid/security"

    def test_the_files_name_no_host_and_need_no_frontend_from_a_registry(self) -> None:
        for path in sorted((ROOT / offline_images.FOLDER).rglob("*")):
            if path.is_file():
                text = path.read_text(encoding="utf-8")
                assert "http://" not in text.replace("http://backend", ""), path
                assert "https://" not in text, path
                assert "# syntax=" not in text, path
