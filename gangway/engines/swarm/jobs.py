"""Commands that run once, in a container of their own on some node."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.base.process import Completed
from gangway.engines.swarm import logs
from gangway.engines.swarm.cluster import Json, Swarm
from gangway.engines.swarm.labels import ONE_OFF

_TICK: Final = 0.2
# Seconds until a node must have been found for it.
_PLACED: Final = 60.0
_BEGUN: Final = ("running", "complete", "failed", "rejected")


def job(spec: Json, service: str, words: Sequence[str], *, entrypoint: str = "") -> Json:
    """Return a service's spec as a job that runs `words` in its place.

    An `entrypoint` takes the place of the service's own.
    """
    task = {**spec["TaskTemplate"], "RestartPolicy": {"Condition": "none"}}
    container = {**task["ContainerSpec"], "Healthcheck": {"Test": ["NONE"]}}
    if words:
        container["Args"] = list(words)
    if entrypoint:
        container["Command"] = [entrypoint]
    task["ContainerSpec"] = container
    # Whoever asks for the service by its name doesn't mean this.
    task["Networks"] = [{**each, "Aliases": []} for each in task["Networks"]]
    kept = {key: spec[key] for key in ("Labels",)}
    return {
        "Name": f"{spec['Name'][:48]}-run-{secrets.token_hex(4)}",
        "Labels": {**kept["Labels"], ONE_OFF: service},
        "TaskTemplate": task,
        "Mode": {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}},
        "EndpointSpec": {"Mode": "dnsrr"},
    }


def shown(swarm: Swarm, spec: Json) -> int:
    """Run a job, what it writes on our own streams, and return its exit status."""
    with _made(swarm, spec) as number:
        task = _begun(swarm, number)
        written = logs.Written(swarm, task["ID"])
        written.follow()
        status = _ended(swarm, task)
        written.finish()
        return status


def attached(swarm: Swarm, spec: Json) -> int:
    """Run a job on this terminal, and return its exit status.

    It runs where a node's own engine answers us: here, unless its data is elsewhere.
    """
    task = {**spec["TaskTemplate"]}
    task["ContainerSpec"] = {**task["ContainerSpec"], "TTY": True, "OpenStdin": True}
    placement = {**(task.get("Placement") or {})}
    if not placement.get("Constraints"):
        placement["Constraints"] = [f"node.id=={swarm.here}"]
    task["Placement"] = placement
    with _made(swarm, {**spec, "TaskTemplate": task}) as number:
        begun = _begun(swarm, number)
        host = swarm.engine_of(str(begun["NodeID"])).host
        docker = ["docker", *(["--host", host] if host else [])]
        container = str(begun["Status"]["ContainerStatus"]["ContainerID"])
        if begun["Status"]["State"] == "running":
            swarm.environment.runner.run([*docker, "attach", container])
        return _ended(swarm, swarm.api.get(f"/tasks/{begun['ID']}"))


def captured(swarm: Swarm, spec: Json, words: Sequence[str]) -> Completed:
    """Run a job and return what it said; `words` are what it is called by."""
    with _made(swarm, spec) as number:
        task = _begun(swarm, number)
        status = _ended(swarm, task)
        said = {"stdout": b"", "stderr": b""}
        for stream, data in swarm.api.output(f"/tasks/{task['ID']}/logs", stdout=1, stderr=1):
            said[stream] += data
        out, err = (said[stream].decode(errors="replace") for stream in ("stdout", "stderr"))
        return Completed(tuple(words), status, out, err)


@contextmanager
def _made(swarm: Swarm, spec: Json) -> Iterator[str]:
    number = swarm.create(spec)
    try:
        yield number
    finally:
        swarm.api.delete(f"/services/{number}")


def _begun(swarm: Swarm, number: str) -> Mapping[str, Any]:
    """Return a job's task once it runs; raises GangwayError where it can't be run."""
    until = time.monotonic() + _PLACED
    while True:
        found = swarm.api.find("/tasks", service=[number])
        status = found[0]["Status"] if found else {}
        if status.get("State") == "rejected":
            raise GangwayError(f"it can't be run: {status.get('Err')}")
        if status.get("State") in _BEGUN:
            task: Mapping[str, Any] = found[0]
            return task
        if time.monotonic() > until:
            why = status.get("Err") or status.get("Message") or "it has no task"
            raise GangwayError(f"no node has begun it within {_PLACED:g} s: {why}")
        time.sleep(_TICK)


def _ended(swarm: Swarm, task: Mapping[str, Any]) -> int:
    status = task["Status"]
    while status.get("State") == "running":
        time.sleep(_TICK)
        status = swarm.api.get(f"/tasks/{task['ID']}")["Status"]
    return int((status.get("ContainerStatus") or {}).get("ExitCode") or 0)
