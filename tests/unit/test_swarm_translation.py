"""A service of a Compose model becomes what the Engine's API makes a Swarm's service of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gangway.base.errors import FindingsError, GangwayError
from gangway.engines.swarm import keys, units
from gangway.engines.swarm.translation import Files, complaints, network, numbered, spec
from gangway.model.model import Model

FILES = Files(
    secrets={"password": (("", "shop-password-1"),), "tls": (("a.pem", "t1"), ("b.pem", "t2"))},
    configs={"schema": (("", "shop-schema-1"),)},
)


def model(service: Mapping[str, Any], **parts: Any) -> Model:
    """Return a project `shop` with one service `api`, and more at the model's top."""
    raw = {
        "name": "shop",
        "services": {"api": {"image": "api:1", **service}},
        "networks": {"data": {"name": "shop_data", "internal": True}},
        "volumes": {"files": {"name": "shop_files"}},
        "secrets": {"password": {}, "tls": {}},
        "configs": {"schema": {}},
    }
    return Model({**raw, **parts})


def made(service: Mapping[str, Any], **parts: Any) -> Any:
    return spec(model(service, **parts), "api", FILES)


def container(service: Mapping[str, Any]) -> Any:
    return made(service)["TaskTemplate"]["ContainerSpec"]


def refused(service: Mapping[str, Any]) -> list[str]:
    return [str(each.what) for each in complaints(model(service), "api")]


def test_a_service_has_the_name_and_the_label_that_docker_stack_gives_it() -> None:
    found = made({})
    assert found["Name"] == "shop_api"
    assert found["Labels"]["com.docker.stack.namespace"] == "shop"


def test_containers_are_not_taken_for_composes_own_whatever_their_image_says() -> None:
    labels = container({"labels": {"team": "a"}})["Labels"]
    assert labels["com.docker.compose.project"] == "" and labels["team"] == "a"


@pytest.mark.parametrize(
    ("service", "where", "expected"),
    [
        ({"entrypoint": ["a"], "command": ["b"]}, "Command", ["a"]),
        ({"command": ["b", "$$HOME"]}, "Args", ["b", "$HOME"]),
        ({"environment": {"B": "2", "A": "1", "C": None, "D": ""}}, "Env", ["A=1", "B=2", "D="]),
        ({"hostname": "h"}, "Hostname", "h"),
        ({"group_add": [7]}, "Groups", ["7"]),
        ({"cap_add": ["CHOWN"]}, "CapabilityAdd", ["CHOWN"]),
        ({"sysctls": {"net.core.somaxconn": 9}}, "Sysctls", {"net.core.somaxconn": "9"}),
        ({"extra_hosts": ["a=10.0.0.1", "b:10.0.0.2"]}, "Hosts", ["10.0.0.1 a", "10.0.0.2 b"]),
        (
            {"ulimits": {"nproc": 9, "nofile": {"soft": 1, "hard": 2}}},
            "Ulimits",
            [{"Name": "nofile", "Soft": 1, "Hard": 2}, {"Name": "nproc", "Soft": 9, "Hard": 9}],
        ),
        (
            {"dns": "10.0.0.1", "dns_search": ["a"], "dns_opt": ["ndots:1"]},
            "DNSConfig",
            {"Nameservers": ["10.0.0.1"], "Search": ["a"], "Options": ["ndots:1"]},
        ),
        (
            {"security_opt": ["no-new-privileges", "seccomp:unconfined", "apparmor=unconfined"]},
            "Privileges",
            {
                "NoNewPrivileges": True,
                "Seccomp": {"Mode": "unconfined"},
                "AppArmor": {"Mode": "disabled"},
            },
        ),
        ({"healthcheck": {"disable": True}}, "Healthcheck", {"Test": ["NONE"]}),
        ({"stop_signal": "SIGQUIT"}, "StopSignal", "SIGQUIT"),
        ({}, "StopGracePeriod", 10 * 10**9),
    ],
)
def test_a_key_arrives(service: Mapping[str, Any], where: str, expected: Any) -> None:
    assert container(service)[where] == expected


def test_a_folder_in_memory_with_an_owner_is_a_volume_that_has_all_its_options() -> None:
    [mount] = container({"tmpfs": ["/run:mode=1777,size=1m,uid=5,gid=6"]})["Mounts"]
    assert mount["VolumeOptions"]["DriverConfig"]["Options"] == {
        "type": "tmpfs", "device": "tmpfs",
        "o": "noexec,nosuid,nodev,mode=1777,size=1m,uid=5,gid=6",
    }  # fmt: skip


def test_what_may_be_run_in_memory_is_so_because_the_model_says_it() -> None:
    [mount] = container({"tmpfs": ["/run:exec,size=1m"]})["Mounts"]
    options = mount["VolumeOptions"]["DriverConfig"]["Options"]["o"]
    assert options.split(",") == ["nosuid", "nodev", "exec", "size=1m"]


def test_a_secret_is_its_services_users_and_one_that_is_a_folder_is_its_files() -> None:
    secrets = container({"user": "5:6", "secrets": [
        {"source": "password", "target": "/run/secrets/password"},
        {"source": "tls", "target": "/run/secrets/tls", "uid": "7", "mode": "0440"},
    ]})["Secrets"]  # fmt: skip
    assert [(each["SecretName"], *each["File"].values()) for each in secrets] == [
        ("shop-password-1", "/run/secrets/password", "5", "6", 0o400),
        ("t1", "/run/secrets/tls/a.pem", "7", "6", 0o440),
        ("t2", "/run/secrets/tls/b.pem", "7", "6", 0o440),
    ]


def test_an_empty_secret_which_a_swarm_does_not_keep_is_an_empty_file_all_the_same() -> None:
    files = Files(secrets={"password": (("", ""),)})
    found = spec(model({"secrets": [{"source": "password"}]}), "api", files)
    container = found["TaskTemplate"]["ContainerSpec"]
    assert container["Secrets"] == []
    assert container["Mounts"] == [
        {
            "Type": "bind", "Source": "/dev/null", "Target": "/run/secrets/password",
            "ReadOnly": True,
        }
    ]  # fmt: skip


def test_a_service_with_data_runs_on_the_node_that_has_it() -> None:
    mounts = [
        {"type": "volume", "source": "files", "target": "/srv/files"},
        {"type": "volume", "source": "scratch", "target": "/var/tmp"},
    ]
    found = made({"volumes": mounts})["TaskTemplate"]
    assert found["Placement"]["Constraints"] == ["node.labels.dev.gangway.data.shop_files==here"]


def test_who_says_on_which_nodes_a_service_runs_is_believed() -> None:
    mount = {"type": "volume", "source": "files", "target": "/srv/files"}
    placement = {"constraints": ["node.hostname==b"]}
    found = made({"volumes": [mount], "deploy": {"placement": placement}})["TaskTemplate"]
    assert found["Placement"]["Constraints"] == ["node.hostname==b"]


def test_what_others_wait_for_to_end_is_a_job_that_runs_once() -> None:
    waits = {"image": "x", "depends_on": {"api": {"condition": "service_completed_successfully"}}}
    raw = {"services": {"api": {"image": "x", "restart": "no"}, "other": waits}}
    found = made({}, **raw)
    assert found["Mode"] == {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}
    assert found["TaskTemplate"]["RestartPolicy"] == {"Condition": "none"}
    assert "UpdateConfig" not in found


@pytest.mark.parametrize(
    ("service", "condition", "attempts"),
    [
        ({"restart": "unless-stopped"}, "any", None),
        ({"restart": "no"}, "none", None),
        ({"restart": "on-failure:3"}, "on-failure", 3),
        ({"deploy": {"restart_policy": {"condition": "none"}}}, "none", None),
    ],
)
def test_what_ends_is_started_again_as_the_model_says(
    service: Mapping[str, Any], condition: str, attempts: int | None
) -> None:
    policy = made(service)["TaskTemplate"]["RestartPolicy"]
    assert (policy["Condition"], policy.get("MaxAttempts")) == (condition, attempts)


@pytest.mark.parametrize(("order", "at_once"), [("start-first", 0), ("stop-first", 1)])
def test_new_replicas_come_all_at_once_where_they_come_first(order: str, at_once: int) -> None:
    found = made({"deploy": {"replicas": 3, "update_config": {"order": order}}})
    assert found["Mode"] == {"Replicated": {"Replicas": 3}}
    assert (found["UpdateConfig"]["Order"], found["UpdateConfig"]["Parallelism"]) == (
        order, at_once,
    )  # fmt: skip


def test_a_port_is_published_by_the_machine_that_the_container_is_on() -> None:
    found = made({"ports": [{"mode": "ingress", "target": 80, "published": "8080"}]})
    assert found["EndpointSpec"] == {
        "Mode": "dnsrr",
        "Ports": [
            {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}
        ],
    }


def test_a_network_becomes_an_overlay_without_what_only_a_bridge_has() -> None:
    options = {"com.docker.network.bridge.inhibit_ipv4": "true", "com.example": "1"}
    raw = {"data": {"name": "shop_data", "internal": True, "driver_opts": options}}
    found = network(model({}, networks=raw), "data", encrypted=True)
    assert found["Driver"] == "overlay" and found["Internal"] is True
    assert found["Options"] == {"com.example": "1", "encrypted": "true"}


def test_numbers_take_the_place_of_names() -> None:
    service = {"secrets": [{"source": "password"}], "networks": {"data": {"aliases": ["db"]}}}
    found = numbered(made(service), {"shop-password-1": "s7"}, {}, {"shop_data": "n7"})
    task = found["TaskTemplate"]
    assert task["ContainerSpec"]["Secrets"][0]["SecretID"] == "s7"
    assert task["Networks"] == [{"Target": "n7", "Aliases": ["api", "db"]}]


def test_a_name_that_the_swarm_does_not_have_is_an_error() -> None:
    with pytest.raises(GangwayError, match="the Swarm has no secret shop-password-1"):
        numbered(made({"secrets": [{"source": "password"}]}), {}, {}, {})


LOST = sorted(key for key, how in keys.SERVICE.items() if isinstance(how, keys.Lost))


@pytest.mark.parametrize("key", LOST)
def test_a_key_that_a_swarm_has_nothing_for_is_refused_by_its_name(key: str) -> None:
    assert any(each.startswith(f"{key} can't be kept") for each in refused({key: "host"}))


@pytest.mark.parametrize(
    ("service", "complaint"),
    [
        ({"colour": "red"}, "colour can't be kept"),
        ({"deploy": {"colour": "red"}}, "deploy.colour can't be kept"),
        ({"deploy": {"endpoint_mode": "vip"}}, "deploy.endpoint_mode can't be kept"),
        ({"networks": {"data": {"ipv4_address": "10.0.0.9"}}}, "networks.data.ipv4_address can't"),
        ({"security_opt": ["seccomp=a.json"]}, "security_opt seccomp=a.json can't be kept"),
        ({"ports": [{"host_ip": "127.0.0.1", "target": 80, "published": "1"}]}, "ports 127.0.0.1:"),
        ({"ports": [{"target": 80, "published": "1-9"}]}, "ports :1-9:80 can't be kept"),
        (
            {
                "ports": [{"target": 80, "published": "80"}],
                "deploy": {"update_config": {"order": "start-first"}},
            },
            "deploy.update_config.order can't be kept",
        ),
        ({"stop_grace_period": "soon"}, "stop_grace_period can't be kept"),
        ({"tmpfs": ["/tmp:size=big"]}, "tmpfs /tmp:size=big can't be kept"),
        ({"volumes": [{"type": "image", "target": "/x"}]}, "volumes /x can't be kept"),
        ({"secrets": [{"source": "nobody's"}]}, "secrets nobody's can't be kept"),
    ],
)
def test_what_can_not_be_kept_is_named(service: Mapping[str, Any], complaint: str) -> None:
    assert any(each.startswith(complaint) for each in refused(service))


def test_all_that_can_not_be_kept_is_said_at_once_with_the_service() -> None:
    with pytest.raises(FindingsError) as raised:
        made({"privileged": True, "pid": "host"})
    assert [(each.where, each.what.split()[0]) for each in raised.value.findings] == [
        ("api", "privileged"), ("api", "pid"),
    ]  # fmt: skip


@pytest.mark.parametrize("key", LOST)
def test_a_key_that_says_nothing_is_nothing_to_refuse(key: str) -> None:
    assert refused({key: False}) == [] and refused({key: None}) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10s", 10 * 10**9), ("1m0s", 60 * 10**9), ("200ms", 2 * 10**8), ("1.5h", 54 * 10**11)],
)
def test_a_duration_is_nanoseconds(text: str, expected: int) -> None:
    assert units.nanoseconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("64m", 64 * 1024**2), ("512", 512), ("1.5gb", 1536 * 1024**2)]
)
def test_a_size_is_bytes(text: str, expected: int) -> None:
    assert units.size(text) == expected
