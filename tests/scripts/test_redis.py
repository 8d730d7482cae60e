"""Redis with a password from a file: served, probed, counted, and deleted from."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import valkey

from gangway.engines.native import tools
from tests.scripts.conftest import ROOT, SCRIPTS, Environment, Script
from tests.support.postgres import free_port
from tests.support.processes import Running, eventually, running

HARD = """a "b" 'c' \\d $e é # %"""


@dataclass(frozen=True)
class Redis:
    """A server, and its client with the right password."""

    process: Running
    keys: valkey.Valkey


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    """Return the environment of a server of the test's own, before there is a password."""
    server = tools.valkey()
    assert server, "no Valkey here: install the development requirements"
    (tmp_path / "tmp").mkdir()
    return {
        "PATH": os.pathsep.join(map(str, [SCRIPTS, server, "/usr/bin", "/bin"])),
        "LC_ALL": "C.UTF-8",
        "TMPDIR": str(tmp_path / "tmp"),
        "REDIS_PORT": str(free_port()),
        "REDIS_MAXMEMORY": "64mb",
        "REDIS_MAXMEMORY_POLICY": "volatile-ttl",
        "REDIS_PASSWORD_FILE": str(tmp_path / "password"),
    }


@contextmanager
def serving(env: Environment, password: str) -> Iterator[Redis]:
    """Yield a server with this password, once it answers."""
    Path(env["REDIS_PASSWORD_FILE"]).write_text(password and f"{password}\n", encoding="utf-8")
    with running(["redis", "serve"], env=env) as process:
        process.says("Ready to accept connections")
        client = valkey.Valkey(port=int(env["REDIS_PORT"]), password=password or None)
        try:
            yield Redis(process, client)
        finally:
            client.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def redis(env: Environment) -> Iterator[Redis]:
    """Serve with a password that has everything in it."""
    with serving(env, HARD) as server:
        yield server


@pytest.mark.parametrize("password", [HARD, "plain", ""])
def test_it_is_served_with_the_password_in_the_file(
    env: Environment, script: Script, password: str
) -> None:
    with serving(env, password) as redis:
        assert redis.keys.ping()
        done = script("redis", "ping")
        assert (done.status, done.out, done.err) == (0, "", "")


def test_nobody_comes_in_without_it(env: Environment, redis: Redis) -> None:
    stranger = valkey.Valkey(port=int(env["REDIS_PORT"]))
    with pytest.raises(valkey.exceptions.AuthenticationError):
        stranger.ping()


def test_it_is_not_in_the_list_of_processes(redis: Redis) -> None:
    shown = Path(f"/proc/{redis.process.process.pid}/cmdline").read_text()
    assert "valkey-server" in shown
    assert HARD not in shown and HARD[:3] not in shown


def test_memory_and_what_makes_room_are_as_they_are_set(redis: Redis) -> None:
    assert redis.keys.config_get("maxmemory") == {"maxmemory": f"{64 * 1024**2}"}
    assert redis.keys.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-ttl"}


def test_a_cache_makes_room_for_jobs_in_the_jobs_stack(env: Environment) -> None:
    text = (ROOT / "stacks/jobs/stack.env").read_text(encoding="utf-8")
    policy = re.search(r"^REDIS_MAXMEMORY_POLICY=(.*)$", text, re.MULTILINE)
    assert policy
    env |= {"REDIS_MAXMEMORY": "4mb", "REDIS_MAXMEMORY_POLICY": policy[1]}
    with serving(env, "") as redis:
        redis.keys.rpush("celery", "the first job")
        for number in range(80):
            redis.keys.set(f"cache:{number}", "x" * 100_000, ex=600)
        assert redis.keys.rpush("celery", "the next") == 2
        assert int(str(redis.keys.dbsize())) < 80


def test_it_listens_where_it_is_told_to(env: Environment) -> None:
    env |= {"REDIS_BIND": "127.0.0.1"}
    with serving(env, "") as redis:
        assert redis.keys.config_get("bind") == {"bind": "127.0.0.1"}


def test_it_ends_when_it_is_told_to_and_leaves_nothing_on_the_disk(
    env: Environment, redis: Redis
) -> None:
    redis.keys.set("a", "b")
    redis.process.signal()
    assert redis.process.ends() == 0
    assert list(Path(env["TMPDIR"]).iterdir()) == []


def test_a_wrong_password_is_unhealthy_and_is_not_shown(
    env: Environment, redis: Redis, script: Script, tmp_path: Path
) -> None:
    (tmp_path / "wrong").write_text("hunter2")
    done = script("redis", "ping", REDIS_PASSWORD_FILE=str(tmp_path / "wrong"))
    assert done.status == 2
    assert done.err.startswith("redis: it refuses the password: -WRONGPASS")
    assert "hunter" not in done.err


def test_a_missing_password_is_unhealthy_and_the_answer_is_told(
    redis: Redis, script: Script
) -> None:
    done = script("redis", "ping", REDIS_PASSWORD_FILE="")
    assert done.status == 2
    assert "redis: it answers -NOAUTH" in done.err


def test_a_closed_port_is_unhealthy_and_is_told(env: Environment, script: Script) -> None:
    done = script("redis", "ping", REDIS_PASSWORD_FILE="")
    assert done.status != 0
    assert f"nothing answers on port {env['REDIS_PORT']}" in done.err


def test_a_server_that_hangs_is_unhealthy_within_the_probe_s_time(
    redis: Redis, script: Script
) -> None:
    redis.keys.client_pause(20000)
    done = script("redis", "ping", seconds=10)
    assert done.status != 0


@pytest.mark.parametrize(
    ("pattern", "number"), [("cache:*", 2500), ("*", 2502), ("job:?", 2), ("none:*", 0)]
)
def test_the_keys_of_a_pattern_are_counted_and_stay(
    redis: Redis, script: Script, pattern: str, number: int
) -> None:
    redis.keys.mset({f"cache:{key}": "" for key in range(2500)} | {"job:1": "", "job:2": ""})
    done = script("redis", "count", pattern)
    assert (done.status, done.out) == (0, f"{number}\n"), done.err
    assert redis.keys.dbsize() == 2502


def test_the_keys_of_a_pattern_are_deleted_and_no_other(redis: Redis, script: Script) -> None:
    redis.keys.mset({f"cache:{key}": "" for key in range(2500)} | {"job:1": "a", "cach": "b"})
    done = script("redis", "delete", "cache:*")
    assert (done.status, done.out) == (0, "2500\n"), done.err
    assert sorted(redis.keys.scan_iter()) == [b"cach", b"job:1"]
    assert script("redis", "delete", "cache:*").out == "0\n"


def test_a_pattern_is_data_and_no_program(redis: Redis, script: Script) -> None:
    redis.keys.set("it's [1]", "")
    assert script("redis", "count", "it's \\[1\\]").out == "1\n"
    assert script("redis", "count", "'] .. x ..['").out == "0\n"


def test_counting_with_a_wrong_password_is_refused(
    redis: Redis, script: Script, tmp_path: Path
) -> None:
    (tmp_path / "wrong").write_text("x")
    done = script("redis", "count", "*", REDIS_PASSWORD_FILE=str(tmp_path / "wrong"))
    assert (done.status, done.out) == (2, "")


def test_the_file_alone_is_enough_even_where_it_cannot_be_executed(
    redis: Redis, script: Script, tmp_path: Path
) -> None:
    """It is mounted into an image that isn't built here."""
    alone = tmp_path / "mounted"
    alone.write_bytes((SCRIPTS / "redis").read_bytes())
    assert script("bash", alone, "ping", PATH="/usr/bin:/bin").status == 0


def test_the_client_program_is_logged_in(redis: Redis, env: Environment, script: Script) -> None:
    if not (shutil.which("valkey-cli") or shutil.which("redis-cli")):
        pytest.skip("no client program here")
    path = os.pathsep.join([env["PATH"], os.environ["PATH"]])
    assert script("redis", "cli", "set", "a", "b", PATH=path).out == "OK\n"
    eventually(lambda: redis.keys.get("a") == b"b", "the key")


def test_without_a_client_program_that_is_said_with_what_to_install(
    env: Environment, script: Script, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bash").symlink_to("/bin/bash")
    (tmp_path / "password").touch()
    done = script("bash", SCRIPTS / "redis", "cli", "ping", PATH=str(tmp_path / "bin"))
    assert (done.status, done.out) == (2, "")
    assert "there is no redis-cli and no valkey-cli here; install one" in done.err


@pytest.mark.parametrize("arguments", [[], ["start"]])
def test_wrong_use_shows_the_right_one(
    env: Environment, script: Script, arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "password").touch()
    done = script("redis", *arguments)
    assert done.status == 2
    assert "usage: redis serve" in done.err


def test_a_queue_is_there_again_after_it_was_killed(env: Environment, tmp_path: Path) -> None:
    kept = env | {"REDIS_APPENDONLY": "yes", "REDIS_DIR": str(tmp_path / "volumes" / "queue")}
    with serving(kept, "secret") as redis:
        redis.keys.rpush("queue", "job")
        redis.keys.wait(0, 0)
        redis.keys.config_set("appendfsync", "always")
        redis.keys.rpush("queue", "another")
        redis.process.process.kill()
    with serving(kept, "secret") as redis:
        assert redis.keys.lrange("queue", 0, -1) == [b"job", b"another"]
