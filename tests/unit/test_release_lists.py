"""What is listed of releases, in what two differ, and which are removed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gangway.base.errors import GangwayError
from gangway.model.release import Image, Release
from gangway.operations.release_records import Known
from gangway.operations.releases.build import next_name
from gangway.operations.releases.keep import is_of, superfluous
from gangway.operations.releases.show import differing, rows


def release(number: int, *, api: str = "", **model: Any) -> Release:
    name = f"20260101-00000{number}-abcdef{number}"
    images = {"api": Image(f"shop-api:{name}", f"sha256:{api or number}")}
    raw = {"services": {"api": {"image": images["api"].ref}}, **model}
    return Release(
        name, "shop", "core", f"abcdef{number}" * 5, dirty=False,
        made=f"2026-01-01T00:00:0{number}Z", made_by="me@here", images=images, model=raw,
    )  # fmt: skip


NOON = time.struct_time((2026, 1, 1, 12, 0, 0, 3, 1, 0))
R = [release(number) for number in range(5, 0, -1)]


def known(*, deploys: Any = None, **state: Any) -> Known:
    return Known(R, deploys or {}, state)


def names(found: Known, number: int, *used: str) -> list[str]:
    return [each.name[14] for each in superfluous(found, number, set(used))]


def test_a_release_is_named_by_its_moment_and_its_revision() -> None:
    assert next_name(NOON, R[0].name, "abcdef1234") == "20260101-120000-abcdef1"
    assert next_name(NOON, "", "") == "20260101-120000"


def test_no_two_releases_are_of_one_second() -> None:
    assert next_name(NOON, "20260101-120000-abcdef1", "abcdef2") == ""


def test_a_clock_that_is_behind_the_newest_release_is_refused() -> None:
    with pytest.raises(GangwayError, match="from later than it is here: 20260101-120001") as found:
        next_name(NOON, "20260101-120001", "abcdef2")
    assert "20260101-120000 UTC" in str(found.value.where)


def test_the_newest_releases_are_kept() -> None:
    assert names(known(), 2) == ["3", "2", "1"]


def test_what_runs_what_ran_before_and_what_is_under_way_is_kept_however_old() -> None:
    state = {"current": R[4].name, "before": R[3].name, "under_way": {"release": R[2].name}}
    assert names(known(**state), 1) == ["4"]


def test_a_release_whose_image_a_container_has_is_kept() -> None:
    assert names(known(), 2, "sha256:1") == ["3", "2"]


def test_an_image_that_a_kept_release_has_too_keeps_no_older_one() -> None:
    found = Known([release(2, api="same"), release(1, api="same")], {}, {})
    assert names(found, 1, "sha256:same") == ["1"]


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        ("releases/NAME.json", True),
        ("deploys/NAME.json", True),
        ("signatures/NAME.sig", True),
        ("sboms/NAME/api.cdx.json.gz", True),
        ("releases/NAMESAKE.json", False),
        ("state.json", False),
    ],
)
def test_all_that_is_known_of_a_release_goes_with_it(path: str, gone: bool) -> None:
    assert is_of(path, ["NAME"]) is gone


def test_the_list_says_what_runs_and_how_it_was_deployed() -> None:
    deploys = {
        R[0].name: [
            {
                "when": "2026-01-02T00:00:00Z",
                "by": "me@here",
                "task": "deploy",
                "outcome": "no disk",
            },
            {"when": "2026-01-03T00:00:00Z", "by": "me@here", "outcome": "well", "at": ["0002"]},
        ]
    }
    first, second, *_ = rows(known(deploys=deploys, current=R[0].name))
    assert first == (
        R[0].name, "2026-01-01 00:00:05", "me@here", "abcdef5", "now",
        "2026-01-03 00:00:00 me@here deploy", "0002",
    )  # fmt: skip
    assert second[5] == "2026-01-02 00:00:00 me@here deploy failed: no disk"


def lines(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    one = release(1, services={"api": before})
    two = release(2, api="1", services={"api": after})
    found = differing(known(), one, two, lambda name: "TOKEN" in name)
    return "\n".join(found).splitlines()


def test_a_difference_of_settings_has_both_values() -> None:
    found = lines({"environment": {"LEVEL": "info"}}, {"environment": {"LEVEL": "debug"}})
    assert found == ["revision: abcdef1 → abcdef2", "api  environment LEVEL  info → debug"]


def test_a_secrets_values_are_never_among_them() -> None:
    found = lines({"environment": {"A_TOKEN": "one"}}, {"environment": {"A_TOKEN": "two"}})
    assert found[1:] == ["api  environment A_TOKEN  another one"]


def test_another_image_is_named_by_its_number() -> None:
    found = "\n".join(differing(known(), R[4], R[3], lambda _: False)).splitlines()
    assert found == ["revision: abcdef1 → abcdef2", "api  image  1 → 2"]


def test_secrets_differ_by_name() -> None:
    one = release(1, secrets={})
    two = release(1, secrets={"tls": {"name": "tls"}})
    assert list(differing(known(), one, two, lambda _: False)) == ["secret  tls  - → there"]
