"""Whether the nodes can encrypt what they send each other: found out by trying.

A kernel that can't says nothing: an encrypted network is made all the same, and no packet passes.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.swarm import jobs
from gangway.engines.swarm.cluster import Swarm
from gangway.engines.swarm.labels import ENCRYPTED, ONE_OFF, STACK

SETTING: Final = "SWARM_ENCRYPTION"
_TICK: Final = 0.3
# Seconds until each node must have a container in the network.
_READY: Final = 30.0
# Who refuses has been reached.
_CONNECT: Final = """
for each; do
    timeout 6 bash -c 'exec 3<>"/dev/tcp/$1/9"' connect "$each" 2>/dev/null
    (($? != 124)) || exit 1
done
"""


def encrypted(swarm: Swarm, image: str) -> bool:
    """Say whether new networks are to be encrypted: as SWARM_ENCRYPTION says, else by trying.

    `image` is one that the nodes have, with bash. What is found out is said, and is a label of the
    networks that are made: it is tried once. With one node alone there is nothing to encrypt.
    """
    setting = swarm.environment.get(SETTING, "auto")
    if setting != "auto":
        return setting == "on"
    for network in swarm.api.find("/networks", label=[swarm.own, ENCRYPTED]):
        return bool(network["Labels"][ENCRYPTED] == "yes")
    nodes = [node for node in swarm.nodes() if node.ready and node.availability == "active"]
    if len(nodes) < 2:
        return False
    passes = _passes(swarm, image, len(nodes))
    if passes:
        say("what the nodes send each other is encrypted")
    else:
        say("note: these nodes' kernels can't encrypt what they send each other (docs/swarm.md)")
    return passes


def _passes(swarm: Swarm, image: str, nodes: int) -> bool:
    with _network(swarm) as network, _everywhere(swarm, image, network) as number:
        addresses = _addresses(swarm, number, nodes)
        spec = _spec(swarm, image, network, ["-c", _CONNECT, "connect", *addresses])
        spec["Mode"] = {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}
        try:
            return jobs.captured(swarm, spec, ["connect", *addresses]).status == 0
        except GangwayError:
            return False


@contextmanager
def _network(swarm: Swarm) -> Iterator[str]:
    body = {
        "Name": f"{swarm.project}-try-{secrets.token_hex(4)}",
        "Driver": "overlay",
        "Internal": True,
        "Options": {"encrypted": "true"},
        "Labels": {STACK: swarm.project},
    }
    number = str(swarm.api.post("/networks/create", body)["Id"])
    try:
        yield number
    finally:
        swarm.remove_network(number)


@contextmanager
def _everywhere(swarm: Swarm, image: str, network: str) -> Iterator[str]:
    spec = {**_spec(swarm, image, network, ["-c", "sleep 100"]), "Mode": {"Global": {}}}
    number = swarm.create(spec)
    try:
        yield number
    finally:
        swarm.api.delete(f"/services/{number}")


def _addresses(swarm: Swarm, service: str, nodes: int) -> list[str]:
    """Return the addresses of a service's containers, once each node has one, or time is up."""
    until = time.monotonic() + _READY
    while True:
        found = [
            str(attached["Addresses"][0]).partition("/")[0]
            for task in swarm.api.find("/tasks", service=[service])
            if task["Status"]["State"] == "running"
            for attached in task.get("NetworksAttachments") or ()
        ]
        if len(found) >= nodes or time.monotonic() > until:
            return found
        time.sleep(_TICK)


def _spec(swarm: Swarm, image: str, network: str, words: list[str]) -> dict[str, Any]:
    return {
        "Name": f"{swarm.project[:40]}-try-{secrets.token_hex(4)}",
        "Labels": {STACK: swarm.project, ONE_OFF: "encryption"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": image, "Command": ["bash"], "Args": words, "User": "65534:65534",
                "ReadOnly": True, "Init": True, "CapabilityDrop": ["ALL"],
                "Privileges": {"NoNewPrivileges": True}, "Healthcheck": {"Test": ["NONE"]},
                "Labels": {STACK: swarm.project},
            },
            "RestartPolicy": {"Condition": "none"},
            "Networks": [{"Target": network}],
        },
        "EndpointSpec": {"Mode": "dnsrr"},
    }  # fmt: skip
