"""What a shipped stack must be, whatever production-like environment it runs in."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.support import Checkout, docker, inspect

SERVICES = {"api", "app", "scheduler", "migrate", "nginx", "postgres", "redis"}
Record = dict[str, Any]


def by_service(checkout: Checkout, environment: str) -> dict[str, Record]:
    """Return the engine's record of one container of each service."""
    return {
        record["Config"]["Labels"]["com.docker.compose.service"]: record
        for record in checkout.containers(environment)
    }


def faults(service: str, record: Record) -> list[str]:
    """Return what is not as production must have it in a container, by the engine's account."""
    host, config = record["HostConfig"], record["Config"]
    # What is built here is named after the project; nginx itself is fit to be process 1.
    built = config["Image"].startswith(config["Labels"]["com.docker.compose.project"])
    app = built and service != "nginx"
    held = {
        "is not root": config["User"].split(":")[0] not in ("", "0", "root"),
        "has a group that is not root's": config["User"].partition(":")[2] not in ("", "0"),
        "has a read-only root": host["ReadonlyRootfs"],
        "drops all capabilities": host["CapDrop"] == ["ALL"] and not host["CapAdd"],
        "gets no new privileges": "no-new-privileges:true" in host["SecurityOpt"],
        "is not privileged": not host["Privileged"] and not host["Devices"],
        "shares no namespace": host["NetworkMode"] != "host" and not host["PidMode"],
        "mounts nothing but secrets": all(
            mount["Destination"].startswith("/run/secrets/") and not mount["RW"]
            for mount in record["Mounts"]
            if mount["Type"] == "bind"
        ),
        "has a memory limit": host["Memory"] > 0,
        "has a limit of processes": (host["PidsLimit"] or 0) > 0,
        "has a limit of CPU": host["NanoCpus"] > 0,
        "rotates its log": {"max-size", "max-file"} <= set(host["LogConfig"]["Config"]),
        "restarts": host["RestartPolicy"]["Name"]
        == ("no" if service == "migrate" else "unless-stopped"),
        "has a health check": service == "migrate" or bool(config.get("Healthcheck")),
        "publishes a port only as the proxy": bool(host["PortBindings"]) == (service == "nginx"),
        "has an init": not app or host.get("Init") is True,
    }
    return [f"{service}: not true that it {what}" for what, holds in held.items() if not holds]


def exposures(checkout: Checkout, environment: str, secrets: dict[str, str]) -> list[str]:
    """Return every place in which the value of a secret can be read from outside its file.

    A health check has the password in its own environment for the moment that it takes: what is
    there once and not the next time is not meant.
    """
    found = _exposures(checkout, environment, secrets)
    return [each for each in found if each in _exposures(checkout, environment, secrets)]


def _exposures(checkout: Checkout, environment: str, secrets: dict[str, str]) -> list[str]:
    places: dict[str, str] = {}
    for record in checkout.containers(environment):
        name, running = record["Name"], record["State"]["Running"]
        places[f"docker inspect {name}"] = json.dumps(record)
        places[f"the image of {name}"] = json.dumps(inspect([record["Image"]]))
        history = docker("history", "--no-trunc", "--format", "{{json .}}", record["Image"])
        places[f"the history of {name}"] = history.stdout
        logs = docker("logs", record["Id"])
        places[f"the log of {name}"] = logs.stdout + logs.stderr
        if running:
            places[f"docker top {name}"] = docker("top", record["Id"], "auxww").stdout
            show = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'"
            places[f"processes of {name}"] = docker("exec", record["Id"], "sh", "-c", show).stdout
            if record["Config"]["Image"].startswith("postgres:"):
                # The official image hands the password to its server's own environment.
                del places[f"processes of {name}"]
    assert all(text for place, text in places.items() if not place.startswith("the log")), places
    return [
        f"{secret} in {place}"
        for place, text in places.items()
        for secret, value in secrets.items()
        if value in text
    ]


def read_secrets(checkout: Checkout, environment: str) -> dict[str, str]:
    """Return the values of the environment's secrets by file name."""
    folder = checkout.root / "secrets" / environment
    return {path.name: path.read_text(encoding="utf-8").strip() for path in folder.iterdir()}
