"""What a deploy does with each service: the rules, as plain functions of the model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from gangway.model.model import Model, keeps_data

PROXY: Final = "nginx"
"""The service in front, which sends requests to the services behind it."""
AT_START: Final = ("HEALTHCHECK_NOTE", "TLS", "TLS_NAMES")
"""The proxy's variables that count when its container starts, and not while it runs."""
LABEL: Final = "dev.gangway.config"
"""The label with the digest of what a service was started with."""

Way = Literal["once", "data", "beside", "after", "settings"]
"""How a service gets a new release: run `once`, before the others; its `data` is left alone; new
replicas `beside` the old; the new one `after` the old has stopped; or only its `settings` change,
which the proxy takes up while it runs."""

STORES: Final = ("postgres", "redis", "broker")
"""The data stores that take a new secret up in a way of their own: prod.rotate."""
# Their data is in memory, and no volume tells.
_IN_MEMORY: Final = ("redis", "broker")
_NOT_A_REASON: Final = ("build", "depends_on", "develop", "labels", "profiles", "scale")


def own_data(model: Model, name: str) -> str:
    """Return the volume that a service has for itself alone, or what is like one; else nothing."""
    others = {
        mount.get("source")
        for other, service in model.services.items()
        for mount in service.get("volumes") or ()
        if other != name and mount["type"] == "volume"
    }
    for mount in model.services[name].get("volumes") or ():
        if keeps_data(mount) and (not mount.get("source") or mount["source"] not in others):
            return f"the volume {mount.get('source') or mount['target']}"
    return "in memory" if name in _IN_MEMORY else ""


def way(model: Model, built: Sequence[str], name: str) -> Way:
    """Return how a service gets a new release; `built` are those whose images are ours."""
    if name in model.one_shots():
        return "once"
    if name not in built and own_data(model, name):
        return "data"
    update = (model.services[name].get("deploy") or {}).get("update_config") or {}
    alone = name == PROXY or own_data(model, name) or update.get("order") != "start-first"
    return "after" if alone else "beside"


def behind(model: Model) -> dict[str, int]:
    """Return the services that the proxy sends requests to, each with its port."""
    told = model.services.get(PROXY, {}).get("environment") or {}
    places = (told.get("PROXY_ROOT"), told.get("PROXY_API"))
    found = {}
    for place in filter(None, places):
        host, _, port = str(place).partition(":")
        if host in model.services and host in model.by_default():
            found[host] = int(port or 80)
    return found


def settings(model: Model) -> dict[str, str]:
    """Return the variables of the proxy that it can take up while it runs."""
    told = model.services[PROXY].get("environment") or {}
    return {name: str(value or "") for name, value in told.items() if name not in AT_START}


def digest(service: Mapping[str, Any], secrets: str = "", *, is_proxy: bool = False) -> str:
    """Return what tells one way of running a service from another.

    `secrets` stands for the content of its secrets. How many replicas there are, and the slot of
    their names, is none of it; nor is what the proxy takes up while it runs.
    """
    kept = {key: value for key, value in service.items() if key not in _NOT_A_REASON}
    if deploy := kept.get("deploy"):
        kept["deploy"] = {
            key: value for key, value in deploy.items() if key not in ("replicas", "update_config")
        }
    if is_proxy:
        told = kept.get("environment") or {}
        kept["environment"] = {name: told[name] for name in AT_START if name in told}
    kept["networks"] = sorted(kept.get("networks") or ())
    text = json.dumps([kept, secrets], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
