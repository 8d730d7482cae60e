"""Messages: what is wrong, where, and how to fix it."""

from __future__ import annotations

import pytest

from gangway.base.errors import Finding, FindingsError, GangwayError, nearest, unknown


def test_a_message_has_place_fault_and_mend() -> None:
    error = GangwayError("PORT is no number", where="env/dev.env:3", fix="write 8000")
    assert str(error) == "env/dev.env:3: PORT is no number\n  fix: write 8000"
    assert str(GangwayError("no more")) == "no more"
    assert error.status == 2


def test_findings_are_shown_together() -> None:
    error = FindingsError([Finding("a", "x:1", "b"), Finding("c")])
    assert str(error) == "2 things to fix:\nx:1: a\n  fix: b\nc"
    assert str(FindingsError([Finding("c")], summary="x is bad")) == "x is bad:\nc"
    assert isinstance(error, GangwayError)


def test_errors_of_both_sorts_can_be_gathered() -> None:
    errors = [GangwayError("a", where="x"), FindingsError([Finding("b"), Finding("c")])]
    findings = [finding for error in errors for finding in error.findings]
    assert [finding.what for finding in findings] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "guess"),
    [("dve", "dev"), ("DEV", "dev"), ("prdo", "prod"), ("stagin", "staging"), ("xyz", None)],
)
def test_the_nearest_name_is_guessed(name: str, guess: str | None) -> None:
    assert nearest(name, ["dev", "prod", "staging", "test"]) == guess


def test_an_unknown_name_says_what_there_is() -> None:
    error = unknown("stack", "wied", ["core", "wide"])
    assert str(error) == (
        "no stack named 'wied'\n  fix: did you mean wide? (there are: core, wide)"
    )
    assert str(unknown("stack", "x", [])) == "no stack named 'x'\n  fix: there is no stack at all"
