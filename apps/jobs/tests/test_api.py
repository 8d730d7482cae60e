"""What the API answers, by Django's own client on the real stores."""

import json
import uuid
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import AsyncClient
from following import Run

from jobs import queue, work
from jobs.channel import connect
from jobs.logs import JsonFormatter
from jobs.models import Job


class Client(AsyncClient):  # type: ignore[misc]
    """A client with an address of its own, which may ask by a prefix."""

    def __init__(self, address: str, prefix: str = "") -> None:
        super().__init__()
        self._own = {"client": [address, 1], "root_path": prefix}

    def _base_scope(self, **request: Any) -> Any:
        return super()._base_scope(**request) | self._own


@pytest.fixture
def client() -> AsyncClient:
    return Client("192.0.2.1")


def post(client: AsyncClient, run: Run, body: object) -> Any:
    return run(client.post("/api/jobs/", json.dumps(body), content_type="application/json"))


@pytest.fixture(autouse=True)
def no_requests_yet(run: Run) -> None:
    async def forget() -> None:
        async with connect() as redis:
            async for key in redis.scan_iter("ratelimit:*"):
                await redis.delete(key)

    run(forget())


def test_a_job_is_stored_and_shown(client: AsyncClient, run: Run, body: dict[str, Any]) -> None:
    answer = post(client, run, body)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["status"], made["mode"], made["total"]) == ("queued", "plain", 2)
    assert made["stream"] == f"/api/jobs/{made['id']}/stream/" and made["report"] is None
    shown = run(client.get(f"/api/jobs/{made['id']}/"))
    assert shown.json() == made
    assert [job["id"] for job in run(client.get("/api/jobs/")).json()["jobs"]] == [made["id"]]


def test_it_is_found_where_the_proxy_has_taken_api_off(
    client: AsyncClient, run: Run, job: Job
) -> None:
    assert run(client.get(f"/jobs/{job.pk}/")).json()["id"] == str(job.pk)


def test_addresses_are_below_the_prefix_that_was_taken_off(run: Run, job: Job) -> None:
    shown = run(Client("192.0.2.1", "/v1").get(f"/v1/jobs/{job.pk}/")).json()
    assert shown["stream"] == f"/v1/jobs/{job.pk}/stream/"


def test_what_has_ended_comes_from_the_cache(client: AsyncClient, run: Run, job: Job) -> None:
    work.run(job.pk)
    address = f"/api/jobs/{job.pk}/"
    first = run(client.get(address)).json()
    assert first["status"] == "finished"
    Job.objects.all().delete()
    assert run(client.get(address)).json() == first
    cache.delete(f"job:{job.pk}")
    assert run(client.get(address)).status_code == 404


def test_a_report_is_there_once_the_job_has_ended(client: AsyncClient, run: Run, job: Job) -> None:
    address = f"/api/jobs/{job.pk}/report"
    early = run(client.get(address))
    assert early.status_code == 404 and "queued" in early.json()["detail"]
    work.run(job.pk)
    page = run(client.get(address))
    assert page.status_code == 200 and b"Walk" in page.content


@pytest.mark.parametrize("path", ["", "stream/", "report"])
def test_a_job_that_is_not_there_is_said_not_to_be(
    client: AsyncClient, run: Run, path: str
) -> None:
    answer = run(client.get(f"/api/jobs/{uuid.uuid4()}/{path}"))
    assert answer.status_code == 404 and "there is no job" in answer.json()["detail"]


def test_a_request_that_makes_no_sense_is_a_400_with_the_reason(
    client: AsyncClient, run: Run, body: dict[str, Any]
) -> None:
    for wrong, said in (
        ({}, "from is not a date"),
        ([], "JSON object"),
        (body | {"mode": "fancy"}, "neither plain nor detailed"),
    ):
        answer = post(client, run, wrong)
        assert answer.status_code == 400 and said in answer.json()["detail"]
    for text in ("{", "[" * 100_000, b"\xff", "9" * 5000):
        broken = run(client.post("/api/jobs/", text, content_type="application/json"))
        assert broken.status_code == 400
    assert not Job.objects.exists()


def test_only_what_a_report_is_made_of_is_kept(
    client: AsyncClient, run: Run, body: dict[str, Any]
) -> None:
    # Neither of the two is anything that PostgreSQL has a place for in JSON.
    for more in ("\x00", "\ud800"):
        made = post(client, run, body | {"more": more})
        assert made.status_code == 201
        assert "more" not in Job.objects.get(pk=made.json()["id"]).request


def test_the_log_names_the_request_that_is_answered(
    client: AsyncClient, run: Run, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    caplog.handler.setFormatter(JsonFormatter())
    for said in ("a-1._Z", '"},{"'):
        run(client.get("/ready", headers={"X-Request-ID": said}))
    first, second = (json.loads(x) for x in caplog.text.splitlines() if "not ready" in x)
    assert first["request_id"] == "a-1._Z" and "request_id" not in second


def test_the_worker_is_told_the_request_s_id(
    client: AsyncClient, run: Run, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A queue that no worker reads.
    monkeypatch.setitem(queue.app.conf, "task_default_queue", "test-request-id")
    headers = {"X-Request-ID": "a-1._Z"}
    text = json.dumps(body)
    made = run(client.post("/api/jobs/", text, content_type="application/json", headers=headers))
    assert made.status_code == 201

    async def sent() -> Any:
        async with connect() as redis:
            return await redis.rpop("test-request-id")

    message = json.loads(run(sent()))
    assert made.json()["id"] in message["headers"]["argsrepr"]
    assert message["headers"]["X-Request-ID"] == "a-1._Z"


def test_other_methods_are_refused(client: AsyncClient, run: Run, job: Job) -> None:
    assert run(client.delete("/api/jobs/")).status_code == 405
    assert run(client.post(f"/api/jobs/{job.pk}/")).status_code == 405


def test_each_client_has_a_limit_of_its_own(client: AsyncClient, run: Run) -> None:
    limit = settings.ENV.rate_limit
    statuses = [post(client, run, {}).status_code for _ in range(limit + 1)]
    assert statuses == [400] * limit + [429]
    refused = post(client, run, {})
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    client = Client("192.0.2.2")
    assert post(client, run, {}).status_code == 400


def test_without_redis_no_job_is_taken_and_health_is_well(
    client: AsyncClient, run: Run, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    answer = post(client, run, body)
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    assert not Job.objects.exists()
    assert run(client.get("/health")).status_code == 200
    ready = run(client.get("/ready"))
    assert ready.status_code == 503
    assert ready.json()["postgres"] == "ok" and ready.json()["redis"] != "ok"
