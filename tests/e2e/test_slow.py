"""A slow machine: what comes late is waited for and named, and waiting costs nothing that stays."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import MakeCheckout, MakeNative
from tests.e2e.support import ROOT, Checkout, Result, docker, eventually, get, myself, one_message
from tests.support import drivers

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

#: Seconds that the attempts to connect go on for, and the processes that they may have.
ATTEMPTS, PROCESSES = 120.0, 20
#: A CPU that is a tenth of one.
TENTH = {"deploy": {"resources": {"limits": {"cpus": "0.1"}}}}
SERVICES = ("postgres", "redis", "migrate", "api", "app", "scheduler")
OVERLAY = "slow.yml"


def late(seconds: int, *command: str) -> dict[str, Any]:
    """Return what makes a service sleep before it runs this command."""
    sleep = ["sh", "-c", f'sleep {seconds}; exec "$$@"', "sh"]
    # With an init, so that it can be stopped meanwhile.
    return {"init": True, "entrypoint": sleep, "command": list(command)}


def with_overlay(
    checkout: Checkout, services: Mapping[str, Mapping[str, Any]], environment: str = "dev"
) -> tuple[str, ...]:
    """Write one Compose file more; return the words that put it on top of an environment's."""
    # JSON is YAML.
    checkout.write(OVERLAY, json.dumps({"services": services}))
    files = ("docker-compose.yml", f"docker-compose.{environment}.yml", OVERLAY)
    return ("-e", f"COMPOSE_FILE={':'.join(files)}")


def reminds(up: Result, service: str) -> str:
    """Return what was said of a service that took its time; empty where nothing was."""
    what = r"(?:starting|running) for \d+ s.*"
    return "\n".join(re.findall(rf"^  {service} +({what})$", up.stderr, re.MULTILINE))


@pytest.fixture(scope="module")
def checkout(make_checkout: MakeCheckout, attempts: Mapping[str, Attempts]) -> Checkout:
    """A checkout whose images are built and whose ports are free; the attempts go on beside it."""
    assert attempts
    made = make_checkout()
    made.succeed("dev.up", "--ports", "auto")
    return made


@pytest.fixture
def down(checkout: Checkout) -> Iterator[Checkout]:
    """Begin with nothing, and leave nothing of a slow service."""
    checkout.succeed("dev.down", "--volumes", "--yes")
    yield checkout
    checkout.succeed("dev.down", "--volumes", "--yes")


class TestLate:
    def test_a_database_that_comes_back_is_found_by_a_migration_that_waits(
        self, checkout: Checkout
    ) -> None:
        checkout.succeed("dev.up")
        (database,) = (found["Id"] for found in checkout.containers("dev", "postgres"))
        assert docker("stop", database).status == 0
        # As it is pasted: the task itself would start the database again.
        pasted = checkout.succeed("dev.run", "migrate", "--dry-run", "--", "migrate").stdout
        alone = pasted.replace(" run ", f" run --no-deps --name {checkout.prefix}-waits ", 1)
        with ThreadPoolExecutor(max_workers=1) as pool:
            migration = pool.submit(checkout.run, "bash", "-ec", alone)
            name = f"{checkout.prefix}-waits"
            eventually(lambda: "waiting for postgres:5432" in docker("logs", name).text)
            # Longer than a limit of processes would last, were something left of each attempt.
            time.sleep(15)
            assert docker("start", database).status == 0
            assert migration.result().status == 0, migration.result().text

    def test_data_stores_that_come_late_are_waited_for_and_named(self, down: Checkout) -> None:
        words = with_overlay(
            down,
            {
                "postgres": late(30, "docker-entrypoint.sh", "postgres"),
                "redis": late(30, "bash", "/etc/gangway/redis", "serve"),
            },
        )
        up = down.succeed("dev.up", *words)
        for name in ("postgres", "redis"):
            assert reminds(up, name)
        assert "db: waiting for postgres:5432" in reminds(up, "migrate")

    def test_after_a_power_cut_those_that_wait_for_a_slow_database_have_not_failed(
        self, down: Checkout
    ) -> None:
        words = with_overlay(down, {"postgres": late(15, "docker-entrypoint.sh", "postgres")})
        down.succeed("dev.up", *words)
        running = [found["Id"] for found in down.containers("dev") if found["State"]["Running"]]
        assert docker("kill", *running).status == 0
        assert reminds(down.succeed("dev.up", *words), "postgres")

    def test_a_limit_of_ones_own_ends_the_wait_with_one_message_that_names_who_is_slow(
        self, down: Checkout
    ) -> None:
        never = late(60, "docker-entrypoint.sh", "postgres") | {"stop_grace_period": "1s"}
        words = with_overlay(down, {"postgres": never})
        message = one_message(down.invoke("dev.up", "--timeout", "5", *words))
        slow = "migrate, postgres (so api, app, scheduler had to wait)"
        assert message.startswith(f"error: not ready after 5 s: {slow}\n")
        assert "--timeout" in message

    def test_a_first_start_with_an_init_script_that_takes_its_time(self, down: Checkout) -> None:
        down.write("init/10-dump.sql", "select pg_sleep(20); create table restored ();\n")
        mount = "./init:/docker-entrypoint-initdb.d:ro"
        up = down.succeed("dev.up", *with_overlay(down, {"postgres": {"volumes": [mount]}}))
        assert "10-dump.sql" in reminds(up, "postgres")
        assert down.sql("dev", "select count(*) from restored") == "0"

    def test_tests_wait_for_an_api_that_comes_late(self, checkout: Checkout) -> None:
        words = with_overlay(checkout, {"api": late(35, "entrypoint", "serve")}, "test")
        done = checkout.succeed("test.run", "apps/app/tests/test_stack.py", *words)
        assert "passed" in done.stdout

    def test_natively_a_new_database_that_takes_its_time(self, make_native: MakeNative) -> None:
        checkout = make_native(user=myself())
        slow = "docker/offline/postgres/docker-entrypoint.sh"
        text = (checkout.root / slow).read_text(encoding="utf-8")
        made = "make_cluster() {\n"
        assert text.count(made) == 1
        checkout.write(slow, text.replace(made, f"{made}\tsleep 15\n"))
        up = checkout.succeed("dev.up", "--ports", "auto")
        assert reminds(up, "postgres")
        assert checkout.healthy()
        # Others want the ports.
        checkout.succeed("dev.down")


class TestATenthOfACpu:
    def test_the_stack_gets_healthy_and_answers(self, down: Checkout) -> None:
        down.succeed("dev.up", *with_overlay(down, dict.fromkeys(SERVICES, TENTH)))
        for url in (down.urls("dev")[name] for name in ("api", "app")):
            answer = get(f"{url}/health")
            assert answer and answer.status_code == 200


#: Counts threads, files and pages of memory of all processes that run db.py, not of itself.
LOOK = r"""
threads=0 files=0 pages=0
for process in /proc/[0-9]*; do
	case $(tr '\0' ' ' <"$process/cmdline") in
	*db[.]py*)
		set -- "$process"/task/*
		threads=$((threads + $#))
		set -- "$process"/fd/*
		files=$((files + $#))
		read -r _ resident _ <"$process/statm"
		pages=$((pages + resident))
		;;
	esac
done
echo "$threads $files $pages"
"""


@dataclass(frozen=True)
class Attempts:
    """A container in which a migration tries to reach a database that isn't there."""

    name: str
    began: float
    before: drivers.Held


def said(name: str) -> str:
    """Return what a container that still runs has said."""
    state = docker("inspect", "--format", "{{.State.Running}}", name)
    log = docker("logs", name).text
    assert state.stdout.strip() == "true", log
    return log


def held(name: str) -> drivers.Held:
    """Return what the processes of a container that run db.py hold now."""
    done = docker("exec", name, "sh", "-ec", LOOK)
    assert done.status == 0, done.text
    threads, files, pages = map(int, done.stdout.split())
    return drivers.Held(threads, files, pages * os.sysconf("SC_PAGE_SIZE"))


def under_way(name: str) -> Attempts:
    """Return a container's attempts, once the first has failed."""
    eventually(lambda: "waiting for localhost:1" in said(name))
    return Attempts(name, time.monotonic(), held(name))


@pytest.fixture(scope="module")
def attempts(
    make_checkout: MakeCheckout, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Attempts]]:
    """Have a migration wait with each driver, in a container with few processes, meanwhile."""
    model = json.loads(
        make_checkout("plain").succeed("dev.config", "--", "--format", "json").stdout
    )
    image = model["services"]["api"]["build"]["args"]["PYTHON_IMAGE"]
    version = docker(
        "run", "--rm", "--entrypoint", "python3", image,
        "-c", "import sys; print('%d.%d' % sys.version_info[:2])",
    ).stdout.strip()  # fmt: skip
    folders = drivers.install(tmp_path_factory.mktemp("drivers"), python=version)
    made = {driver: f"gangway-e2e-attempts-{driver}-{uuid.uuid4().hex[:6]}" for driver in folders}
    environment = {
        "PATH": "/scripts:/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": "/drivers",
        "POSTGRES_HOST": "localhost", "POSTGRES_PORT": "1", "POSTGRES_DB": "d",
        "POSTGRES_USER": "u", "DB_WAIT_SECONDS": "600",
    }  # fmt: skip
    variables = [word for pair in environment.items() for word in ("--env", "=".join(pair))]
    try:
        for driver, folder in folders.items():
            done = docker(
                "run", "--detach", "--name", made[driver], "--network", "none", "--init",
                "--pids-limit", str(PROCESSES), *variables,
                "--volume", f"{ROOT / 'scripts'}:/scripts:ro", "--volume", f"{folder}:/drivers:ro",
                "--entrypoint", "migrate", image,
            )  # fmt: skip
            assert done.status == 0, done.text
        yield {driver: under_way(name) for driver, name in made.items()}
    finally:
        docker("rm", "--force", *made.values())


class TestAttempts:
    """Last: they have gone on beside all the others."""

    @pytest.mark.parametrize("driver", drivers.DRIVERS)
    def test_two_minutes_of_attempts_leave_nothing_behind(
        self, attempts: Mapping[str, Attempts], driver: str
    ) -> None:
        waiting = attempts[driver]
        until = waiting.began + ATTEMPTS
        eventually(lambda: said(waiting.name) and time.monotonic() > until, within=ATTEMPTS + 10)
        before, found = waiting.before, held(waiting.name)
        # An attempt that is under way has a thread and some files of its own.
        assert found.threads <= before.threads + 1, (before, found)
        assert found.files <= before.files + 5, (before, found)
        assert found.memory <= before.memory + 4_000_000, (before, found)
