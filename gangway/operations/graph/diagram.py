"""What a picture shows of a stack: boxes and links, as plain data taken from the merged model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from gangway.model.model import Model

STATES: Final[Mapping[str, str]] = {
    "service_healthy": "healthy",
    "service_completed_successfully": "completed",
    "service_started": "started",
}
"""What a service waits for, by Compose's name of it."""


@dataclass(frozen=True)
class Port:
    """A published port: `host` is an address of this machine, empty for all of them."""

    host: str
    published: str
    target: str
    protocol: str

    def __str__(self) -> str:
        """Return the port as a reader of the picture is told: where to knock, where it leads."""
        local = self.host in ("127.0.0.1", "::1", "localhost")
        host = "localhost" if local else self.host or "*"
        protocol = "" if self.protocol == "tcp" else f"/{self.protocol}"
        return f"{host}:{self.published} → {self.target}{protocol}"


@dataclass(frozen=True)
class Box:
    """One service. `made_of` is its image, or the folder or Dockerfile that it is built from."""

    name: str
    made_of: str
    runs_once: bool = False
    on_demand: bool = False
    replicas: int = 1
    ports: tuple[Port, ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """A service that waits for another to be healthy, completed or started."""

    waiter: str
    target: str
    state: str


@dataclass(frozen=True)
class Diagram:
    """All that a picture shows; `internal` are the networks without a way out."""

    stack: str
    environment: str
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    networks: tuple[str, ...] = ()
    internal: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """The picture's name."""
        return f"{self.stack} · {self.environment}"

    @property
    def states(self) -> tuple[str, ...]:
        """The states that some service waits for, strongest first."""
        used = {link.state for link in self.links}
        return tuple(state for state in STATES.values() if state in used)


def describe(
    model: Model, *, stack: str, environment: str, optional: Collection[str] = ()
) -> Diagram:
    """Return what to draw of a model: what starts by itself, and on demand (`optional` profiles).

    A dependency on any other service is left out, as Compose leaves it. The order is the names'.
    """
    default = set(model.by_default())
    services = {
        name: service
        for name, service in sorted(model.services.items())
        if name in default or set(optional).intersection(service.get("profiles") or ())
    }
    networks = model.raw.get("networks") or {}
    one_shots = Model({"services": services}).one_shots()
    boxes = [
        _box(name, service, runs_once=name in one_shots, on_demand=name not in default)
        for name, service in services.items()
    ]
    used = sorted({network for box in boxes for network in box.networks})
    return Diagram(
        stack,
        environment,
        tuple(boxes),
        tuple(
            Link(name, target, STATES.get(how.get("condition", ""), "started"))
            for name, service in services.items()
            for target, how in sorted((service.get("depends_on") or {}).items())
            if target in services and target != name
        ),
        tuple(used),
        frozenset(name for name in used if (networks.get(name) or {}).get("internal")),
    )


def _box(name: str, service: Mapping[str, Any], *, runs_once: bool, on_demand: bool) -> Box:
    ports = [
        Port(
            "" if (host := port.get("host_ip") or "") in ("0.0.0.0", "::") else host,
            str(port["published"]),
            str(port["target"]),
            port.get("protocol") or "tcp",
        )
        for port in service.get("ports") or ()
        if port.get("published")
    ]
    volumes = [
        str(mount["source"])
        for mount in service.get("volumes") or ()
        if mount.get("type") == "volume" and mount.get("source")
    ]
    return Box(
        name,
        _made_of(service),
        runs_once,
        on_demand,
        int((service.get("deploy") or {}).get("replicas") or 1),
        tuple(sorted(ports, key=lambda port: (int(port.target), port.published))),
        tuple(sorted(service.get("networks") or ())),
        tuple(sorted(volumes)),
    )


def _made_of(service: Mapping[str, Any]) -> str:
    build = service.get("build")
    if not build:
        return str(service.get("image") or "")
    arguments = build.get("args") or {}
    if app := arguments.get("APP"):
        return f"apps/{app}"
    file = str(build.get("dockerfile") or "Dockerfile")
    # Compose spells relative paths out; the picture must not differ from machine to machine.
    path = PurePath(file)
    context = str(build.get("context") or "")
    return str(path.relative_to(context)) if path.is_relative_to(context) else file
