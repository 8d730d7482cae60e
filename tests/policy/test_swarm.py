"""In a Swarm, every service of every stack's production keeps all that restricts it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from gangway.engines.swarm.translation import Files, complaints, spec
from gangway.model.model import Model
from tests.policy.hardening import missing
from tests.policy.rendering import Case, combinations, render, render_files

PRODUCTION = [case for case in combinations() if case.kind == "prod"]


def _model(case: Case) -> Model:
    """Return production as a Swarm has it, published on every address."""
    raw = copy.deepcopy(render_files(case, (*case.env_files, "env/engines/swarm.env")))
    for service in raw["services"].values():
        for port in service.get("ports") or ():
            port["host_ip"] = "0.0.0.0"
    return Model(raw)


def _files(model: Model) -> Files:
    """Return names for all secrets and configs, each a single file."""
    return Files(*(
        {name: (("", f"{kind}-{name}"),) for name in model.raw.get(kind) or {}}
        for kind in ("secrets", "configs")
    ))  # fmt: skip


@pytest.mark.parametrize("case", PRODUCTION, ids=str)
def test_every_restriction_of_every_service_arrives(case: Case) -> None:
    model = _model(case)

    found = [
        line
        for name in model.services
        for line in missing(model.raw, name, spec(model, name, _files(model)))
    ]

    assert found == []


def test_a_port_on_one_address_alone_is_refused() -> None:
    model = Model(render(Case("staging")))

    found = [finding for name in model.services for finding in complaints(model, name)]

    assert [(each.where, each.what.partition(" can't")[0]) for each in found] == [
        ("nginx", "ports 127.0.0.1:8081:8080")
    ]


Breaks = Callable[[dict[str, Any]], object]
_BREAKS: dict[str, Breaks] = {
    "read_only": lambda task: task["ContainerSpec"].pop("ReadOnly"),
    "cap_drop": lambda task: task["ContainerSpec"].pop("CapabilityDrop"),
    "security_opt": lambda task: task["ContainerSpec"].pop("Privileges"),
    "user": lambda task: task["ContainerSpec"].update(User="0"),
    "init": lambda task: task["ContainerSpec"].pop("Init"),
    "cpus": lambda task: task["Resources"]["Limits"].update(NanoCPUs=10**10),
    "memory": lambda task: task["Resources"]["Limits"].pop("MemoryBytes"),
    "pids": lambda task: task["Resources"]["Limits"].pop("Pids"),
    "stop_grace_period": lambda task: task["ContainerSpec"].pop("StopGracePeriod"),
    "logging": lambda task: task["LogDriver"]["Options"].pop("max-size"),
    "healthcheck": lambda task: task["ContainerSpec"]["Healthcheck"].pop("StartInterval"),
    "tmpfs /tmp": lambda task: task["ContainerSpec"]["Mounts"][0]["TmpfsOptions"].pop("SizeBytes"),
    "volumes /var/tmp": lambda task: task["ContainerSpec"]["Mounts"].pop(),
    "secrets": lambda task: task["ContainerSpec"]["Secrets"][0]["File"].update(Mode=0o444),
    "networks": lambda task: task["Networks"].pop(),
}


@pytest.mark.parametrize("key", _BREAKS)
def test_a_restriction_that_is_lost_is_seen(key: str) -> None:
    model = _model(Case("prod"))
    broken = copy.deepcopy(spec(model, "api", _files(model)))
    _BREAKS[key](broken["TaskTemplate"])

    assert any(f"api: {key} is" in line for line in missing(model.raw, "api", broken))


def test_the_owner_of_a_folder_in_memory_is_kept_and_seen() -> None:
    model = _model(Case("prod"))
    broken = copy.deepcopy(spec(model, "nginx", _files(model)))
    assert not list(missing(model.raw, "nginx", broken))
    for mount in broken["TaskTemplate"]["ContainerSpec"]["Mounts"]:
        if mount["Target"] == "/var/run":
            options = mount["VolumeOptions"]["DriverConfig"]["Options"]
            options["o"] = options["o"].replace("uid=10001", "uid=0")

    assert any("tmpfs /var/run is" in line for line in missing(model.raw, "nginx", broken))
