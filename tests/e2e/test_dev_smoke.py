"""Development: one command brings the stack up, an edit is served, nothing of it is root's."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.e2e import browser as browsers
from tests.e2e.conftest import MakeCheckout
from tests.e2e.support import (
    UNSET,
    Checkout,
    Result,
    User,
    add_by_page,
    eventually,
    get,
    habits,
    is_plain,
    myself,
    one_message,
    ordinary,
    web,
)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

SERVICES = {"postgres", "redis", "migrate", "api", "app", "scheduler"}
#: Seconds from saving a file to seeing it: far more than it takes, far less than anyone waits.
SAVED_TO_SERVED = 10.0
EDITS = (1, 2, 3)


@dataclass(frozen=True)
class Stack:
    """The running stack that the tests of this file share."""

    checkout: Checkout
    up: Result
    urls: dict[str, str]


@pytest.fixture(scope="module")
def stack(make_checkout: MakeCheckout) -> Stack:
    checkout = make_checkout("a check out")
    with socket.socket() as squatter:
        # Somebody has the api's port, here or elsewhere on this machine.
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            squatter.bind(("127.0.0.1", 8000))
            squatter.listen()
        up = checkout.succeed("dev.up", "--ports", "auto")
    return Stack(checkout, up, checkout.urls("dev"))


@pytest.fixture
def checkout(stack: Stack) -> Checkout:
    return stack.checkout


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    with web(stack.urls["api"]) as client:
        yield client


@pytest.fixture
def pages(stack: Stack) -> Iterator[httpx.Client]:
    with web(stack.urls["app"]) as client:
        yield client


def serves(url: str, text: str) -> bool:
    answer = get(url)
    return answer is not None and answer.status_code == 200 and text in answer.text


def count_habits(checkout: Checkout) -> str:
    return checkout.sql("dev", "select count(*) from habits")


class TestUp:
    def test_up_shows_each_service_with_its_times_and_then_the_urls(self, stack: Stack) -> None:
        for service in SERVICES:
            # Before it, on a slow machine, how long it has been waited for.
            rows = re.findall(rf"(?m)^  {service} +(.*)$", stack.up.stderr)
            assert rows, stack.up.text
            last = "done" if service == "migrate" else "healthy"
            steps = rf"created \d+\.\d s · started \d+\.\d s · {last} \d+\.\d s"
            assert re.search(steps, rows[-1])
        shown = dict(line.split() for line in stack.up.stdout.splitlines())
        assert shown == stack.urls
        assert set(shown) == {"api", "app", "postgres", "redis"}
        assert "\n$ docker compose --env-file env/dev.env" in stack.up.stderr

    def test_without_a_terminal_there_are_only_plain_lines(self, stack: Stack) -> None:
        assert is_plain(stack.up.stdout + stack.up.stderr)

    def test_a_taken_port_moved_the_whole_block(self, stack: Stack) -> None:
        ports = {name: int(url.rpartition(":")[2]) for name, url in stack.urls.items()}
        plain = {"api": 8000, "app": 5000, "postgres": 5432, "redis": 6379}
        assert len({ports[name] - plain[name] for name in plain}) == 1
        assert ports["api"] != 8000
        # It names the ports of this stack, not those that other stacks would have.
        (moved,) = re.findall(r"(?m)^ports: (.*)$", stack.up.stderr)
        names = [word for word in moved.split() if word.startswith("PUBLISHED_")]
        assert names == [f"PUBLISHED_{name}_PORT" for name in ("API", "APP", "POSTGRES", "REDIS")]

    def test_all_is_healthy_when_up_returns(self, checkout: Checkout) -> None:
        health = {
            found["Config"]["Labels"]["com.docker.compose.service"]: (
                found["State"].get("Health", {}).get("Status") or found["State"]["ExitCode"]
            )
            for found in checkout.containers("dev")
        }
        assert health == {name: 0 if name == "migrate" else "healthy" for name in SERVICES}

    def test_a_second_up_changes_nothing(self, checkout: Checkout) -> None:
        before = checkout.ids("dev")
        checkout.succeed("dev.up")
        assert checkout.ids("dev") == before


class TestRequests:
    def test_what_is_added_on_the_page_is_in_the_api(
        self, api: httpx.Client, pages: httpx.Client
    ) -> None:
        page = add_by_page(pages, "Walk the gangway")
        assert page.status_code == 200 and "Walk the gangway" in page.text
        assert "Walk the gangway" in habits(api)

    def test_the_page_shows_the_habits_in_a_browser(self, stack: Stack, browser: Browser) -> None:
        def shows(page: Page) -> None:
            page.wait_for_selector("li .name:text-is('Write to a friend')")

        kept = browsers.look(browser, stack.urls["app"], "app", shows)
        assert [path.name for path in kept] == ["app-390.png", "app-1280.png"]
        with browsers.visit(browser, stack.urls["app"]) as found:
            habit = found.page.locator("li", has_text="Write to a friend")
            browsers.submit(found, habit.get_by_role("button", name="Check in").click)
            habit.locator(".streak:text-is('1 day')").wait_for()
            assert habit.get_by_role("button", name="Done today").is_disabled()
            assert found.faults == []

    def test_the_examples_are_there(self, api: httpx.Client) -> None:
        assert "Write to a friend" in habits(api)

    def test_everything_that_the_api_needs_is_ready(self, api: httpx.Client) -> None:
        assert api.get("/ready").json() == {"status": "ok", "postgres": "ok", "redis": "ok"}

    def test_the_published_data_stores_answer_on_this_machine(self, stack: Stack) -> None:
        port = int(stack.urls["redis"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(64).startswith(b"+PONG")


class TestEdits:
    def test_edits_of_the_api_are_served(self, stack: Stack, checkout: Checkout) -> None:
        for number in EDITS:
            with checkout.edited(
                "apps/api/api/main.py", 'title="Gangway habits"', f'title="Edit {number}"'
            ):
                eventually(
                    lambda: serves(f"{stack.urls['api']}/openapi.json", f"Edit {number}"),  # noqa: B023
                    within=SAVED_TO_SERVED,
                )
        eventually(
            lambda: serves(f"{stack.urls['api']}/openapi.json", "Gangway habits"),
            within=SAVED_TO_SERVED,
        )

    def test_edits_of_the_app_are_served(self, stack: Stack, checkout: Checkout) -> None:
        template = "apps/app/web/templates/habits.html"
        for number in EDITS:
            with checkout.edited(template, "<h1>Habits</h1>", f"<h1>Edit {number}</h1>"):
                eventually(
                    lambda: serves(stack.urls["app"], f"<h1>Edit {number}</h1>"),  # noqa: B023
                    within=SAVED_TO_SERVED,
                )
        code, health = "apps/app/web/main.py", f"{stack.urls['app']}/health"
        for number in EDITS:
            status = f'{{"status": "edit {number}", **about'
            with checkout.edited(code, '{"status": "ok", **about', status):
                eventually(lambda: serves(health, f"edit {number}"), within=SAVED_TO_SERVED)  # noqa: B023
        eventually(lambda: serves(health, '"ok"'), within=SAVED_TO_SERVED)

    def test_edits_restart_the_scheduler(self, checkout: Checkout) -> None:
        file, old = "apps/scheduler/scheduler/__main__.py", 'log.info("started")'
        for number in EDITS:
            with checkout.edited(file, old, f'log.info("started by edit {number}")'):
                eventually(
                    lambda: (
                        f"started by edit {number}"  # noqa: B023
                        in checkout.succeed("dev.logs", "scheduler", "--tail", "20").stdout
                    ),
                    within=SAVED_TO_SERVED,
                )

    def test_a_syntax_error_shows_in_the_logs_and_the_next_save_mends_it(
        self, stack: Stack, checkout: Checkout
    ) -> None:
        url = f"{stack.urls['api']}/health"
        with checkout.edited("apps/api/api/main.py", "probes = APIRouter()", "probes = APIRouter("):
            eventually(
                lambda: "SyntaxError" in checkout.succeed("dev.logs", "api", "--tail", "30").stdout,
                within=SAVED_TO_SERVED,
            )
            answer = httpx.get(url, trust_env=False, timeout=5)
            assert answer.status_code == 503 and "log" in answer.text
        eventually(lambda: serves(url, "ok"), within=SAVED_TO_SERVED)
        eventually(
            lambda: all(
                found["State"]["Health"]["Status"] == "healthy"
                for found in checkout.containers("dev", "api")
            ),
            within=30,
        )


class TestMigrations:
    def test_a_new_migration_is_the_user_s_own_and_goes_up_and_down(
        self, checkout: Checkout
    ) -> None:
        models, versions = "apps/api/api/models.py", checkout.root / "apps/api/migrations/versions"
        before = set(versions.glob("*.py"))
        text = (checkout.root / models).read_text(encoding="utf-8")
        column = re.search(r"(?m)^    name: Mapped\[str\].*$", text)
        assert column, text
        new = f"{column[0]}\n    why: Mapped[str | None]"
        with checkout.edited(models, column[0], new):
            checkout.succeed("dev.makemigration", "-m", 'say "why" it\'s done')
            (made,) = set(versions.glob("*.py")) - before
            try:
                assert (made.stat().st_uid, made.stat().st_gid) == (
                    checkout.user.uid,
                    checkout.user.gid,
                )
                assert "add_column" in made.read_text(encoding="utf-8")
                assert 'say "why" it\'s done' in made.read_text(encoding="utf-8")
                assert columns(checkout, "why") == "0"
                checkout.succeed("dev.migrate")
                assert columns(checkout, "why") == "1"
                assert re.search(r"\(head\) \(current\)", checkout.succeed("dev.history").stdout)
                checkout.succeed("dev.downgrade")
                assert columns(checkout, "why") == "0"
            finally:
                made.unlink()

    def test_seeding_twice_changes_nothing(self, checkout: Checkout) -> None:
        checkout.succeed("dev.seed")
        dump = "select name, day from habits left join checkins on id = habit_id order by 1, 2"
        before = checkout.sql("dev", dump)
        checkout.succeed("dev.seed")
        assert checkout.sql("dev", dump) == before != ""


def columns(checkout: Checkout, name: str) -> str:
    return checkout.sql(
        "dev", f"select count(*) from information_schema.columns where column_name = '{name}'"
    )


class TestTasks:
    AWKWARD = ("a b", "it's", '"quoted"', "$HOME", "*", "", "--flag", "back\\slash", "ünï")

    def test_arguments_reach_exec_untouched(self, checkout: Checkout) -> None:
        done = checkout.succeed("dev.exec", "api", "--", "printf", "<%s>\\n", *self.AWKWARD)
        assert done.stdout.splitlines() == [f"<{word}>" for word in self.AWKWARD]

    def test_arguments_reach_run_untouched(self, checkout: Checkout) -> None:
        program = "import json, sys; print(json.dumps(sys.argv[1:]))"
        done = checkout.succeed("dev.run", "api", "--", "python", "-c", program, *self.AWKWARD)
        assert json.loads(done.stdout) == list(self.AWKWARD)
        assert not [
            found["Name"]
            for found in checkout.containers("dev")
            if found["Config"]["Labels"]["com.docker.compose.oneoff"] == "True"
        ]

    @pytest.mark.parametrize("task", ["exec", "run"])
    def test_the_inner_command_s_status_is_the_task_s(self, checkout: Checkout, task: str) -> None:
        assert checkout.invoke(f"dev.{task}", "api", "--", "sh", "-c", "exit 7").status == 7

    def test_psql_and_redis_take_commands(self, checkout: Checkout) -> None:
        assert checkout.succeed("dev.psql", "--", "-Atc", "select 6 * 7").stdout == "42\n"
        assert checkout.succeed("dev.redis", "--", "ping").stdout == "PONG\n"

    def test_psql_takes_a_script_from_standard_input(self, checkout: Checkout) -> None:
        done = checkout.succeed("dev.psql", "--", "-At", stdin="select 'piped';\n")
        assert done.stdout == "piped\n"

    def test_a_shell_takes_commands_from_standard_input(self, checkout: Checkout) -> None:
        done = checkout.succeed("dev.shell", stdin="id -u\npwd\n")
        assert done.stdout.split() == [str(checkout.user.uid), "/srv/app"]

    def test_logs_are_of_the_service_that_was_asked_for(self, checkout: Checkout) -> None:
        lines = checkout.succeed("dev.logs", "app", "--tail", "2").stdout.splitlines()
        assert 0 < len(lines) <= 2
        assert all(line.startswith("app-1  | ") for line in lines), lines

    def test_ps_and_stats_name_every_container(self, checkout: Checkout) -> None:
        shown = checkout.succeed("dev.ps").stdout
        assert all(f"{service}-1" in shown for service in SERVICES)
        assert "api-1" in checkout.succeed("dev.stats").stdout

    def test_restart_is_of_the_named_service_alone(self, checkout: Checkout) -> None:
        before = checkout.ids("dev")
        checkout.succeed("dev.restart", "app")
        after = checkout.ids("dev")
        changed = {key.split()[0] for key in before if after.get(key) != before[key]}
        assert changed == {"app"}

    def test_env_masks_secrets_and_names_each_origin(self, checkout: Checkout) -> None:
        rows = {line.split()[0]: line for line in checkout.succeed("dev.env").stdout.splitlines()}
        assert "only-for-development" not in "".join(rows.values())
        assert "SECRET_KEY" not in rows and rows["SECRETS_DIR"].split()[1] == "./secrets/dev"
        assert re.search(r"env/dev\.env:\d+$", rows["POSTGRES_DB"])
        assert re.search(r"\.gangway/dev\.env:\d+$", rows["PUBLISHED_API_PORT"])
        assert rows["LOG_LEVEL"].split()[1] == "debug"

    def test_the_printed_command_does_the_same_when_pasted(self, checkout: Checkout) -> None:
        printed = checkout.succeed("dev.config", "--dry-run").stdout.strip()
        assert printed.startswith("docker compose ")
        pasted = checkout.run("sh", "-c", printed)
        assert pasted.status == 0, pasted.text
        assert pasted.stdout == checkout.succeed("dev.config").stdout
        from_below = checkout.succeed("dev.config", "--dry-run", cwd=checkout.root / "apps/api")
        pasted = checkout.run("sh", "-c", from_below.stdout, cwd=checkout.root / "apps/api")
        assert pasted.stdout == checkout.succeed("dev.config").stdout

    def test_a_dry_run_of_up_runs_nothing(self, checkout: Checkout) -> None:
        before = checkout.ids("dev")
        done = checkout.succeed("dev.up", "--dry-run", "-e", "LOG_LEVEL=info")
        assert shlex.split(done.stdout)[:3] == ["LOG_LEVEL=info", "docker", "compose"]
        assert checkout.ids("dev") == before


class TestPersonalFiles:
    def test_the_override_file_and_local_env_are_read(self, checkout: Checkout) -> None:
        override = checkout.write(
            "docker-compose.override.yml",
            "services: {scheduler: {environment: {PERSONAL: from the override}}}\n",
        )
        local = checkout.write("env/local.env", "LOG_LEVEL=warning\n")
        try:
            checkout.succeed("dev.up")
            words = ("printenv", "PERSONAL", "LOG_LEVEL")
            done = checkout.succeed("dev.exec", "scheduler", "--", *words)
            assert done.stdout.splitlines() == ["from the override", "warning"]
            assert re.search(
                r"(?m)^LOG_LEVEL +warning +env/local\.env:1$", checkout.succeed("dev.env").stdout
            )
        finally:
            override.unlink()
            local.unlink()
        checkout.succeed("dev.up")
        assert checkout.invoke("dev.exec", "scheduler", "--", "printenv", "PERSONAL").status == 1


class TestPlainCheckout:
    @pytest.fixture
    def plain(self, make_checkout: MakeCheckout) -> Checkout:
        """A checkout of the containers' own user, without settings of its own."""
        user = myself()
        if os.getuid() == 0:
            found = ordinary()
            user = User(1000, 1000, found.groups, found.python, found.environ)
        elif (os.getuid(), os.getgid()) != (1000, 1000):
            pytest.skip("only the user 1000:1000 has a plain checkout")
        names = ("GANGWAY_IMAGES", "BUILD_CA_BUNDLE", "PIP_CERT", "SSL_CERT_FILE")
        cleared = dict.fromkeys((*names, "REQUESTS_CA_BUNDLE"), UNSET)
        return make_checkout("plain", user, **cleared)

    @pytest.mark.parametrize("environment", ["dev", "test", "prod", "staging"])
    def test_the_environment_file_alone_gives_what_the_task_runs(
        self, plain: Checkout, environment: str
    ) -> None:
        task = plain.succeed(f"{environment}.config")
        alone = plain.run("docker", "compose", "--env-file", f"env/{environment}.env", "config")
        assert alone.status == 0, alone.text
        assert task.stdout == alone.stdout
        assert task.stdout.startswith(f"name: {plain.prefix}-{environment}\n")

    def test_the_image_source_adds_images_and_nothing_else(self, plain: Checkout) -> None:
        def model(*flags: str) -> dict[str, Any]:
            done = plain.succeed("dev.config", *flags, "--", "--format", "json")
            found: dict[str, Any] = json.loads(done.stdout)
            return found

        registry, offline = model(), model("--images", "offline")
        changed = set(differences(registry, offline))
        assert changed
        assert all(path[-1] in ("image", "PYTHON_IMAGE", "NODE_IMAGE") for path in changed), changed


def differences(one: Any, other: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of everything in which two models differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from differences(one.get(key), other.get(key), (*path, key))
    elif one != other:
        yield path


class TestSecondCheckout:
    def test_two_checkouts_run_side_by_side(
        self, stack: Stack, make_checkout: MakeCheckout, checkout: Checkout
    ) -> None:
        second = make_checkout("second")
        up = second.succeed("dev.up", "--ports", "auto")
        try:
            assert second.project("dev") != checkout.project("dev")
            assert str(checkout.root) in up.stderr
            urls = second.urls("dev")
            assert not set(urls.values()) & set(stack.urls.values())
            for name in ("api", "app"):
                assert serves(f"{urls[name]}/health", "ok")
                assert serves(f"{stack.urls[name]}/health", "ok")
            second.sql("dev", "delete from habits")
            assert count_habits(checkout) != "0"
        finally:
            second.succeed("dev.down", "--volumes", "--yes")
        assert second.leftovers("dev") == []
        assert serves(f"{stack.urls['api']}/health", "ok")


class TestData:
    """Last: these take the stack down."""

    def test_no_file_in_the_checkout_is_anybody_else_s(self, checkout: Checkout) -> None:
        if checkout.user.uid == 0:
            pytest.skip("there is no ordinary user here who can run Python")
        assert foreign(checkout.root, checkout.user.uid) == []

    def test_reset_begins_again_with_the_examples(
        self, checkout: Checkout, api: httpx.Client
    ) -> None:
        api.post("/habits", json={"name": "Forget me"}).raise_for_status()
        assert one_message(checkout.invoke("dev.reset")).startswith("error: this deletes the data")
        assert "Forget me" in habits(api)
        checkout.succeed("dev.reset", "--yes")
        found = habits(api)
        assert "Forget me" not in found and "Write to a friend" in found

    def test_down_keeps_the_data(self, checkout: Checkout, api: httpx.Client) -> None:
        api.post("/habits", json={"name": "Keep me"}).raise_for_status()
        checkout.succeed("dev.down")
        left = checkout.leftovers("dev")
        assert left == checkout.volumes("dev", "api-scratch", "app-scratch", "postgres-data")
        checkout.succeed("dev.up")
        assert "Keep me" in habits(api)

    def test_down_with_volumes_asks_first(self, checkout: Checkout) -> None:
        volume = f"{checkout.project('dev')}_postgres-data"
        before = checkout.ids("dev")
        message = one_message(checkout.invoke("dev.down", "--volumes"))
        assert volume in message and "--yes" in message
        assert checkout.ids("dev") == before
        checkout.succeed("dev.down", "--volumes", "--yes")
        assert checkout.leftovers("dev") == []

    def test_once_the_data_is_gone_another_checkout_may_have_the_name(
        self, checkout: Checkout, make_checkout: MakeCheckout
    ) -> None:
        checkout.succeed("dev.down", "--volumes", "--yes")
        other = make_checkout("other")
        other.succeed("dev.up", "redis", "--ports", "auto")
        try:
            up = checkout.succeed("dev.up", "redis", "--ports", "auto")
            assert str(other.root) in up.stderr
            assert checkout.project("dev") != other.project("dev") == f"{other.prefix}-dev"
        finally:
            other.succeed("dev.down", "--volumes", "--yes")
            checkout.succeed("dev.down", "--volumes", "--yes")


def foreign(top: Path, uid: int) -> list[str]:
    """Return the files and folders that belong to another user."""
    return sorted(str(path) for path in [top, *top.rglob("*")] if path.lstat().st_uid != uid)
