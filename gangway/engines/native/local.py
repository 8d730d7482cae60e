"""The model's services as they are on this machine: its paths, its ports, its name for itself.

What a container engine's mounts and networks do for a container is done to a service's variables
and commands here. A path where something is mounted becomes that file or folder;
`http://api:8000` becomes the address that api's port 8000 is published on, and so do BROKER_HOST
with BROKER_PORT; and a service that is told its port, by APP_PORT, PORT or REDIS_PORT, listens on
the published one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from gangway.model.model import Model, PublishedPort, unescaped

Service = Mapping[str, Any]

HOST: Final = "127.0.0.1"
PORT_NAMES: Final = ("APP_PORT", "PORT", "REDIS_PORT")
# The place of a server in a URL: behind the slashes, or behind a user's name and password.
_SERVER: Final = re.compile(r"(?<=//)((?:[^/?#@\s]*@)?)([a-z0-9][a-z0-9_.-]*):(\d+)\b")


def localized(model: Model) -> dict[str, dict[str, Any]]:
    """Return the services by name, each as it is right without containers."""
    return {
        name: {**service, **dict(_local(name, service, model))}
        for name, service in unescaped(model.services).items()
    }


def local_words(words: Sequence[str], service: Service, model: Model) -> list[str]:
    """Return a command's words with the paths that they have on this machine."""
    return [_local_path(word, service, model) for word in words]


def _local(name: str, service: Service, model: Model) -> Iterator[tuple[str, Any]]:
    published = model.published()
    environment = {
        key: value if value is None else _local_value(str(value), service, model, published)
        for key, value in (service.get("environment") or {}).items()
    }
    others = dict(_others_addresses(environment, published))
    yield "environment", environment | others | dict(_own_address(name, service, published))
    for key in ("entrypoint", "command"):
        if words := service.get(key):
            yield key, local_words(words, service, model)
    if check := service.get("healthcheck"):
        yield "healthcheck", {**check, "test": local_words(check.get("test") or (), service, model)}


def _local_value(value: str, service: Service, model: Model, published: list[PublishedPort]) -> str:
    if value.startswith("/"):
        return _local_path(value, service, model)

    def address(found: re.Match[str]) -> str:
        login, server, number = found.groups()
        for port in published:
            if (port.service, str(port.target)) == (server, number):
                return f"{login}{HOST}:{port.port}"
        return found[0]

    return _SERVER.sub(address, value)


def _local_path(path: str, service: Service, model: Model) -> str:
    for target, source in _mounts(service, model):
        if path == target or path.startswith(f"{target}/"):
            return source + path[len(target) :]
        # A folder of files that are mounted one by one.
        inside, file = PurePosixPath(target), PurePosixPath(source)
        if path == str(inside.parent) and inside.name == file.name:
            return str(file.parent)
    return path


def _mounts(service: Service, model: Model) -> Iterator[tuple[str, str]]:
    """Yield where something of this machine is mounted, and what."""
    for mount in service.get("volumes") or ():
        if mount["type"] == "bind":
            yield mount["target"], mount["source"]
    for kind, folder in (("secrets", "/run/secrets"), ("configs", "")):
        for entry in service.get(kind) or ():
            file = (model.raw.get(kind) or {}).get(entry["source"], {}).get("file")
            if file:
                yield entry.get("target") or f"{folder}/{entry['source']}", unescaped(file)


def _others_addresses(
    environment: Mapping[str, str | None], published: list[PublishedPort]
) -> Iterator[tuple[str, str]]:
    """Yield the variables that say in two where another service is: NAME_HOST and NAME_PORT."""
    places = {(port.service, str(port.target)): port for port in published}
    for variable, server in environment.items():
        number = f"{variable.removesuffix('_HOST')}_PORT"
        port = places.get((server or "", environment.get(number) or ""))
        if variable.endswith("_HOST") and port:
            yield variable, HOST
            yield number, str(port.port)


def _own_address(
    name: str, service: Service, published: list[PublishedPort]
) -> Iterator[tuple[str, str]]:
    environment = service.get("environment") or {}
    for variable in PORT_NAMES:
        for port in published:
            if port.service == name and str(environment.get(variable)) == str(port.target):
                yield variable, str(port.port)
                yield "APP_HOST", port.host
