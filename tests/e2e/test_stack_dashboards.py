"""FastAPI and Dash on one database: edited, tested, shipped, staged, and without containers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.e2e import browser as browsers
from tests.e2e import production
from tests.e2e.conftest import MakeCheckout, MakeNative
from tests.e2e.support import Checkout, docker, eventually, get, myself, web

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

STACK = ("--stack", "dashboards")
SERVICES = {"api", "dashboard", "migrate", "nginx", "postgres", "redis"}
#: What the example rows' habits are called.
SEEDED = ("Drink a glass of water", "Read ten pages")
FIELDS = {"time", "level", "logger", "message"}


def plots_are_drawn(page: Page, *habits: str) -> None:
    """Wait until all three plots have been drawn, and each habit is named."""
    for plot, marks in {
        "checkins": ".barlayer path",
        "streaks": ".scatterlayer path.js-line",
        "records": ".barlayer path",
    }.items():
        page.wait_for_selector(f"#{plot} {marks}", state="attached")
        drawn = page.locator(f"#{plot} {marks}").evaluate_all(
            "paths => paths.filter(path => (path.getAttribute('d') || '').length > 10).length"
        )
        assert drawn, f"nothing is drawn in {plot}"
    for habit in habits:
        page.wait_for_selector(f"#checkins .legend text:text-is('{habit}')", state="attached")
        assert page.locator("#records").get_by_text(habit).count() == 1
    page.wait_for_selector(".tile strong")


def add(api: httpx.Client, name: str, days: int, path: str = "") -> int:
    """Add a habit that was kept on each of the last days; return its number."""
    habit = int(api.post(f"{path}/habits", json={"name": name}).raise_for_status().json()["id"])
    for ago in range(days):
        day = (datetime.now(UTC).date() - timedelta(days=ago)).isoformat()
        api.post(f"{path}/habits/{habit}/checkins", json={"day": day}).raise_for_status()
    return habit


def fill(url: str) -> dict[str, Any]:
    """Return what the dashboard fills its page with, asked for as a browser does."""
    with web(url) as client:
        (callback,) = client.get("/_dash-dependencies").json()
        values = {"habits": None, "period": 14, "tick": 0}
        names = [part.rpartition(".") for part in callback["output"].strip(".").split("...")]
        answer = client.post(
            "/_dash-update-component",
            json={
                "output": callback["output"],
                "outputs": [{"id": name, "property": kind} for name, _, kind in names],
                "inputs": [{**each, "value": values[each["id"]]} for each in callback["inputs"]],
                "changedPropIds": [],
            },
        )
        found: dict[str, Any] = answer.raise_for_status().json()["response"]
        return found


def shown(url: str) -> set[str]:
    """Return the habits that the dashboard shows; none while the database is away."""
    return {option["label"] for option in fill(url).get("habits", {}).get("options", ())}


@pytest.fixture(scope="class")
def dev(make_checkout: MakeCheckout) -> Iterator[Checkout]:
    checkout = make_checkout(GANGWAY_STACK="dashboards")
    checkout.succeed("dev.up", "--ports", "auto")
    yield checkout
    checkout.succeed("dev.down", "--volumes", "--yes")


@pytest.fixture(scope="class")
def urls(dev: Checkout) -> dict[str, str]:
    return dev.urls("dev")


class TestDevelopment:
    def test_it_runs_what_the_stack_names(self, dev: Checkout, urls: dict[str, str]) -> None:
        assert set(urls) == {"api", "dashboard", "postgres", "redis"}
        running = {name.split()[0] for name in dev.ids("dev")}
        assert running == {"api", "dashboard", "postgres", "redis"}

    def test_the_page_shows_the_habits_in_a_browser(
        self, urls: dict[str, str], browser: Browser
    ) -> None:
        kept = browsers.look(
            browser,
            urls["dashboard"],
            "dashboard-dev",
            lambda page: plots_are_drawn(page, *SEEDED),
        )
        assert [path.name for path in kept] == ["dashboard-dev-390.png", "dashboard-dev-1280.png"]

    def test_the_filter_and_the_period_change_the_plots(
        self, urls: dict[str, str], browser: Browser
    ) -> None:
        with browsers.visit(browser, urls["dashboard"]) as found:
            page = found.page
            plots_are_drawn(page, *SEEDED)
            page.get_by_label("2 weeks").check()
            page.wait_for_function(
                "document.querySelectorAll('#streaks .trace:first-of-type .point').length == 14"
            )
            page.locator("#habits").click()
            page.get_by_role("option", name=SEEDED[0]).click()
            page.wait_for_selector(
                f"#checkins .legend text:text-is('{SEEDED[1]}')", state="detached"
            )
            page.keyboard.press("Escape")
            assert found.faults == []
            found.keep("dashboard-filtered")

    def test_what_the_api_is_told_is_shown_within_the_cache_s_seconds(
        self, urls: dict[str, str]
    ) -> None:
        with web(urls["api"]) as api:
            add(api, "Seen at once", 2)
        eventually(lambda: "Seen at once" in shown(urls["dashboard"]), within=8)

    def test_an_edit_is_served(self, dev: Checkout, urls: dict[str, str]) -> None:
        title = "Check-ins per day"
        layout = f"{urls['dashboard']}/_dash-layout"
        assert title in httpx.get(layout, trust_env=False).text
        with dev.edited("apps/dashboard/dashboard/page.py", title, "Served after the edit"):
            begun = time.monotonic()
            eventually(lambda: "Served after the edit" in text(layout), within=15)
            print(f"an edit is served after {time.monotonic() - begun:.2f} s")
        eventually(lambda: title in text(layout), within=15)

    def test_a_database_that_goes_away_and_comes_back_is_survived(
        self, dev: Checkout, urls: dict[str, str]
    ) -> None:
        before = dev.ids("dev")
        with without_postgres(dev, urls):
            health = get(f"{urls['dashboard']}/health")
            assert health is not None and health.status_code == 200
        after = dev.ids("dev")
        assert {key for key in after if key.startswith("dashboard ")} <= set(before)
        assert {after[key] for key in after if "dashboard" in key} <= set(before.values())

    def test_who_looks_while_the_database_is_away_is_told_and_keeps_what_was_shown(
        self, dev: Checkout, urls: dict[str, str], browser: Browser
    ) -> None:
        with browsers.visit(browser, urls["dashboard"]) as found:
            plots_are_drawn(found.page, *SEEDED)
            with without_postgres(dev, urls):
                found.page.wait_for_selector("#message:not([hidden])")
                plots_are_drawn(found.page, *SEEDED)
                found.keep("dashboard-away")
            found.page.wait_for_selector("#message", state="hidden")
            assert found.faults == []

    def test_redis_that_goes_away_costs_nothing_but_time(
        self, dev: Checkout, urls: dict[str, str]
    ) -> None:
        (redis,) = dev.containers("dev", "redis")
        docker("stop", "--time", "1", redis["Id"])
        try:
            with web(urls["api"]) as api:
                add(api, "Without Redis", 1)
            assert "Without Redis" in shown(urls["dashboard"])
            assert ready(urls) == 200
        finally:
            docker("start", redis["Id"])


@contextmanager
def without_postgres(dev: Checkout, urls: dict[str, str]) -> Iterator[None]:
    """Stop the database for the block; the dashboard knows of its end before, and of its start."""
    (postgres,) = dev.containers("dev", "postgres")
    docker("stop", "--time", "1", postgres["Id"])
    try:
        eventually(lambda: ready(urls) == 503, within=20)
        yield
    finally:
        docker("start", postgres["Id"])
    eventually(lambda: ready(urls) == 200, within=30)


def text(url: str) -> str:
    answer = get(url)
    return answer.text if answer is not None and answer.status_code == 200 else ""


def ready(urls: dict[str, str]) -> int:
    answer = get(f"{urls['dashboard']}/ready")
    return 0 if answer is None else answer.status_code


def test_its_tests_run_in_a_throw_away_stack(make_checkout: MakeCheckout) -> None:
    checkout = make_checkout()
    done = checkout.succeed("test.run", *STACK, "apps/dashboard/tests", timeout=290)
    assert re.search(r"\d{2} passed", done.stdout), done.text
    assert "failed" not in done.stdout and "skipped" not in done.stdout, done.text
    assert checkout.leftovers("test") == []


@dataclass(frozen=True)
class Live:
    """A production-like environment that runs."""

    checkout: Checkout
    url: str


@pytest.fixture(scope="class")
def checkout(make_checkout: MakeCheckout) -> Checkout:
    return make_checkout(GANGWAY_STACK="dashboards")


@pytest.fixture(scope="class")
def prod(checkout: Checkout) -> Iterator[Live]:
    with live(checkout, "prod") as found:
        yield found


@pytest.fixture(scope="class")
def staging(checkout: Checkout, prod: Live) -> Iterator[Live]:
    with live(checkout, "staging") as found:
        yield found


class TestProduction:
    def test_the_containers_are_held_to_production_s_rules(self, prod: Live) -> None:
        found = production.by_service(prod.checkout, "prod")
        assert set(found) == SERVICES
        assert [fault for name in found for fault in production.faults(name, found[name])] == []
        secrets = production.read_secrets(prod.checkout, "prod")
        # A probe of Redis has its password in its environment for the moment that it takes.
        eventually(
            lambda: not production.exposures(prod.checkout, "prod", secrets), what="no secret seen"
        )

    def test_nothing_can_be_written_but_what_is_in_memory(self, prod: Live) -> None:
        script = "touch /srv/app/x /opt/venv/x /x 2>/dev/null; touch /tmp/x && id -u"
        done = prod.checkout.invoke("prod.exec", "dashboard", "--", "sh", "-c", script)
        assert done.status == 0 and done.stdout.strip() not in ("", "0"), done.text
        listed = prod.checkout.succeed(
            "prod.exec", "dashboard", "--", "sh", "-c", "ls -d /srv/app/x /opt/venv/x /x || true"
        )
        assert listed.stdout.strip() == ""

    def test_the_proxy_serves_the_dashboard_and_the_api(self, prod: Live) -> None:
        with web(prod.url) as client:
            add(client, "Shipped", 3, "/api")
            page = client.get("/")
        assert page.status_code == 200 and "<title>Habits</title>" in page.text
        eventually(lambda: "Shipped" in shown(prod.url), within=8)

    def test_its_plots_are_drawn_behind_the_proxy(self, prod: Live, browser: Browser) -> None:
        with web(prod.url) as client:
            add(client, "Drawn", 3, "/api")
        eventually(lambda: "Drawn" in shown(prod.url), within=8)
        browsers.look(
            browser, prod.url, "dashboard-prod", lambda page: plots_are_drawn(page, "Drawn")
        )

    def test_its_scripts_are_compressed_on_the_way_and_kept_by_the_browser(
        self, prod: Live
    ) -> None:
        with web(prod.url) as client:
            page = client.get("/").text
            (script,) = re.findall(r'src="([^"]*/dash_renderer\.[^"]*)"', page)
            plain = client.get(script, headers={"Accept-Encoding": "identity"})
            packed = client.get(script, headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip" and packed.text == plain.text
        assert packed.num_bytes_downloaded < len(plain.content) / 2
        assert "max-age=31536000" in packed.headers["Cache-Control"]

    def test_every_line_of_its_log_is_a_json_object(self, prod: Live) -> None:
        (record,) = prod.checkout.containers("prod", "dashboard")
        lines = [json.loads(line) for line in said(record["Id"]).splitlines()]
        assert all(set(line) >= FIELDS for line in lines)
        assert "gunicorn.error" in {line["logger"] for line in lines}

    def test_a_request_is_one_line_which_is_the_proxys(self, prod: Live) -> None:
        (proxy,) = prod.checkout.containers("prod", "nginx")
        (behind,) = prod.checkout.containers("prod", "dashboard")
        with web(prod.url) as client:
            assert client.get("/health", headers={"User-Agent": "a test"}).status_code == 200
        eventually(lambda: "a test" in said(proxy["Id"]), within=10)
        (line,) = [line for line in said(proxy["Id"]).splitlines() if "a test" in line]
        asked = json.loads(line)
        assert (asked["method"], asked["path"], asked["status"]) == ("GET", "/health", 200)
        assert re.fullmatch(r"[0-9.:]+", asked["client"])
        assert "a test" not in said(behind["Id"])

    def test_mistakes_in_the_environment_are_said_at_once_and_nothing_starts(
        self, prod: Live
    ) -> None:
        image = production.by_service(prod.checkout, "prod")["dashboard"]["Image"]
        wrong = {"LOG_LEVEL": "loud", "POSTGRES_PORT": "x", "REDIS_PORT": "0"}
        flags = [word for name, value in wrong.items() for word in ("-e", f"{name}={value}")]
        serve = ["-e", "APP_INTERFACE=wsgi", "-e", "APP_TARGET=dashboard.main:server"]
        done = docker(
            "run", "--rm", "--read-only", "-e", "ENVIRONMENT=production", *flags, *serve, image
        )
        assert done.status == 2, done.text
        assert "Traceback" not in done.text and "Starting gunicorn" not in done.text
        lines = done.stderr.splitlines()
        assert lines[0] == "dashboard: 4 mistakes in the environment:", done.text
        assert [line.split("=")[0].split(" is")[0].strip() for line in lines[1:5]] == [
            "LOG_LEVEL", "POSTGRES_PORT", "REDIS_PORT", "POSTGRES_PASSWORD",
        ]  # fmt: skip

    def test_staging_runs_beside_production(self, prod: Live, staging: Live) -> None:
        assert prod.url != staging.url
        with web(staging.url) as client:
            add(client, "Staged", 1, "/api")
        eventually(lambda: shown(staging.url) == {"Staged"}, within=8)
        assert "Staged" not in shown(prod.url)
        done = staging.checkout.succeed(
            "staging.exec", "dashboard", "--", "printenv", "ENVIRONMENT"
        )
        assert done.stdout == "staging\n"

    def test_it_scales(self, prod: Live) -> None:
        for replicas in (2, 1):
            prod.checkout.succeed("prod.scale", f"dashboard={replicas}")
            assert len(prod.checkout.containers("prod", "dashboard")) == replicas
            production.settled(prod.checkout, "prod", prod.url, "dashboard", "/health")


def test_it_is_scanned_and_what_was_not_scanned_is_said(make_checkout: MakeCheckout) -> None:
    """As the user whose `.venv` it is: another one may have no programs there."""
    checkout = make_checkout("scanned", myself(), GANGWAY_STACK="dashboards")
    done = checkout.invoke("prod.scan")
    assert done.status == 2, done.text
    assert "Traceback" not in done.text
    rows = {line.split()[0]: line for line in done.stdout.splitlines()[1:]}
    assert rows["hadolint"].endswith("clean"), done.text
    assert rows["compose-lint"].endswith("clean"), done.text
    assert {"pip-audit", "trivy"} <= set(rows)
    assert "apps/dashboard/poetry.lock" in done.stdout and "apps/app/" not in done.stdout
    checkout.write("docker/careless.Dockerfile", "FROM debian\nRUN sudo true\n")
    found = checkout.invoke("prod.scan")
    assert found.status == 1 and "docker/careless.Dockerfile:1: DL3006" in found.stderr, found.text


@contextmanager
def live(checkout: Checkout, environment: str) -> Iterator[Live]:
    checkout.succeed(f"{environment}.init")
    checkout.succeed(f"{environment}.up", "--ports", "auto")
    urls = checkout.urls(environment)
    assert set(urls) == {"nginx"}
    yield Live(checkout, urls["nginx"])
    checkout.succeed(f"{environment}.down", "--volumes", "--yes")
    assert checkout.leftovers(environment) == []


def said(container: str) -> str:
    """Return all that a container logged."""
    done = docker("logs", container)
    return done.stdout + done.stderr


class TestWithoutContainers:
    @pytest.fixture(scope="class")
    @classmethod
    def urls(cls, make_native: MakeNative) -> Iterator[dict[str, str]]:
        checkout = make_native("native", myself(), GANGWAY_STACK="dashboards")
        checkout.succeed("dev.up", "--ports", "auto", timeout=280)
        yield checkout.urls("dev")
        checkout.succeed("dev.down", "--volumes", "--yes")

    def test_the_stack_runs_as_local_processes(self, urls: dict[str, str]) -> None:
        assert set(urls) == {"api", "dashboard", "postgres", "redis"}
        assert set(SEEDED) <= shown(urls["dashboard"])

    def test_its_plots_are_drawn(self, urls: dict[str, str], browser: Browser) -> None:
        browsers.look(
            browser,
            urls["dashboard"],
            "dashboard-native",
            lambda page: plots_are_drawn(page, *SEEDED),
        )
