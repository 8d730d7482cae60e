"""The replicas of a project's services, as a deploy has to know them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gangway.engines.docker.client import Client
from gangway.model.moves import LABEL


class Replica(NamedTuple):
    """A container of a service, as the engine has it."""

    id: str
    service: str
    running: bool
    healthy: bool
    """where it has a health check; else as `running`"""
    ended_well: bool
    config: str
    """the digest that it was started with; empty where no deploy has made it"""
    image: str
    environment: Mapping[str, str]
    addresses: Mapping[str, str]
    """by the name of the network"""


def found(client: Client) -> list[Replica]:
    """Return every container of the project's services, what has ended too."""
    return [
        _replica(raw)
        for raw in client.inspected()
        if raw["Config"]["Labels"].get("com.docker.compose.oneoff") != "True"
    ]


def _replica(raw: Mapping[str, Any]) -> Replica:
    config, state = raw["Config"], raw["State"]
    running = bool(state["Running"]) and not state.get("Restarting")
    health = (state.get("Health") or {}).get("Status") or ("healthy" if running else "")
    return Replica(
        id=raw["Id"],
        service=config["Labels"].get("com.docker.compose.service", ""),
        running=running,
        healthy=running and health == "healthy",
        ended_well=state["Status"] == "exited" and state["ExitCode"] == 0,
        config=config["Labels"].get(LABEL, ""),
        image=config["Image"],
        environment=dict(entry.partition("=")[::2] for entry in config.get("Env") or ()),
        addresses={
            name: network["IPAddress"]
            for name, network in raw["NetworkSettings"]["Networks"].items()
            if network["IPAddress"]
        },
    )
