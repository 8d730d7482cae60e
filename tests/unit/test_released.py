"""What a release's model has of the checkout's, and what it leaves there."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

import pytest

from gangway.base.errors import GangwayError
from gangway.engines import required
from gangway.model.differences import differences
from gangway.model.model import Model
from gangway.model.release import Release
from gangway.model.released import filled, needs, released, services_of
from gangway.settings.environment import load
from tests.unit.conftest import Checkout

ROOT = PurePath("/srv/checkout")
RAW: dict[str, Any] = {
    "name": "shop",
    "x-build": {"context": str(ROOT)},
    "services": {
        "api": {
            "profiles": ["api"],
            "build": {"context": str(ROOT)},
            "develop": {"watch": [{"path": f"{ROOT}/api"}]},
            "image": "shop-api:local",
            "depends_on": {"db": {"required": False}, "redis": {"required": True}},
            "environment": {
                "LEVEL": "info",
                "NOT_SET": None,
                "TOKEN": "t$$1",
                "URL": "https://user:very-secret@example.org",
                "WORD": "t",
            },
            "secrets": [{"source": "password"}, {"source": "address"}, {"source": "tls"}],
            "volumes": [{"type": "volume", "source": "data", "target": "/data"}],
            "networks": {"web": None},
        },
        "redis": {
            "image": "redis:8",
            "configs": [{"source": "start"}],
            "networks": {"web": None},
        },
        "tool": {"profiles": ["tools"], "image": "tool:1", "network_mode": "none"},
        "built-tool": {"profiles": ["tools"], "build": {"context": str(ROOT)}},
    },
    "networks": {"web": {"name": "shop_web"}, "closed": {"name": "shop_closed"}},
    "volumes": {"data": {"name": "shop_data"}},
    "configs": {"start": {"name": "shop_start", "file": f"{ROOT}/start"}},
    "secrets": {
        "password": {"name": "shop_password", "file": f"{ROOT}/secrets/prod/password"},
        "address": {"name": "shop_address", "file": "/dev/null"},
        "tls": {"name": "shop_tls", "environment": "TLS_PEM"},
        "index": {"name": "shop_index", "environment": "BUILD_INDEX_URL"},
    },
}
SECRETS = {"SHORT": "t$1", "LONG": "very-secret"}


def made(raw: dict[str, Any] = RAW) -> dict[str, Any]:
    model = Model(raw, frozenset(["api"]))
    return released(
        model, services_of(model, ["tools"]), {"api": "shop-api:1"},
        contents={"start": "echo $HOME"}, secrets=SECRETS, root=ROOT,
    )  # fmt: skip


def test_nothing_of_the_checkouts_folder_is_in_it() -> None:
    assert str(ROOT) not in json.dumps(made())


def test_it_has_what_is_on_and_what_is_there_on_demand_but_for_what_would_have_to_be_built() -> (
    None
):
    assert list(made()["services"]) == ["api", "redis", "tool"]


def test_what_is_built_here_runs_from_the_releases_image_alone() -> None:
    service = made()["services"]["api"]
    assert (service["image"], service["pull_policy"]) == ("shop-api:1", "never")
    assert not {"build", "develop", "profiles"} & service.keys()


def test_what_is_on_demand_keeps_its_profile() -> None:
    assert made()["services"]["tool"]["profiles"] == ["tools"]


def test_a_dependency_that_the_release_is_without_is_none() -> None:
    assert list(made()["services"]["api"]["depends_on"]) == ["redis"]


def test_a_variable_that_nothing_sets_is_absent() -> None:
    assert "NOT_SET" not in made()["services"]["api"]["environment"]


def test_a_secret_variable_is_referred_to() -> None:
    environment = made()["services"]["api"]["environment"]
    assert environment["TOKEN"] == "${SHORT}"
    assert environment["URL"] == "https://user:${LONG}@example.org"


def test_a_short_secret_is_no_part_of_other_words() -> None:
    raw = {**RAW, "services": {"api": {"environment": {"A": "at$$10"}}}}
    assert made(raw)["services"]["api"]["environment"] == {"A": "at$$10"}


def test_what_it_refers_to_is_needed_and_filled_in() -> None:
    model = made()
    assert needs(model) == ["SHORT", "LONG"]
    environment = filled(model, SECRETS)["services"]["api"]["environment"]
    assert environment == {
        name: value
        for name, value in RAW["services"]["api"]["environment"].items()
        if value is not None
    }


def test_a_release_whose_variable_nothing_sets_is_refused(
    checkout: Checkout, shell: dict[str, str]
) -> None:
    environment = load(
        checkout({"env/prod.env": "ENVIRONMENT=production\nSHORT=t\n"}), "prod", shell=shell
    )
    release = Release(
        "20260101-120000", "shop", "core", "", dirty=False,
        made="2026-01-01T12:00:00Z", made_by="me@here", images={}, model=made(),
    )  # fmt: skip

    with pytest.raises(GangwayError, match="20260101-120000 needs LONG, which isn't set"):
        required.values(environment, release)


def test_a_secret_is_there_by_name_and_by_where_it_comes_from() -> None:
    assert made()["secrets"] == {
        "password": {"name": "password", "file": "password"},
        "address": {"name": "address", "file": ""},
        "tls": {"name": "tls", "environment": "TLS_PEM"},
    }


def test_a_config_has_its_content_as_compose_writes_it() -> None:
    assert made()["configs"] == {"start": {"name": "shop_start", "content": "echo $$HOME"}}


def test_what_nothing_uses_is_left_out() -> None:
    assert list(made()["networks"]) == ["web"]


@pytest.mark.parametrize("source", ["/srv/checkout/uploads", "/srv/checkout"])
def test_a_mount_of_the_checkout_is_refused_by_its_name(source: str) -> None:
    mount = {"type": "bind", "source": source, "target": "/x"}
    raw = {**RAW, "services": {"api": {"image": "a", "volumes": [mount]}}}
    with pytest.raises(GangwayError, match="service api mounts"):
        made(raw)


def test_a_mount_of_the_machine_stays() -> None:
    mount = {"type": "bind", "source": "/etc/localtime", "target": "/etc/localtime"}
    raw = {**RAW, "services": {"api": {"image": "a", "volumes": [mount]}}}
    assert made(raw)["services"]["api"]["volumes"] == [mount]


def test_differences_are_named_as_deep_as_they_go() -> None:
    before = {
        "services": {"a": {"environment": {"X": "1", "Y": "1"}}, "b": {}},
        "configs": {"c": {}},
    }
    after = {"services": {"a": {"environment": {"X": "2", "Y": "1"}}}, "configs": {"d": {}}}
    assert [str(each) for each in differences(before, after)] == [
        "a's environment X",
        "the service b",
        "the config c",
        "the config d",
    ]
