"""What a shipped stack must be, whatever production-like environment it runs in."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.e2e.support import GLANCE, Checkout, docker, eventually, inspect, web

SERVICES = {"api", "app", "scheduler", "migrate", "nginx", "postgres", "redis"}
VOLUMES = ("api-scratch", "app-scratch", "nginx-scratch", "postgres-data")
Record = dict[str, Any]
#: What the proxy logs where Docker's name server has forgotten a service for a moment, as that does
#: while replicas come and go. The proxy's list of them is empty then, until it has asked again.
FORGOTTEN = " {service} could not be resolved (3: Host not found)"
EMPTY = "no live upstreams"
#: It asks every two seconds, and its log has whole ones.
ASKED_AGAIN = timedelta(seconds=3)


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
        "mounts nothing but secrets and configs": all(
            mount["Destination"].startswith(("/run/secrets/", "/etc/gangway/")) and not mount["RW"]
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
    files = (path for path in folder.iterdir() if path.is_file())
    return {path.name: path.read_text(encoding="utf-8").strip() for path in files}


def proxy_errors(checkout: Checkout, environment: str) -> list[str]:
    """Return what the proxy complained of."""
    (nginx,) = checkout.containers(environment, "nginx")
    lines = docker("logs", nginx["Id"]).stderr.splitlines()
    return [line for line in lines if "[error]" in line]


def ask(client: httpx.Client, path: str) -> tuple[str, httpx.Response]:
    """Send a GET; return what tells it from all others in the proxy's logs, and the answer."""
    mark = uuid.uuid4().hex
    return mark, client.get(path, params={"mark": mark}, headers={"X-Request-ID": mark})


def answerers(
    checkout: Checkout, environment: str, service: str, marks: Collection[str]
) -> Counter[str]:
    """Return how many of these requests each container of a service answered, by its short id.

    The proxy's access log says so: in production nobody else tells what a container is called.
    """
    named = {
        network["IPAddress"]: record["Id"][:12]
        for record in checkout.containers(environment, service)
        for network in record["NetworkSettings"]["Networks"].values()
        if network["IPAddress"]
    }
    wanted, lines = set(marks), dict[str, str]()

    def logged() -> bool:
        (nginx,) = checkout.containers(environment, "nginx")
        for text in docker("logs", "--tail", "20000", nginx["Id"]).stdout.splitlines():
            if text.startswith("{") and (line := json.loads(text))["request_id"] in wanted:
                # Of those that were tried the last one answered.
                lines[line["request_id"]] = re.split(r", | : ", line["upstream"])[-1]
        return lines.keys() == wanted

    # The engine takes the lines over a moment after the answer.
    eventually(logged, within=5, what="the access log's lines")
    addresses = (upstream.rpartition(":")[0] for upstream in lines.values())
    return Counter(named.get(address, address) for address in addresses)


def forgotten(lines: Sequence[str], mark: str, service: str) -> bool:
    """Say whether a request was refused because Docker's name server had forgotten the service."""
    own = [number for number, line in enumerate(lines) if mark in line]
    if not own or EMPTY not in lines[own[-1]]:
        return False
    before = lines[: own[-1]]
    said = [line for line in before if line.endswith(FORGOTTEN.format(service=service))]
    return bool(said) and _at(lines[own[-1]]) - _at(said[-1]) <= ASKED_AGAIN


def _at(line: str) -> datetime:
    return datetime.strptime(line[:19], "%Y/%m/%d %H:%M:%S")  # noqa: DTZ007 - compared alone


def blame(checkout: Checkout, environment: str, service: str, refused: Collection[str]) -> None:
    """Fail where the proxy answered one of these requests with 502 for any other reason than that.

    Its log must say of each that Docker's name server had forgotten the service.
    """
    if not refused:
        return

    def logged() -> bool:
        said = "\n".join(proxy_errors(checkout, environment))
        return all(mark in said for mark in refused)

    with suppress(AssertionError):
        # The engine takes the lines over a moment after the answer.
        eventually(logged, within=5)
    lines = proxy_errors(checkout, environment)
    faults = [mark for mark in refused if not forgotten(lines, mark, service)]
    about = [
        line
        for line in lines
        if "could not be resolved" in line or any(mark in line for mark in faults)
    ]
    assert not faults, "\n".join(
        [f"the proxy refused {len(faults)} requests though it could resolve {service}:", *about]
    )


def settled(
    checkout: Checkout, environment: str, url: str, service: str, path: str, within: float = 20.0
) -> None:
    """Wait until the proxy knows a service's replicas: all those that run, and nobody else.

    It tries in turn whoever the name server named last, and logs who doesn't answer. Whatever it
    refuses meanwhile must be the name server's fault.
    """
    running = {
        record["Id"][:12]
        for record in checkout.containers(environment, service)
        if record["State"]["Running"]
    }
    deadline = time.monotonic() + within
    with web(url) as client:
        while True:
            before = len(proxy_errors(checkout, environment))
            asked = [ask(client, path) for _ in range(2 * len(running) + 4)]
            refused = [mark for mark, answer in asked if answer.status_code == 502]
            blame(checkout, environment, service, refused)
            wrong = [answer for _, answer in asked if answer.status_code not in (200, 502)]
            assert not wrong, f"{wrong[0].status_code} for {path}: {wrong[0].text}"
            well = [mark for mark, answer in asked if answer.status_code == 200]
            found = set(answerers(checkout, environment, service, well))
            complaints = proxy_errors(checkout, environment)[before:]
            if not refused and not complaints and found == running:
                return
            late = (
                f"after {within:g} s, {found} of {running} answer, and the proxy says {complaints}"
            )
            if refused:
                late = f"Docker's name server has known no {service} for {within:g} s (FORGOTTEN)"
            assert time.monotonic() < deadline, late
            time.sleep(GLANCE)


def own_up(refused: int, service: str) -> None:
    """End a test in which Docker's name server alone cost answers as what is known to fail."""
    if refused:
        pytest.xfail(
            f"{refused} x 502: Docker's name server said 'Host not found' of {service}, which runs"
            " (known: tests/e2e/production.py, FORGOTTEN)"
        )
