"""Django by itself, against the real PostgreSQL and Redis."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.logs import JsonFormatter

APP = Path(__file__).parents[1]


def test_the_page_adds_a_habit_and_shows_it(page: httpx.Client) -> None:
    token = page.get("/").text.partition('csrfmiddlewaretoken" value="')[2].partition('"')[0]
    answer = page.post("/", data={"csrfmiddlewaretoken": token, "name": "Run <fast>"})
    assert answer.status_code == 302
    assert "Run &lt;fast&gt;" in page.get("/").text


def test_a_form_without_its_token_is_refused(page: httpx.Client) -> None:
    assert page.post("/", data={"name": "Run"}).status_code == 403


def test_the_page_says_why_a_name_is_refused(page: httpx.Client) -> None:
    token = page.get("/").text.partition('csrfmiddlewaretoken" value="')[2].partition('"')[0]
    answer = page.post("/", data={"csrfmiddlewaretoken": token, "name": "x" * 101})
    assert answer.status_code == 400 and "1 to 100 characters" in answer.text


def test_a_body_that_is_no_object_is_refused(page: httpx.Client) -> None:
    assert page.post("/habits", content=b"{").status_code == 400
    assert page.post("/habits", content=b"[]").status_code == 422
    assert page.post("/habits", content=b"[" * 100_000).status_code == 400


def test_a_second_check_in_changes_nothing(page: httpx.Client) -> None:
    habit = page.post("/habits", json={"name": "Read"}).json()["id"]
    answers = [page.post(f"/habits/{habit}/checkins") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
def test_cookies_are_for_https_alone_where_the_page_came_so(
    page: httpx.Client, scheme: str, secure: bool
) -> None:
    cookie = page.get(f"{scheme}://django/").headers["Set-Cookie"]
    assert ("Secure" in cookie) is secure


def test_the_log_names_the_request_that_is_answered(page: httpx.Client, caplog: Any) -> None:
    caplog.handler.setFormatter(JsonFormatter())
    for said in ("a-1._Z", '"},{"'):
        page.get("/nothing", headers={"X-Request-ID": said})
    first, second = (json.loads(line) for line in caplog.text.splitlines())
    assert first["request_id"] == "a-1._Z" and "request_id" not in second


@pytest.mark.parametrize("number", ["1", "999999999999999999999"])
def test_a_habit_that_is_not_there_is_a_404(page: httpx.Client, number: str) -> None:
    assert page.get(f"/habits/{number}").status_code == 404


def test_health_asks_nobody_and_ready_asks_all(page: httpx.Client) -> None:
    assert page.get("/health").json()["status"] == "ok"
    found = page.get("/ready").json()
    assert {found[name] for name in ("postgres", "redis", "qdrant")} == {"ok"}


def test_without_a_secret_key_there_is_one_line_and_status_2() -> None:
    kept = {"SECRET_KEY", "SECRET_KEY_FILE"}
    environ = {name: value for name, value in os.environ.items() if name not in kept}
    environ["PYTHONPATH"] = "../api"
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=APP, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "hybrid: SECRET_KEY is not set, nor is SECRET_KEY_FILE\n"


def test_django_agrees_with_the_tables_that_alembic_made(page: httpx.Client) -> None:
    from hybrid.models import Checkin, Habit

    habit = Habit.objects.create(name="Read")
    Checkin.objects.create(habit=habit, day="2026-01-31")
    assert Checkin.objects.get(pk=(habit.pk, "2026-01-31")).habit == habit
    assert Habit.objects.get().created_at is not None
