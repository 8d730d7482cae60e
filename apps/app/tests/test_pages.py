"""What users see."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import gethostname
from typing import Any, ClassVar

import pytest
from flask.testing import FlaskClient

from web.logs import JsonFormatter
from web.settings import load

Serve = Callable[..., FlaskClient]


class Overloaded(BaseHTTPRequestHandler):
    """An API that is there, but cannot serve."""

    asked: ClassVar[list[Any]] = []

    def do_GET(self) -> None:
        self.asked.append(self.headers)
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
        pass


@pytest.fixture
def overloaded() -> Iterator[tuple[str, list[Any]]]:
    """An address there, and the headers of what it was asked."""
    Overloaded.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Overloaded) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", Overloaded.asked
        server.shutdown()


def test_a_habit_is_added_kept_and_deleted_with_forms_alone(browser: Any) -> None:
    assert "No habits yet" in browser.page()
    answer = browser.send("/habits", name="Read")
    assert (answer.status_code, answer.location) == (303, "/")
    assert "Read" in browser.page() and "0 days" in browser.page()
    assert browser.send(browser.form("checkins")).status_code == 303
    assert "1 day<" in browser.page() and "Done today" in browser.page()
    assert browser.send(browser.form("delete")).status_code == 303
    assert "No habits yet" in browser.page()


def test_a_name_is_text_not_markup(browser: Any) -> None:
    browser.send("/habits", name="<script>alert(1)</script>")
    assert "<script>" not in browser.page()
    assert "&lt;script&gt;alert(1)" in browser.page()


@pytest.mark.parametrize(("name", "reason"), [("Read", "already"), ("  ", "at least 1")])
def test_the_reason_of_a_refusal_is_shown_once(browser: Any, name: str, reason: str) -> None:
    browser.send("/habits", name="Read")
    assert browser.send("/habits", name=name).status_code == 303
    assert reason in browser.page()
    assert reason not in browser.page()


@pytest.mark.parametrize("path", ["/habits", "/habits/1/checkins", "/habits/1/delete"])
def test_a_form_from_elsewhere_changes_nothing(browser: Any, database: Any, path: str) -> None:
    database.execute("INSERT INTO habits (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'Read')")
    for token in ({}, {"csrf_token": "made up"}):
        answer = browser.client.post(path, data={"name": "Walk", **token})
        assert answer.status_code == 400
        assert "no longer valid" in answer.text
    assert database.rows("SELECT name FROM habits") == [("Read",)]
    assert database.value("SELECT count(*) FROM checkins") == 0


@pytest.mark.parametrize("path", ["/", "/ready"])
def test_an_api_that_is_not_there_is_said_clearly(serve: Serve, path: str) -> None:
    answer = serve(api_url="http://127.0.0.1:1").get(path)
    assert answer.status_code == (502 if path == "/" else 503)
    assert "Back in a moment" in answer.text or answer.json == {
        "status": "unavailable",
        "api": "the API is away (502)",
    }


def test_an_api_that_cannot_serve_is_a_503(serve: Serve, overloaded: tuple[str, list[Any]]) -> None:
    answer = serve(api_url=overloaded[0]).get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "Back in a moment" in answer.text


def test_health_asks_nobody_and_ready_asks_the_api(serve: Serve) -> None:
    answer = serve(api_url="http://127.0.0.1:1").get("/health")
    assert answer.json == {"status": "ok", "instance": gethostname()}
    assert serve().get("/ready").json == {"status": "ok", "api": "ok"}


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_users_are_not_told_what_the_containers_are_called(serve: Serve, environment: str) -> None:
    client = serve(environment=environment)
    answer = client.get("/health")
    assert answer.json == {"status": "ok"}
    assert "X-Instance" not in answer.headers and "X-Instance" not in client.get("/nope").headers


def test_the_log_and_the_api_are_told_the_request_s_id(
    serve: Serve, overloaded: tuple[str, list[Any]], caplog: Any
) -> None:
    url, asked = overloaded
    caplog.handler.setFormatter(JsonFormatter())
    serve(api_url=url).get("/", headers={"X-Request-ID": "a-1._Z"})
    serve(api_url=url).get("/", headers={"X-Request-ID": '"},{"'})
    first, second = (json.loads(line) for line in caplog.text.splitlines())
    assert first["request_id"] == "a-1._Z" and "request_id" not in second
    assert [headers.get("X-Request-ID") for headers in asked] == ["a-1._Z", None]


@pytest.mark.parametrize("path", ["/", "/health", "/nothing"])
def test_every_response_names_its_instance(serve: Serve, path: str) -> None:
    assert serve().get(path).headers["X-Instance"] == gethostname()


@pytest.mark.parametrize("environment", ["production", "test"])
def test_cookies_are_for_https_alone_where_the_page_came_so(serve: Serve, environment: str) -> None:
    cookie = serve(environment=environment).get("/", base_url="https://x").headers["Set-Cookie"]
    assert "Secure" in cookie and "HttpOnly" in cookie and "SameSite=Lax" in cookie
    # Whom to believe about that is the server's matter, and no app's.
    client = serve(environment=environment)
    cookie = client.get("/", headers={"X-Forwarded-Proto": "https"}).headers["Set-Cookie"]
    assert "Secure" not in cookie


@pytest.mark.parametrize(
    ("env", "names"),
    [
        ({}, "SECRET_KEY"),
        ({"SECRET_KEY": "x", "SECRET_KEY_FILE": "/x"}, "SECRET_KEY_FILE"),
        ({"SECRET_KEY_FILE": "/nowhere"}, "SECRET_KEY_FILE=/nowhere"),
        ({"SECRET_KEY": "x", "API_URL": "api:8000"}, "API_URL=api:8000"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line_and_status_2(
    env: dict[str, str], names: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        load(env)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert names in message and message.count("\n") == 1


def test_the_secret_key_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("a key\n")
    assert load({"SECRET_KEY_FILE": str(file)}).secret_key == "a key"


def test_a_form_and_a_session_of_the_previous_key_are_good(tmp_path: Path) -> None:
    from flask import session
    from flask_wtf.csrf import generate_csrf, validate_csrf  # type: ignore[import-untyped]

    from web.main import create_app

    (tmp_path / "previous").write_text("one\n")
    before = create_app(load({"SECRET_KEY": "one"}))
    previous = {"SECRET_KEY_PREVIOUS_FILE": str(tmp_path / "previous")}
    after = create_app(load({"SECRET_KEY": "two", **previous}))
    sessions = before.session_interface
    with before.test_request_context() as context:
        token = generate_csrf()
        signer = sessions.get_signing_serializer(before)  # type: ignore[attr-defined]
        cookie = signer.dumps(dict(context.session or session))
    with after.test_request_context(headers={"Cookie": f"session={cookie}"}):
        validate_csrf(token)
    with after.test_request_context():
        new = generate_csrf()
    stranger = create_app(load({"SECRET_KEY": "two"}))
    with stranger.test_request_context(headers={"Cookie": f"session={cookie}"}):
        assert not session
    assert new != token


@pytest.mark.parametrize(
    ("environment", "form", "as_json"),
    [
        ("production", "", True),
        ("staging", "text", False),
        ("development", "", False),
        ("test", "json", True),
    ],
)
def test_log_format_says_how_it_logs_and_the_environment_where_it_is_silent(
    environment: str, form: str, as_json: bool
) -> None:
    env = {"ENVIRONMENT": environment, "LOG_FORMAT": form, "SECRET_KEY": "x"}
    assert load(env).json_logs is as_json
