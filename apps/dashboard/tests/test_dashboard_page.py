"""What a browser gets."""

import re
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient

from dashboard import data as dashboard_data

Serve = Callable[..., FlaskClient]
Filled = Callable[..., dict[str, Any]]
Add = Callable[..., int]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def found(client: FlaskClient, address: str) -> bool:
    with client.get(address) as answer:
        return answer.status_code == 200


def test_everything_on_the_page_comes_from_here(serve: Serve) -> None:
    client = serve()
    page = client.get("/").text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(addresses) > 5
    assert all(address.startswith("/") and not address.startswith("//") for address in addresses)
    assert all(found(client, address) for address in addresses)


def test_a_worker_has_the_scripts_of_a_page_that_another_made(serve: Serve) -> None:
    addresses = re.findall(r'src="([^"]+)"', serve().get("/").text)
    assert addresses
    other = serve().application
    for address in addresses:
        # Without what Flask does before a request: a second thread doesn't wait for the first.
        with other.test_request_context(address):
            answer = other.make_response(other.dispatch_request())
            assert answer.status_code == 200
            answer.close()


def test_the_pages_may_live_under_a_prefix(serve: Serve) -> None:
    client = serve(path="/plots/")
    page = client.get("/plots/").text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(address.startswith("/plots/") for address in addresses)
    assert all(found(client, address) for address in addresses)
    assert client.get("/").status_code == 404
    # The container's health check knows nothing of it.
    assert client.get("/health").json["status"] == "ok"  # type: ignore[index]


def test_the_plots_show_each_habit(serve: Serve, filled: Filled, add: Add) -> None:
    read, walk = add("Read", (0, 1)), add("Walk", (1,))
    shown = filled(serve())
    bars = shown["checkins"]["figure"]["data"]
    assert {bar["name"] for bar in bars} == {"Read", "Walk"}
    assert {bar["name"]: sum(bar["y"]) for bar in bars} == {"Read": 2, "Walk": 1}
    assert [option["value"] for option in shown["habits"]["options"]] == [read, walk]
    assert shown["message"]["hidden"] is True
    lines = {line["name"]: line["y"][-3:] for line in shown["streaks"]["figure"]["data"]}
    assert lines == {"Read": [0, 1, 2], "Walk": [0, 1, 1]}


def test_a_filter_leaves_the_other_habits_colours_alone(
    serve: Serve, filled: Filled, add: Add
) -> None:
    add("Read", (0,))
    walk = add("Walk", (0,))
    client = serve()
    whole = {bar["name"]: bar["marker"] for bar in filled(client)["checkins"]["figure"]["data"]}
    (bar,) = filled(client, chosen=[walk])["checkins"]["figure"]["data"]
    assert (bar["name"], bar["marker"]) == ("Walk", whole["Walk"])


@pytest.mark.parametrize(("period", "days"), [(14, 14), (90, 90), (10**9, 30), ("x", 30)])
def test_the_period_is_one_of_those_offered(
    serve: Serve, filled: Filled, add: Add, period: Any, days: int
) -> None:
    add("Read")
    (bar,) = filled(serve(), period=period)["checkins"]["figure"]["data"]
    assert len(bar["x"]) == days


def test_without_habits_the_page_says_so(serve: Serve, filled: Filled) -> None:
    shown = filled(serve())
    assert "No habits yet" in str(shown["tiles"]["children"])


def test_without_a_database_the_page_says_so_and_keeps_what_it_shows(
    serve: Serve, filled: Filled, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard_data, "WAIT_SECONDS", 0.3)
    client = serve(postgres_host="127.0.0.1", postgres_port=closed_port)
    assert client.get("/health").status_code == 200
    ready = client.get("/ready")
    assert (ready.status_code, ready.json) == (
        503,
        {"status": "unavailable", "postgres": "away", "redis": "ok"},
    )
    shown = filled(client)
    assert "tries again" in shown["message"]["children"] and shown["message"]["hidden"] is False
    assert "checkins" not in shown


def test_without_redis_it_is_ready_all_the_same(serve: Serve, closed_port: int) -> None:
    ready = serve(redis_host="127.0.0.1", redis_port=closed_port).get("/ready")
    assert ready.status_code == 200
    assert ready.json == {"status": "ok", "postgres": "ok", "redis": "ConnectionError"}


def test_users_are_not_told_what_the_containers_are_called(serve: Serve) -> None:
    health = serve(environment="production").get("/health")
    assert health.json == {"status": "ok"} and "X-Instance" not in health.headers


def test_the_live_service_answers(live: Callable[[str, str], str]) -> None:
    url = live("DASHBOARD_URL", "http://dashboard:8050")
    health = httpx.get(f"{url}/health")
    assert health.json()["instance"] == health.headers["X-Instance"]
    assert "<title>Habits</title>" in httpx.get(url).text
