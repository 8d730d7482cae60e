"""What the native tests do to a checkout, and ask of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.e2e.native.checkout import NativeCheckout
from tests.e2e.support import Result, eventually, get

TESTS = "apps/api/tests/test_habits.py"
#: Seconds within which a service that was killed is healthy again.
BACK = 20.0


def add(api: httpx.Client) -> str:
    """Add a habit that nobody else has; return its name, once it is committed."""
    name = f"Habit {uuid.uuid4().hex}"
    api.post("/habits", json={"name": name}).raise_for_status()
    return name


def serves(url: str, text: str) -> bool:
    answer = get(url)
    return answer is not None and answer.status_code == 200 and text in answer.text


def quiet(done: Result) -> Result:
    """Return a result in which nothing went wrong that the user needn't know."""
    assert "Traceback" not in done.stdout + done.stderr, done.text
    return done


@contextmanager
def override(checkout: NativeCheckout, text: str) -> Iterator[None]:
    """Have a personal override file for as long as the block lasts."""
    file = checkout.write("docker-compose.override.yml", text)
    try:
        yield
    finally:
        file.unlink()


def comes_back(checkout: NativeCheckout, service: str, pid: int) -> None:
    """Wait until a service runs as another process than `pid`, and is healthy."""

    def back() -> bool:
        seen = checkout.seen(service)
        return seen.get("pid") not in (0, pid) and seen.get("health") == "healthy"

    eventually(back, within=BACK, what=f"{service} is healthy again")


def ready(api: httpx.Client) -> bool:
    try:
        return api.get("/ready").status_code == 200
    except httpx.TransportError:
        return False
