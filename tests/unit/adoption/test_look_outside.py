"""What production's proxy closes of an adopted app, and what the app may reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.adoption.looked import FASTAPI, FLASK, looked


def fastapi(call: str) -> dict[str, str]:
    """Return an app that is made so."""
    return {**FASTAPI, "main.py": f"import os\nfrom fastapi import FastAPI\napp = {call}\n"}


@pytest.mark.parametrize(
    ("call", "closed"),
    [
        ("FastAPI()", "/ready /docs /redoc /openapi.json"),
        ("FastAPI(docs_url='/help', redoc_url=None)", "/ready /help /openapi.json"),
        ("FastAPI(openapi_url='/v1/schema.json')", "/ready /docs /redoc /v1/schema.json"),
        ("FastAPI(openapi_url=None)", None),
        # Only its start tells.
        ("FastAPI(docs_url=os.environ['DOCS'])", "/ready /docs /redoc /openapi.json"),
    ],
)
def test_what_fastapi_shows_of_itself_is_closed(
    tmp_path: Path, call: str, closed: str | None
) -> None:
    found = looked(tmp_path, fastapi(call))
    assert found.facts.get("CLOSED_PATHS") == closed
    told = [what for what, _ in found.evidence if "production closes" in what]
    assert len(told) == (closed is not None)


def test_other_frameworks_have_no_such_pages(tmp_path: Path) -> None:
    assert "CLOSED_PATHS" not in looked(tmp_path, FLASK).facts


def test_an_app_reaches_what_it_always_did_and_the_report_says_so(tmp_path: Path) -> None:
    for number, files in enumerate((FASTAPI, FLASK)):
        (tmp_path / str(number)).mkdir()
        found = looked(tmp_path / str(number), files)
        assert found.facts["EGRESS"] == "open"
        assert [what for what, _ in found.evidence if "EGRESS" in what]
