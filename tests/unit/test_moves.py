"""What a deploy does with each service: decided from the model and from what runs."""

from __future__ import annotations

from typing import Any

import pytest

from gangway.engines.docker.plan import Plan, planned
from gangway.engines.docker.replicas import Replica
from gangway.engines.releases import Target
from gangway.model import moves
from gangway.model.model import Model
from gangway.model.release import Image, Release

START_FIRST = {"deploy": {"update_config": {"order": "start-first"}}}
RAW: dict[str, Any] = {
    "name": "shop",
    "services": {
        "postgres": {
            "image": "postgres:18",
            "volumes": [{"type": "volume", "source": "data", "target": "/var/lib/postgresql"}],
        },
        "migrate": {"image": "shop-api:1"},
        "api": {
            "image": "shop-api:1",
            "depends_on": {"migrate": {"condition": "service_completed_successfully"}},
            **START_FIRST,
        },
        "scheduler": {"image": "shop-scheduler:1"},
        "nginx": {
            "image": "shop-nginx:1",
            "environment": {"PROXY_ROOT": "api:8000", "PROXY_API": "api:8000", "GZIP": "on"},
        },
    },
}
BUILT = {name: Image(f"shop-{name}:1", "sha256:1") for name in ("api", "scheduler", "nginx")}
RELEASE = Release(
    "1", "shop", "core", "", dirty=False, made="", made_by="", images=BUILT, model=RAW
)
DIGESTS = {name: f"{name}-1" for name in RAW["services"]}


def replica(service: str, number: int = 1, **changed: Any) -> Replica:
    environment = RAW["services"][service].get("environment") or {}
    whole = Replica(
        f"{service}-{number}", service, running=True, healthy=True, ended_well=False,
        config=f"{service}-1",
        image=RAW["services"][service]["image"], environment=environment, addresses={},
    )  # fmt: skip
    return whole._replace(**changed)


ALL = tuple(replica(name) for name in ("postgres", "api", "scheduler", "nginx"))


def plan(*there: Replica, state: dict[str, Any] | None = None, **target: Any) -> Plan:
    return planned(Model(RAW), DIGESTS, Target(RELEASE, **target), there, state or {})


def without(name: str, *changed: Replica) -> tuple[Replica, ...]:
    return (*(each for each in ALL if each.service != name), *changed)


class TestHowAServiceGetsARelease:
    @pytest.mark.parametrize(
        ("service", "way"),
        [
            ("postgres", "data"),
            ("migrate", "once"),
            ("api", "beside"),
            ("scheduler", "after"),
            ("nginx", "after"),
        ],
    )
    def test_it_is_said_by_ordinary_fields(self, service: str, way: str) -> None:
        assert moves.way(Model(RAW), list(BUILT), service) == way

    def test_an_app_of_ours_with_a_volume_of_its_own_never_has_two_servers_on_it(self) -> None:
        api = {**RAW["services"]["api"], "volumes": RAW["services"]["postgres"]["volumes"]}
        model = Model({**RAW, "services": {**RAW["services"], "api": api, "postgres": {}}})
        assert moves.way(model, list(BUILT), "api") == "after"

    def test_data_in_memory_is_data(self) -> None:
        model = Model({"name": "shop", "services": {"redis": {"image": "valkey"}}})
        assert moves.way(model, [], "redis") == "data"


class TestDigest:
    def test_how_many_replicas_there_are_is_no_other_way_of_running_it(self) -> None:
        once = {"image": "a", "deploy": {"replicas": 1}}
        assert moves.digest(once) == moves.digest({"image": "a", "deploy": {"replicas": 3}})

    @pytest.mark.parametrize(
        "change", [{"image": "b"}, {"environment": {"A": "2"}}, {"user": "0"}, {"read_only": True}]
    )
    def test_any_other_setting_is_one(self, change: dict[str, Any]) -> None:
        service = {"image": "a", "environment": {"A": "1"}}
        assert moves.digest(service) != moves.digest({**service, **change})

    def test_a_new_secret_is_one(self) -> None:
        assert moves.digest({"image": "a"}, "old") != moves.digest({"image": "a"}, "new")

    def test_what_the_proxy_takes_up_as_it_runs_is_none(self) -> None:
        one, two = ({"environment": {"A": value}} for value in "12")
        assert moves.digest(one, is_proxy=True) == moves.digest(two, is_proxy=True)

    def test_what_the_proxy_reads_when_it_starts_is_one(self) -> None:
        one, two = ({"environment": {"TLS": value}} for value in ("off", "files"))
        assert moves.digest(one, is_proxy=True) != moves.digest(two, is_proxy=True)


class TestWhatMoves:
    def test_nothing_where_all_is_as_it_should_be(self) -> None:
        assert not plan(*ALL).why

    def test_everything_that_is_not_there_yet(self) -> None:
        assert set(plan().why) == {"postgres", "api", "scheduler", "nginx"}

    def test_a_service_whose_image_is_another(self) -> None:
        found = plan(*without("api", replica("api", image="shop-api:0")))
        assert found.why == {"api": "its image: shop-api:1 for shop-api:0"}

    def test_a_service_whose_settings_are_others(self) -> None:
        assert set(plan(*without("api", replica("api", config="x"))).why) == {"api"}

    def test_a_service_that_is_not_healthy(self) -> None:
        assert set(plan(*without("api", replica("api", healthy=False))).why) == {"api"}

    def test_a_service_that_is_asked_for(self) -> None:
        assert plan(*ALL, anew=frozenset({"api"})).why == {"api": "asked for"}

    def test_a_service_with_another_number_of_replicas(self) -> None:
        found = plan(*ALL, numbers={"api": 3})
        assert (found.why, found.numbers) == ({"api": "3 for 1"}, {"api": 3})

    def test_data_stays_and_is_told_of(self) -> None:
        found = plan(*without("postgres", replica("postgres", config="x")))
        assert (set(found.why), set(found.left)) == (set(), {"postgres"})

    def test_data_is_replaced_where_that_is_asked_for(self) -> None:
        changed = without("postgres", replica("postgres", config="x"))
        assert set(plan(*changed, replace=frozenset({"postgres"})).why) == {"postgres"}

    def test_only_what_is_asked_for_and_what_it_needs(self) -> None:
        found = plan(*without("api", replica("api", config="x")), only=frozenset({"scheduler"}))
        assert not found.why

    def test_what_the_release_has_not_goes(self) -> None:
        gone = replica("scheduler", 9)._replace(service="cron")
        assert plan(*ALL, gone).gone == ["scheduler-9"]


class TestWhatRunsOnce:
    def test_it_runs_where_it_has_not(self) -> None:
        assert plan(*ALL).once == ["migrate"]

    def test_it_does_not_where_it_has_and_is_the_same(self) -> None:
        assert not plan(*ALL, replica("migrate", running=False, ended_well=True)).once

    @pytest.mark.parametrize("changed", [{"ended_well": False}, {"config": "x"}])
    def test_it_does_where_that_failed_or_was_another(self, changed: dict[str, Any]) -> None:
        ran = replica("migrate", running=False, ended_well=True)._replace(**changed)
        assert plan(*ALL, ran).once == ["migrate"]

    def test_it_does_for_a_database_that_is_new(self) -> None:
        ran = replica("migrate", running=False, ended_well=True)
        assert plan(*without("postgres", ran)).once == ["migrate"]


class TestTheProxy:
    def test_takes_up_settings_as_it_runs(self) -> None:
        found = plan(*without("nginx", replica("nginx", environment={"GZIP": "off"})))
        assert (found.settings, set(found.why)) == (True, {"nginx"})

    def test_has_taken_up_what_the_records_say(self) -> None:
        other = replica("nginx", environment={"GZIP": "off"})
        told = {"proxy": {other.id: RAW["services"]["nginx"]["environment"]}}
        assert not plan(*without("nginx", other), state=told).why

    def test_is_replaced_for_a_new_image(self) -> None:
        found = plan(*without("nginx", replica("nginx", image="shop-nginx:0")))
        assert (found.settings, set(found.why)) == (False, {"nginx"})


class TestSlots:
    def test_new_replicas_beside_old_ones_are_in_the_other_slot(self) -> None:
        found = plan(*without("api", replica("api", config="x")), state={"slots": {"api": "green"}})
        assert (found.slots, found.switched) == ({"api": "green"}, {"api": "blue"})

    def test_a_service_that_stays_keeps_its_slot(self) -> None:
        assert plan(*ALL, state={"slots": {"api": "green"}}).switched == {"api": "green"}

    def test_the_first_replicas_are_in_the_slot_that_the_proxy_asks(self) -> None:
        assert plan().switched == {"api": "blue"}
