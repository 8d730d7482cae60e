"""What is decided about a Swarm's services, from what its API says of them; nothing is asked."""

from __future__ import annotations

from typing import Any

import pytest

from gangway.base.errors import GangwayError
from gangway.engines import held
from gangway.engines.releases import Target
from gangway.engines.swarm import cluster, files, jobs, labels, logs, spread, starting
from gangway.engines.swarm.cluster import Task, newest
from gangway.engines.swarm.plan import Plan, planned
from gangway.model.model import Model
from gangway.model.release import Image, Release

# ---- tasks


def task(number: str, **fields: Any) -> Task:
    """Return a task of the service api that runs well; its number is when it was made, too."""
    made = Task(
        id=number, service="api", slot="1", node="n1", state="running", desired="running",
        said="", exit_code=0, container="c", made=float(number), changed=0.0,
        spec={"ContainerSpec": {"Image": "api:1"}}, version=0,
    )  # fmt: skip
    return made._replace(**fields)


def test_a_replica_is_its_newest_task_that_is_meant_to_run() -> None:
    old = task("1", state="shutdown", desired="shutdown")
    now, other = task("2"), task("3", slot="2")
    later = task("4", state="failed", desired="shutdown")
    assert newest([old, now, other, later]) == [now, other]


def test_a_replica_that_is_one_too_many_is_none() -> None:
    assert newest([task("1"), task("2", slot="2", state="shutdown", desired="shutdown")]) == [
        task("1")
    ]


def test_a_job_that_has_ended_is_still_there() -> None:
    ended = task("1", state="complete", desired="complete")
    assert newest([ended]) == [ended]


PROBED = {"ContainerSpec": {"Healthcheck": {"Test": ["CMD", "true"]}}}


@pytest.mark.parametrize(
    ("fields", "state", "health"),
    [
        ({"state": "pending"}, "created", ""),
        ({"state": "starting", "spec": PROBED}, "running", "starting"),
        ({"state": "running", "spec": PROBED}, "running", "healthy"),
        ({"state": "running"}, "running", ""),
        ({"state": "complete"}, "exited", ""),
        ({"state": "failed", "exit_code": 3}, "exited", ""),
        ({"state": "orphaned"}, "dead", ""),
    ],
)
def test_a_task_is_shown_as_a_container_is(fields: Any, state: str, health: str) -> None:
    found = cluster.container(task("1", **fields), {})
    assert (found.state, found.health, found.exit_code) == (
        state, health, fields.get("exit_code", 0),
    )  # fmt: skip


def test_a_task_of_what_its_service_was_before_does_not_count() -> None:
    service = {"Spec": {"TaskTemplate": {"ContainerSpec": {"Image": "api:1"}, "ForceUpdate": 1}}}
    assert not starting.is_of(task("1", version=0), service)
    assert starting.is_of(task("1", version=1), service)
    other = {"ContainerSpec": {"Image": "api:2"}}
    assert not starting.is_of(task("1", version=1, spec=other), service)


# ---- a deploy

MODEL = Model(
    {
        "name": "shop",
        "services": {
            "postgres": {
                "image": "postgres:18",
                "volumes": [{"type": "volume", "source": "data", "target": "/var/lib/pg"}],
            },
            "migrate": {"image": "api:2"},
            "api": {
                "image": "api:2",
                "deploy": {"update_config": {"order": "start-first"}},
                "depends_on": {"migrate": {"condition": "service_completed_successfully"}},
            },
            "scheduler": {"image": "api:2"},
        },
    }
)
RELEASE = Release(
    "20260101-000000-abc", "shop", "core", "abc", dirty=False, made="", made_by="",
    images={name: Image("api:2", "sha256:2") for name in ("migrate", "api", "scheduler")},
    model=MODEL.raw,
)  # fmt: skip


def specs(tag: str = "2", **numbers: int) -> dict[str, Any]:
    """Return what the services are made of, with the apps' images of one tag."""
    found = {}
    for name in MODEL.services:
        image = "postgres:18" if name == "postgres" else f"api:{tag}"
        mode = {"Replicated": {"Replicas": numbers.get(name, 1)}}
        found[name] = {
            "Name": f"shop_{name}",
            "Labels": {labels.MADE_OF: image},
            "Mode": {"ReplicatedJob": {}} if name == "migrate" else mode,
            "TaskTemplate": {"ContainerSpec": {"Image": image}},
        }
    return found


def there(tag: str = "1") -> dict[str, Any]:
    """Return the services that run, as the API has them."""
    return {name: {"ID": name, "Spec": spec} for name, spec in specs(tag).items()}


HEALTHY = dict.fromkeys(MODEL.services, 1)
WELL = frozenset({"migrate"})


def plan(target: Target | None = None, **given: Any) -> Plan:
    """Return the plan for the release's images in place of the older ones."""
    values = {
        "specs": specs(), "there": there(), "healthy": HEALTHY, "well": WELL, **given,
    }  # fmt: skip
    return planned(MODEL, target or Target(RELEASE), **values)


def test_new_images_replace_the_old_and_the_data_store_stays() -> None:
    found = plan()
    assert found.why == {
        "api": "its image: api:2 for api:1", "scheduler": "its image: api:2 for api:1",
    }  # fmt: skip
    assert found.once == ["migrate"]
    assert found.left == {}


def test_what_is_as_it_should_be_is_left_alone() -> None:
    found = plan(there=there("2"))
    assert (found.why, found.once, found.gone) == ({}, [], [])


def test_only_what_may_run_twice_is_tried_beside_the_old() -> None:
    assert plan().changing() == ["api"]


def test_another_number_of_replicas_is_no_reason_to_try_anything() -> None:
    found = plan(there=there("2"), specs=specs(api=3))
    assert found.why == {"api": "3 for 1"} and found.changing() == []


def test_an_image_that_came_from_a_registry_is_the_same_image() -> None:
    places = {"api:2": "registry:5000/api@sha256:9"}
    pulled = {
        name: {"ID": name, "Spec": spread.placed(spec, places)} for name, spec in specs().items()
    }
    assert plan(there=pulled).why == {}


def test_what_is_not_there_yet_is_started() -> None:
    found = plan(there={})
    assert found.why["postgres"] == found.why["api"] == "it isn't there yet"
    assert found.once == ["migrate"]


def test_a_replica_that_is_not_healthy_is_a_reason() -> None:
    found = plan(there=there("2"), healthy={**HEALTHY, "api": 0})
    assert found.why == {"api": "1 of 1 not healthy"}


def test_a_data_store_is_replaced_only_where_that_is_asked_for() -> None:
    other = there("2")
    spec = {**other["postgres"]["Spec"], "Labels": {labels.MADE_OF: "other"}}
    other["postgres"] = {"ID": "p", "Spec": spec}
    assert plan(there=other).left == {"postgres": "its settings or secrets have changed"}
    asked = plan(Target(RELEASE, replace=frozenset({"postgres"})), there=other)
    assert asked.why == {"postgres": "its settings or secrets have changed"}


def test_a_service_that_the_release_has_not_got_goes() -> None:
    left = {"Spec": {"Name": "shop_old", "Labels": {}, "Mode": {}, "TaskTemplate": {}}}
    assert plan(there={**there("2"), "old": left}).gone == ["shop_old"]
    only = Target(RELEASE, only=frozenset({"api"}))
    assert plan(only, there={**there("2"), "old": left}).gone == []


def test_a_plan_is_the_same_after_it_was_written_down() -> None:
    found = plan()
    assert Plan(**vars(found)) == found


# ---- jobs, images, secrets, logs


def test_a_one_off_is_a_job_that_nobody_finds_by_the_service_name() -> None:
    spec = {
        "Name": "shop_api", "Labels": {"a": "b"}, "Mode": {}, "UpdateConfig": {},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "api:2", "ReadOnly": True, "Healthcheck": {"Test": ["x"]}},
            "Networks": [{"Target": "n", "Aliases": ["api"]}],
        },
    }  # fmt: skip
    found = jobs.job(spec, "api", ["ls"])
    assert found["Name"].startswith("shop_api-run-") and "UpdateConfig" not in found
    assert found["TaskTemplate"]["Networks"] == [{"Target": "n", "Aliases": []}]
    container = found["TaskTemplate"]["ContainerSpec"]
    assert container["ReadOnly"] is True and container["Args"] == ["ls"]
    assert container["Healthcheck"] == {"Test": ["NONE"]}


def test_an_image_that_a_registry_has_is_got_from_there_by_its_digest() -> None:
    spec = specs()["api"]
    place = "registry:5000/api@sha256:9"
    found = spread.placed(spec, {"api:2": place})
    assert found["TaskTemplate"]["ContainerSpec"]["Image"] == place
    assert spread.placed(spec, {}) == spec


def test_a_secret_with_another_content_has_another_name_no_longer_than_swarm_takes() -> None:
    first, same, other = (files.named("p" * 80, "key", "", data) for data in (b"a", b"a", b"b"))
    assert first == same != other
    assert len(first) == 64


def test_the_names_of_a_folders_files_are_different_though_they_say_the_same() -> None:
    assert files.named("p", "tls", "a", b"x") != files.named("p", "tls", "b", b"x")


@pytest.mark.parametrize("text", ["yesterday", "10 parsecs"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(GangwayError, match="neither a time nor an age"):
        logs.moment(text)


def test_an_age_is_a_time_before_now() -> None:
    assert float(logs.moment("1h")) < float(logs.moment("1m"))


# ---- one deploy at a time


def test_a_process_that_is_gone_holds_nobody_up() -> None:
    gone = held.me("prod.deploy")._replace(process="999999999 1")
    held.require_gone(gone, "shop", "prod.deploy", "docker config rm x")


def test_a_process_that_is_at_work_is_named() -> None:
    with pytest.raises(GangwayError, match=r"shop is being changed by invoke prod.scale"):
        held.require_gone(held.me("prod.scale"), "shop", "prod.deploy", "docker config rm x")


def test_one_of_another_machine_is_not_taken_for_gone_and_how_to_remove_it_is_said() -> None:
    elsewhere = held.me("prod.deploy")._replace(who="a@elsewhere", process="1 1")
    with pytest.raises(GangwayError) as raised:
        held.require_gone(elsewhere, "shop", "prod.up", "docker config rm x")
    assert "docker config rm x" in (raised.value.fix or "")
