"""The log of the real server: one JSON object a line, or text."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[1]
Run = Callable[..., Any]


@contextmanager
def served(**env: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run gunicorn on a free port; stop it, and wait for its end, when the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "dashboard.main:server", "--bind", f"127.0.0.1:{port}",
         "--access-logfile", "-", "--preload", "--threads", "2", "--no-control-socket"],
        cwd=ROOT, env=os.environ | env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}", program
    finally:
        program.terminate()
        program.communicate(timeout=20)


def answered(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"{url}/health").raise_for_status()
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def log(program: subprocess.Popen[str]) -> list[str]:
    program.terminate()
    return program.communicate(timeout=20)[0].splitlines()


def test_every_line_is_one_json_object() -> None:
    with served(LOG_FORMAT="json") as (url, program):
        answered(url)
        headers = {"User-Agent": 'a "quoted" agent', "X-Request-ID": "a-1._Z"}
        httpx.post(f"{url}/health", headers=headers)
        lines = [json.loads(line) for line in log(program)]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    assert any("Starting gunicorn" in line["message"] for line in lines)
    (refused,) = [line for line in lines if line.get("status") == 405]
    assert (refused["method"], refused["path"]) == ("POST", "/health")
    assert (refused["client"], refused["agent"]) == ("127.0.0.1", 'a "quoted" agent')
    assert isinstance(refused["milliseconds"], int) and refused["bytes"] > 0
    assert refused["request_id"] == "a-1._Z"


def test_what_the_app_says_names_the_request() -> None:
    closed = {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1"}
    with served(LOG_FORMAT="json", **closed) as (url, program):
        answered(url)
        named = {"X-Request-ID": "a-1._Z"}
        assert httpx.get(f"{url}/ready", headers=named, timeout=20).status_code == 503
        lines = [json.loads(line) for line in log(program)]
    (away,) = [line for line in lines if "the database is away" in line["message"]]
    assert (away["level"], away["logger"], away["path"]) == ("error", "dashboard.data", "/ready")
    assert away["request_id"] == "a-1._Z"


def test_elsewhere_it_is_text_for_people() -> None:
    with served(LOG_FORMAT="text") as (url, program):
        answered(url)
        text = log(program)
    assert any("GET /health HTTP/1.1" in line for line in text)
    assert not [line for line in text if line.startswith("{")]


def test_a_mistake_in_the_environment_is_one_message_and_status_2() -> None:
    wrong = {"LOG_LEVEL": "loud", "REDIS_PORT": "x"}
    with served(**wrong) as (_, program):
        said = program.communicate(timeout=20)[0]
        assert program.returncode == 2, said
    assert "Traceback" not in said
    assert said.count("mistakes in the environment") == 1
    assert "LOG_LEVEL=loud" in said and "REDIS_PORT=x" in said


@pytest.fixture(autouse=True)
def no_settings_of_the_tests_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
