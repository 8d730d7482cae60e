"""What operators see of the API."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from api.main import create_app
from api.seed import HABITS, seed
from api.settings import Settings, load

Serve = Callable[[Settings], AbstractAsyncContextManager[AsyncClient]]
NOWHERE: dict[str, Any] = {"postgres_host": "127.0.0.1", "postgres_port": 1}


@pytest.mark.anyio
async def test_health_asks_no_dependency(settings: Settings) -> None:
    app = create_app(replace(settings, postgres_host="nowhere.invalid", redis_host=""))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://api") as client:
        answer = await client.get("/health")
    assert answer.json() == {"status": "ok", "instance": gethostname()}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("change", "postgres_ok", "redis_ok"),
    [({}, True, True), (NOWHERE, False, True), ({"redis_port": 1}, True, False)],
)
async def test_ready_names_what_is_away(
    settings: Settings, serve: Serve, change: dict[str, Any], postgres_ok: bool, redis_ok: bool
) -> None:
    async with serve(replace(settings, **change)) as client:
        answer = await client.get("/ready")
    assert answer.status_code == (200 if postgres_ok and redis_ok else 503)
    assert (answer.json()["postgres"] == "ok") is postgres_ok
    assert (answer.json()["redis"] == "ok") is redis_ok


@pytest.mark.anyio
async def test_without_its_database_the_api_says_so_and_stays(
    settings: Settings, serve: Serve
) -> None:
    async with serve(replace(settings, **NOWHERE)) as client:
        answer = await client.post("/habits", json={"name": "Read"})
        assert (answer.status_code, "away" in answer.json()["detail"]) == (503, True)
        assert (await client.get("/health")).status_code == 200


@pytest.mark.anyio
async def test_a_lost_connection_is_replaced(client: AsyncClient, database: Any) -> None:
    assert (await client.get("/summary")).status_code == 200
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND client_addr = inet_client_addr()"
    )
    assert (await client.get("/summary")).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/health", "/habits", "/nothing", "/habits/x"])
async def test_every_response_names_its_instance(client: AsyncClient, path: str) -> None:
    assert (await client.get(path)).headers["X-Instance"] == gethostname()


@pytest.mark.anyio
async def test_a_bug_is_a_500_that_tells_nothing(settings: Settings, serve: Serve) -> None:
    async with serve(settings) as client:
        client._transport.app.state.cache = None  # type: ignore[attr-defined]
        answer = await client.get("/habits")
    assert (answer.status_code, answer.json()) == (500, {"detail": "internal error"})
    assert answer.headers["X-Instance"] == gethostname()


@pytest.mark.anyio
@pytest.mark.parametrize("environment", ["production", "staging"])
async def test_the_slow_endpoint_is_for_tests_only(
    client: AsyncClient, settings: Settings, serve: Serve, environment: str
) -> None:
    assert (await client.get("/slow?seconds=0")).status_code == 200
    async with serve(replace(settings, environment=environment)) as other:
        assert (await other.get("/slow?seconds=0")).status_code == 404


def test_seeding_twice_changes_nothing(settings: Settings, database: Any, run: Any) -> None:
    def content() -> list[object]:
        query = "SELECT * FROM habits h LEFT JOIN checkins ON habit_id = h.id"
        return list(database.rows(query))

    assert run(seed(settings)) == len(HABITS)
    before = content()
    assert run(seed(settings)) == 0
    assert content() == before


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("a b'c\n")
    assert load({"POSTGRES_PASSWORD_FILE": str(file)}).postgres_password == "a b'c"


@pytest.mark.parametrize(
    ("env", "names"),
    [
        ({"REDIS_PASSWORD": "x", "REDIS_PASSWORD_FILE": "/x"}, "REDIS_PASSWORD_FILE"),
        ({"POSTGRES_PASSWORD_FILE": "/nowhere"}, "POSTGRES_PASSWORD_FILE=/nowhere"),
        ({"POSTGRES_PORT": "70000"}, "POSTGRES_PORT=70000"),
        ({"REDIS_PORT": "x"}, "REDIS_PORT=x"),
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
