"""What a picture shows of a stack: boxes and links, as plain data taken from the merged model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final, NamedTuple

from gangway.model.model import Model, keeps_data, replicas

_STATES: Final = {
    "service_healthy": "healthy",
    "service_completed_successfully": "completed",
}
_ADDRESSES: Final = {"127.0.0.1": "localhost", "::1": "localhost", "0.0.0.0": "*", "::": "*"}


class Box(NamedTuple):
    """One service, which serves, runs once or keeps data, and the lines about it below its name."""

    name: str
    kind: str
    lines: tuple[str, ...]


class Link(NamedTuple):
    """A service that waits for another, which is to be healthy, completed or started."""

    waiter: str
    target: str
    state: str


class Diagram(NamedTuple):
    """All that a picture shows."""

    title: str
    boxes: tuple[Box, ...]
    links: tuple[Link, ...]


def describe(model: Model, title: str, optional: Collection[str] = ()) -> Diagram:
    """Return what to draw of a model: what starts by itself, and on demand (`optional` profiles).

    A dependency on any other service is left out, as Compose leaves it. The order is the names'.
    """
    default = set(model.by_default())
    services = {
        name: service
        for name, service in sorted(model.services.items())
        if name in default or set(optional).intersection(service.get("profiles") or ())
    }
    one_shots = Model({"services": services}).one_shots()
    networks = model.raw.get("networks") or {}
    boxes, links = [], []
    for name, service in services.items():
        notes = ["runs once"] * (name in one_shots) + ["on demand"] * (name not in default)
        volumes = sorted(
            f"volume: {mount['source']}"
            for mount in service.get("volumes") or ()
            if keeps_data(mount) and mount.get("source")
        )
        lines = [_made_of(service), *notes, *_reach(service, networks), *volumes]
        kind = "runs once" if name in one_shots else "keeps data" if volumes else "serves"
        boxes.append(Box(name, kind, tuple(filter(None, lines))))
        for target, how in sorted((service.get("depends_on") or {}).items()):
            if target in services and target != name:
                links.append(Link(name, target, _STATES.get(how.get("condition"), "started")))
    return Diagram(title, tuple(boxes), tuple(links))


def _reach(service: Mapping[str, Any], networks: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many containers there are, their published ports and their networks."""
    if (number := replicas(service)) > 1:
        yield f"{number} copies"
    published = [port for port in service.get("ports") or () if port.get("published")]
    for port in sorted(published, key=lambda port: (int(port["target"]), str(port["published"]))):
        host = port.get("host_ip") or "*"
        protocol = "/udp" if port.get("protocol") == "udp" else ""
        host = _ADDRESSES.get(host, f"[{host}]" if ":" in host else host)
        yield f"{host}:{port['published']} → {port['target']}{protocol}"
    joined = [
        f"{name} (internal)" if (networks.get(name) or {}).get("internal") else name
        for name in sorted(service.get("networks") or ())
    ]
    if len(networks) > 1 and joined:
        yield f"networks: {', '.join(joined)}"


def _made_of(service: Mapping[str, Any]) -> str:
    """Return a service's image, or the folder or Dockerfile that it is built from."""
    build = service.get("build")
    if not build:
        return str(service.get("image") or "")
    if app := (build.get("args") or {}).get("APP"):
        return str(app)
    file = PurePath(build.get("dockerfile") or "Dockerfile")
    # Compose spells relative paths out; the picture must not differ from machine to machine.
    context = str(build.get("context") or "")
    return str(file.relative_to(context) if file.is_relative_to(context) else file)
