"""What the API says to and of those in front of it: its docs, its name, its requests' ids."""

import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from api.logs import JsonFormatter
from api.main import create_app
from api.settings import Settings, load

pytestmark = pytest.mark.anyio
Serve = Callable[[Settings], AbstractAsyncContextManager[AsyncClient]]
DOCS = ("/docs", "/openapi.json", "/docs/assets/swagger-ui.css")


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_the_docs_page_is_complete_below_the_prefix_and_asks_nobody_else(
    settings: Settings, prefix: str
) -> None:
    app = create_app(replace(settings, environment="production", api_docs="1"))
    transport = ASGITransport(app, root_path=prefix)
    async with AsyncClient(transport=transport, base_url="http://proxy") as client:
        page = (await client.get(f"{prefix}/docs")).text
        loaded = re.findall(r'(?:href|src)="([^"]+)"', page)
        named = re.findall(r"url: '([^']+)'", page)
        assert len(loaded) == 3 and len(named) == 1
        for path in (*loaded, *named):
            assert path.startswith(f"{prefix}/")
            assert (await client.get(path)).status_code == 200
        schema = (await client.get(named[0])).json()
    # What "Try it out" puts before each path.
    assert [server["url"] for server in schema.get("servers", [])] == ([prefix] if prefix else [])


@pytest.mark.parametrize(
    ("environment", "switch", "status"),
    [("production", "", 404), ("staging", "", 404), ("development", "", 200), ("test", "0", 404)],
)
async def test_there_are_docs_where_no_users_are_served_or_as_api_docs_says(
    settings: Settings, environment: str, switch: str, status: int
) -> None:
    app = create_app(replace(settings, environment=environment, api_docs=switch))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://api") as client:
        assert {(await client.get(path)).status_code for path in DOCS} == {status}


def test_another_word_in_api_docs_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load({"API_DOCS": "yes"})
    assert "API_DOCS=yes" in capsys.readouterr().err


@pytest.mark.parametrize("environment", ["production", "staging"])
async def test_users_are_not_told_what_the_containers_are_called(
    settings: Settings, serve: Serve, environment: str
) -> None:
    async with serve(replace(settings, environment=environment)) as client:
        health = await client.get("/health")
        client._transport.app.state.cache = None  # type: ignore[attr-defined]
        answers = [health, await client.get("/nothing"), await client.get("/habits")]
    assert health.json() == {"status": "ok"}
    assert [answer.status_code for answer in answers] == [200, 404, 500]
    assert not [answer for answer in answers if "X-Instance" in answer.headers]


@pytest.mark.parametrize(
    ("said", "logged"), [("a-1._Z", "a-1._Z"), ('"},{"', None), ("x" * 129, None), ("", None)]
)
async def test_the_log_names_the_request_that_is_answered(
    settings: Settings, serve: Serve, caplog: Any, said: str, logged: str | None
) -> None:
    caplog.handler.setFormatter(JsonFormatter())
    async with serve(replace(settings, postgres_host="127.0.0.1", postgres_port=1)) as client:
        await client.get("/summary", headers={"X-Request-ID": said})
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    (away,) = [line for line in lines if "the database is away" in line["message"]]
    assert away.get("request_id") == logged


@pytest.mark.parametrize(
    "body",
    [
        rb'{"name": "half \ud800"}',
        rb'{"name": ["\udfff"]}',
        rb'{"name": NaN}',
        b'{"name": 1e999}',
        rb'{"\udc00": 1}',
    ],
)
async def test_a_body_that_is_no_text_is_a_422(client: AsyncClient, body: bytes) -> None:
    answer = await client.post(
        "/habits", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "name"]


async def test_a_body_that_is_not_json_at_all_is_the_client_s_mistake(client: AsyncClient) -> None:
    for body in (b"[" * 100_000, b"\xff\xfe", b"9" * 5000, b"{"):
        for kind in ("application/json", "text/plain", "nonsense"):
            answer = await client.post("/habits", content=body, headers={"Content-Type": kind})
            assert 400 <= answer.status_code < 500, (body[:10], kind, answer.text)
