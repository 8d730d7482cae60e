"""The hybrid stack: Django and FastAPI at once, on one database, from one image."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import MakeCheckout, MakeNative
from tests.e2e.support import Checkout, docker, eventually, get, myself, one_message, web

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

SERVICES = {"postgres", "redis", "qdrant", "django", "fastapi"}
#: What the two services are told differently: how to be started, and where to listen.
DIFFER = {"APP_INTERFACE", "APP_TARGET", "APP_PORT"}
STARTS = 20
#: Seconds from saving a file to seeing it: far more than it takes, far less than anyone waits.
SAVED_TO_SERVED = 10.0
EMPTY = "DROP DATABASE IF EXISTS race WITH (FORCE)"


@dataclass(frozen=True)
class Stack:
    """The running stack that the tests of this file share."""

    checkout: Checkout
    urls: dict[str, str]


@pytest.fixture(scope="module")
def stack(make_checkout: MakeCheckout) -> Stack:
    checkout = make_checkout(GANGWAY_STACK="hybrid")
    checkout.succeed("dev.up", "--ports", "auto", timeout=300)
    return Stack(checkout, checkout.urls("dev"))


@pytest.fixture
def checkout(stack: Stack) -> Checkout:
    return stack.checkout


# A save ends the connections that are idle, and so may end one that is just about to be used.
NOT_KEPT = httpx.Limits(max_keepalive_connections=0)


@pytest.fixture
def django(stack: Stack) -> Iterator[httpx.Client]:
    with web(stack.urls["django"], limits=NOT_KEPT) as client:
        yield client


@pytest.fixture
def fastapi(stack: Stack) -> Iterator[httpx.Client]:
    with web(stack.urls["fastapi"], limits=NOT_KEPT) as client:
        yield client


def environment(found: dict[str, Any]) -> dict[str, str]:
    # A name alone is one that isn't there.
    return dict(line.split("=", 1) for line in found["Config"]["Env"] if "=" in line)


def container(checkout: Checkout, service: str) -> str:
    return str(checkout.containers("dev", service)[0]["Id"])


class TestStart:
    def test_both_run_at_once_beside_qdrant(self, stack: Stack) -> None:
        running = stack.checkout.ids("dev")
        assert {name.split()[0] for name in running} == SERVICES
        assert set(stack.urls) == SERVICES

    def test_it_is_one_image_with_two_commands(self, checkout: Checkout) -> None:
        one, other = (checkout.containers("dev", name)[0] for name in ("django", "fastapi"))
        assert one["Image"] == other["Image"]
        told = [environment(found)["APP_TARGET"] for found in (one, other)]
        assert told == ["hybrid.wsgi:application", "hybrid.fast:app"]

    def test_both_have_the_same_environment_but_for_how_they_start(
        self, checkout: Checkout
    ) -> None:
        one, other = (
            environment(checkout.containers("dev", name)[0]) for name in ("django", "fastapi")
        )
        assert set(one) == set(other)
        assert {name for name in one if one[name] != other[name]} == DIFFER

    def test_both_say_that_they_are_ready(
        self, django: httpx.Client, fastapi: httpx.Client
    ) -> None:
        answer = django.get("/ready").json()
        assert {answer[name] for name in ("postgres", "redis", "qdrant")} == {"ok"}
        assert fastapi.get("/ready").json()["status"] == "ok"


class TestMigrations:
    def test_both_starting_first_and_together_migrate_once_and_never_race(
        self, checkout: Checkout
    ) -> None:
        """As if each ran the migrations itself when it starts: the lock lets one of them do it."""
        services = ("django", "fastapi")
        containers = {name: container(checkout, name) for name in services}

        def migrate(service: str) -> str:
            command = "python -m api.migrate --then python manage.py migrate --no-input"
            done = docker(
                "exec", "--env", "POSTGRES_DB=race", "--env", f"MIGRATE_COMMAND={command}",
                containers[service], "entrypoint", "migrate", timeout=120,
            )  # fmt: skip
            assert done.status == 0, done.text
            return done.stdout + done.stderr

        for turn in range(STARTS):
            checkout.sql("dev", EMPTY)
            checkout.sql("dev", "CREATE DATABASE race")
            first = services if turn % 2 else services[::-1]
            with ThreadPoolExecutor(2) as pool:
                said = "".join(pool.map(migrate, first))
            # Alembic's two migrations, and Django's of its own apps: each of them once.
            assert said.count("Running upgrade") == 2, said
            assert said.count("Applying auth.0001_initial") == 1, said
            assert said.count("No migrations to apply") == 1, said
        checkout.sql("dev", EMPTY)

    def test_django_has_its_own_tables_and_alembic_the_shared_ones(
        self, checkout: Checkout
    ) -> None:
        tables = set(
            checkout.sql(
                "dev", "select tablename from pg_tables where schemaname = 'public'"
            ).splitlines()
        )
        assert {"habits", "checkins", "alembic_version"} <= tables
        assert {"auth_user", "django_session", "django_admin_log"} <= tables
        applied = checkout.sql("dev", "select app, count(*) from django_migrations group by app")
        assert not [line for line in applied.splitlines() if line.startswith("hybrid")]

    def test_a_new_migration_leaves_djangos_tables_alone(self, checkout: Checkout) -> None:
        checkout.succeed("dev.makemigration", "-m", "nothing")
        [made] = (checkout.root / "apps/api/migrations/versions").glob("*nothing*.py")
        try:
            text = made.read_text(encoding="utf-8")
            assert "drop_" not in text and "create_" not in text
        finally:
            made.unlink()


class TestOneDatabase:
    def test_a_row_goes_through_one_and_comes_out_of_the_other(
        self, django: httpx.Client, fastapi: httpx.Client
    ) -> None:
        written = django.post("/habits", json={"name": "Written by Django"})
        assert written.status_code == 201, written.text
        assert fastapi.get(f"/habits/{written.json()['id']}").json()["name"] == "Written by Django"
        written = fastapi.post("/habits", json={"name": "Written by FastAPI"})
        assert written.status_code == 201, written.text
        assert django.get(f"/habits/{written.json()['id']}").json()["name"] == "Written by FastAPI"

    def test_both_find_similar_habits(self, django: httpx.Client, fastapi: httpx.Client) -> None:
        django.post("/habits", json={"name": "Water the plants"})
        found = [
            client.get("/similar", params={"text": "watering plants"}).json()[0]
            for client in (django, fastapi)
        ]
        assert found[0] == found[1]
        assert found[0]["name"] == "Water the plants"

    def test_the_search_says_so_while_qdrant_is_away_and_comes_back(
        self, stack: Stack, django: httpx.Client, fastapi: httpx.Client
    ) -> None:
        qdrant = container(stack.checkout, "qdrant")
        assert docker("stop", qdrant).status == 0
        try:
            for client in (django, fastapi):
                answer = client.get("/similar", params={"text": "water"})
                assert (answer.status_code, answer.json()) == (
                    503,
                    {"detail": "the search is away"},
                )
                assert client.get("/habits").status_code == 200
        finally:
            assert docker("start", qdrant).status == 0
        for client in (django, fastapi):
            eventually(partial(searches, client))


class TestReload:
    def test_both_serve_an_edit(self, stack: Stack) -> None:
        edits = (
            ("django", "apps/hybrid/hybrid/views.py", '"instance": gethostname()'),
            ("fastapi", "apps/api/api/main.py", '"instance": INSTANCE'),
        )
        for service, path, old in edits:
            with stack.checkout.edited(path, old, f'{old}, "edited": "yes"'):
                served_from(stack.urls[service], '"edited"')

    def test_a_file_that_both_have_restarts_both(self, stack: Stack) -> None:
        started = {name: boot(stack, name) for name in ("django", "fastapi")}
        path = "apps/hybrid/hybrid/index.py"
        with stack.checkout.edited(path, "LEAST = 0.1", "LEAST = 0.11"):
            for name, before in started.items():
                eventually(partial(restarted, stack, name, before), within=SAVED_TO_SERVED)


def served_from(url: str, text: str) -> None:
    def served() -> bool:
        answer = get(f"{url}/health")
        return answer is not None and text in answer.text

    eventually(served, within=SAVED_TO_SERVED)


def searches(client: httpx.Client) -> bool:
    return client.get("/similar", params={"text": "water"}).status_code == 200


def restarted(stack: Stack, service: str, before: str) -> bool:
    return boot(stack, service) != before


def boot(stack: Stack, service: str) -> str:
    """Return what tells one run of a service's program from the next."""
    done = docker("top", container(stack.checkout, service), "-o", "pid,ppid")
    return done.stdout


class TestMistakes:
    def test_a_service_that_only_another_stack_has_is_named_with_that_stack(
        self, checkout: Checkout
    ) -> None:
        message = one_message(checkout.invoke("dev.up", "scheduler"))
        assert message.splitlines() == [
            "error: the hybrid stack has no scheduler",
            "  fix: --stack core",
        ]

    def test_two_stacks_of_one_environment_are_refused(self, checkout: Checkout) -> None:
        before = checkout.ids("dev")
        message = one_message(checkout.invoke("dev.up", "--stack", "core"))
        assert "dev runs another stack already" in message
        assert "django, fastapi, qdrant" in message
        assert "invoke dev.down ends it" in message
        assert checkout.ids("dev") == before

    def test_an_environment_that_the_stack_is_not_meant_for_is_refused(
        self, checkout: Checkout
    ) -> None:
        message = one_message(checkout.invoke("prod.up"))
        assert "stacks/hybrid/stack.env" in message
        assert "the hybrid stack is not meant for the prod environment" in message


class TestApps:
    def test_the_apps_tests_pass_in_a_throw_away_copy_beside_it(self, checkout: Checkout) -> None:
        before = checkout.ids("dev")
        done = checkout.succeed("test.run", "apps/hybrid", timeout=300)
        assert " passed" in done.stdout and "failed" not in done.stdout
        assert checkout.leftovers("test") == []
        assert checkout.ids("dev") == before


class TestNatively:
    def test_all_of_it_runs_without_containers(self, make_native: MakeNative) -> None:
        native = make_native(user=myself(), GANGWAY_STACK="hybrid")
        native.succeed("dev.up", "--ports", "auto", timeout=300)
        urls = native.urls("dev")
        assert set(urls) == SERVICES
        with web(urls["django"]) as django, web(urls["fastapi"]) as fastapi:
            assert django.post("/habits", json={"name": "Native"}).status_code == 201
            found = fastapi.get("/similar", params={"text": "native"}).json()
            assert found[0]["name"] == "Native"
        with native.edited(
            "apps/hybrid/hybrid/views.py", '"instance": gethostname()', '"instance": "edited"'
        ):
            served_from(urls["django"], '"edited"')
        native.succeed("dev.down", "--volumes", "--yes")
