"""The sample API through production's proxy, asked for all that its description allows."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import MakeCheckout
from tests.e2e.support import web

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

LOCK = Path(__file__).parents[2] / "support" / "requirements-schemathesis.txt"
#: Seconds that it asks; it stops by itself then.
ASKED = 60


@pytest.fixture(scope="module")
def url(make_checkout: MakeCheckout) -> str:
    """The address of a production with its docs on."""
    checkout = make_checkout("schemathesis", API_DOCS="1")
    checkout.succeed("prod.init")
    checkout.succeed("prod.build", timeout=500)
    checkout.succeed("prod.up", "--ports", "auto")
    return checkout.urls("prod")["nginx"]


@pytest.fixture(scope="module")
def schemathesis() -> Iterator[Path]:
    """The program, in an environment of its own: our own tests need none of what it brings."""
    with tempfile.TemporaryDirectory() as folder:
        uv = Path(sys.executable).with_name("uv")
        python = Path(folder) / "bin" / "python"
        subprocess.run([uv, "venv", "--quiet", folder], check=True)
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--require-hashes", "--no-build", "--python", python,
             "-r", LOCK],
            check=True,
        )  # fmt: skip
        yield python.with_name("schemathesis")


def test_no_request_gets_a_5xx(url: str, schemathesis: Path, tmp_path: Path) -> None:
    asked = subprocess.run(
        [schemathesis, "run", f"{url}/api/openapi.json", "--url", f"{url}/api",
         "--checks", "not_a_server_error", "--max-time", str(ASKED), "--max-examples", "200",
         "--workers", "2", "--continue-on-failure", "--no-color"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=ASKED + 120,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stdout + asked.stderr
    (tried,) = re.findall(r"(\d+) generated, (\d+) passed", asked.stdout)
    assert tried[0] == tried[1] and int(tried[0]) > 300, asked.stdout


def test_the_docs_are_complete_below_the_prefix_and_ask_nobody_else(url: str) -> None:
    with web(url) as client:
        page = client.get("/api/docs").text
        loaded = re.findall(r"(?:href=\"|src=\"|url: ')([^\"']+)", page)
        assert len(loaded) == 4
        for path in loaded:
            assert path.startswith("/api/") and client.get(path).status_code == 200


@pytest.mark.parametrize(
    "body", [rb'{"name": "half \ud800"}', b'{"name": NaN}', b"[" * 100_000, b"\xff\xfe"]
)
def test_a_body_that_is_no_text_is_the_client_s_mistake_and_the_next_request_is_well(
    url: str, body: bytes
) -> None:
    with web(url) as client:
        for _ in range(20):
            answer = client.post(
                "/api/habits", content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code in (400, 422), answer.text
            assert httpx.get(f"{url}/api/health").status_code == 200


def test_nobody_outside_learns_what_a_container_is_called(url: str) -> None:
    with web(url) as client:
        for path in ("/", "/health", "/api/health", "/api/nothing", "/api/habits"):
            answer = client.get(path)
            assert "X-Instance" not in answer.headers and "instance" not in answer.text
