"""The rendered Compose model: what `docker compose config --format json` says, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


def stop_order(needs: Mapping[str, Iterable[str]]) -> Iterator[list[str]]:
    """Yield services in an order in which nothing stops before those that depend on it.

    `needs` maps each to what it depends on; those that are yielded together may stop together.
    """
    left = set(needs)
    while left:
        needed = {needed for name in left for needed in needs[name]}
        level = sorted(left - needed) or sorted(left)
        yield level
        left -= set(level)


def unescaped(node: Any) -> Any:
    """Return a part of the model with `$$` as `$`: Compose writes its output to be read again."""
    if isinstance(node, str):
        return node.replace("$$", "$")
    if isinstance(node, Mapping):
        return {key: unescaped(value) for key, value in node.items()}
    if isinstance(node, list):
        return [unescaped(value) for value in node]
    return node


def replicas(service: Mapping[str, Any]) -> int:
    """Return how many containers a service of the model has."""
    number = service.get("scale")
    if number is None:
        number = (service.get("deploy") or {}).get("replicas")
    return 1 if number is None else int(number)


def keeps_data(mount: Mapping[str, Any]) -> bool:
    """Say whether a mount is a volume with data in it, and not one for what may go at any time."""
    scratch = str(mount["target"]).startswith(("/var/tmp", "/var/cache"))  # noqa: S108
    return mount["type"] == "volume" and not scratch


class PublishedPort(NamedTuple):
    """A service's port as the host sees it."""

    service: str
    host: str
    port: int
    target: int
    protocol: str = "tcp"


@dataclass(frozen=True)
class Model:
    """The merged model of one environment; `raw` is Compose's own JSON.

    `profiles` are those that a start turns on by itself; a service of another profile is there to
    be asked for by name.
    """

    raw: Mapping[str, Any]
    profiles: frozenset[str] = frozenset()

    @property
    def project(self) -> str:
        """The Compose project's name."""
        return str(self.raw["name"])

    @property
    def services(self) -> Mapping[str, Mapping[str, Any]]:
        """Every service of the stack by name."""
        services: Mapping[str, Mapping[str, Any]] = self.raw.get("services") or {}
        return services

    def by_default(self) -> list[str]:
        """Return the services that are started where none is named."""
        return [
            name
            for name, service in self.services.items()
            if not service.get("profiles") or self.profiles.intersection(service["profiles"])
        ]

    def one_shots(self) -> frozenset[str]:
        """Return the services that others wait for to complete, and so are meant to end."""
        return frozenset(
            name
            for service in self.services.values()
            for name, condition in (service.get("depends_on") or {}).items()
            if condition.get("condition") == "service_completed_successfully"
        )

    def wanted(self, services: Iterable[str]) -> list[str]:
        """Return the named services, or those started by default, with all that they depend on."""
        todo = list(services) or self.by_default()
        found: dict[str, None] = {}
        while todo:
            name = todo.pop(0)
            if name not in found and name in self.services:
                found[name] = None
                todo.extend(self.services[name].get("depends_on") or {})
        return sorted(found, key=list(self.services).index)

    def published(self) -> list[PublishedPort]:
        """Return the published ports, ordered by service and port.

        Of a range the engine takes one that is free: it isn't among them.
        """
        return [
            PublishedPort(
                name,
                port.get("host_ip") or "0.0.0.0",
                int(port["published"]),
                int(port["target"]),
                port.get("protocol") or "tcp",
            )
            for name, service in sorted(self.services.items())
            for port in service.get("ports") or ()
            if str(port.get("published") or "").isdecimal()
        ]

    def networks(self, service: str) -> dict[str, bool]:
        """Return the engine's names of a service's networks, and whether each is internal."""
        known = self.raw.get("networks") or {}
        described = {
            name: known.get(name) or {} for name in self.services[service].get("networks") or {}
        }
        return {
            str(each.get("name") or name): bool(each.get("internal"))
            for name, each in described.items()
        }

    def volumes(self) -> list[str]:
        """Return the engine's names of the volumes that hold data."""
        mounts = [
            mount for service in self.services.values() for mount in service.get("volumes") or ()
        ]
        scratch = {mount.get("source") for mount in mounts if not keeps_data(mount)}
        return sorted(
            str(volume["name"])
            for name, volume in (self.raw.get("volumes") or {}).items()
            if name not in scratch
        )
