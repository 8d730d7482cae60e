"""The model of a release: Compose's merged model with nothing of the checkout in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.model.model import Model

# What is the builder's, or makes no difference to containers.
_LEFT_OUT: Final = ("build", "develop", "env_file", "pull_policy")
# `$$` is Compose's way to write `$`.
_REFERENCE: Final = re.compile(r"\$\$|\$\{(\w+)\}")
# Of a shorter secret, the same characters may be anything.
_SHORTEST: Final = 8


def services_of(model: Model, optional: Iterable[str]) -> list[str]:
    """Return the services of a release: those that are on, and those for whoever asks by name.

    `optional` are the profiles of the latter. One of them that is built here isn't among them: no
    start builds it.
    """
    profiles = set(optional)
    on_demand = [
        name
        for name, service in model.services.items()
        if profiles.intersection(service.get("profiles") or ()) and "build" not in service
    ]
    return model.wanted([*model.by_default(), *on_demand])


def released(
    model: Model,
    services: Iterable[str],
    images: Mapping[str, str],
    *,
    contents: Mapping[str, str],
    secrets: Mapping[str, str],
    root: PurePath,
) -> dict[str, Any]:
    """Return the model of a release, as `gangway.model.release.Release` has it.

    `images` are the names of those that are built here, by service; `contents` those of the
    configs that are files; `secrets` the values of the variables that are secret, by name: in
    their place the model refers to the variable. Raises GangwayError where a service can't be
    without the checkout's folder, `root`.
    """
    raw, wanted = model.raw, set(services)
    found = {
        name: _service(name, raw["services"][name], images.get(name), wanted, model.profiles, root)
        for name in model.services
        if name in wanted
    }
    kept: dict[str, Any] = {"name": raw["name"], "services": _referring(found, secrets)}
    for kind in ("networks", "volumes", "configs", "secrets"):
        used = _used(found.values(), kind)
        kept[kind] = {name: entry for name, entry in (raw.get(kind) or {}).items() if name in used}
    kept["configs"] = {
        name: _config(entry, contents.get(name)) for name, entry in kept["configs"].items()
    }
    kept["secrets"] = {name: _secret(name, entry) for name, entry in kept["secrets"].items()}
    for name, volume in kept["volumes"].items():
        _refuse_folder(f"volume {name}", (volume.get("driver_opts") or {}).get("device"), root)
    return kept


def needs(node: Any) -> list[str]:
    """Return the variables that a release's model (or a part of it) refers to, in order."""
    if isinstance(node, str):
        return [found[1] for found in _REFERENCE.finditer(node) if found[1]]
    parts = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    return list(dict.fromkeys(name for part in parts for name in needs(part)))


def accept_newer(model: Model) -> None:
    """Have a model's migrations live with a database that is ahead: it has been judged by then."""
    for name in model.one_shots():
        service = model.raw["services"][name]
        service["environment"] = {
            **(service.get("environment") or {}),
            "MIGRATE_NEWER": "accept",
        }


def filled(node: Any, values: Mapping[str, str]) -> Any:
    """Return a release's model (or a part of it) with the values of the variables it refers to.

    `$` is still written as Compose writes it, `$$`. Raises KeyError for a variable without value.
    """
    if isinstance(node, str):
        return _REFERENCE.sub(
            lambda found: values[found[1]].replace("$", "$$") if found[1] else found[0], node
        )
    if isinstance(node, Mapping):
        return {key: filled(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, values) for value in node]
    return node


def _service(
    name: str,
    service: Mapping[str, Any],
    image: str | None,
    wanted: set[str],
    profiles: frozenset[str],
    root: PurePath,
) -> dict[str, Any]:
    kept = {key: value for key, value in service.items() if key not in _LEFT_OUT}
    if image:
        kept |= {"image": image, "pull_policy": "never"}
    elif "pull_policy" in service:
        kept["pull_policy"] = service["pull_policy"]
    if profiles.intersection(kept.get("profiles") or ()):
        del kept["profiles"]
    # What nothing sets is absent, and stays so whatever the shell has that starts it.
    if environment := kept.get("environment"):
        kept["environment"] = {key: each for key, each in environment.items() if each is not None}
    if before := kept.get("depends_on"):
        kept["depends_on"] = {key: each for key, each in before.items() if key in wanted}
    for mount in kept.get("volumes") or ():
        if mount.get("type") == "bind":
            _refuse_folder(f"service {name}", mount["source"], root)
    return kept


def _refuse_folder(who: str, path: str | None, root: PurePath) -> None:
    if path and PurePath(path).is_relative_to(root):
        raise GangwayError(
            f"{who} mounts {PurePath(path).relative_to(root)} of the checkout, and a release has "
            "nothing of it",
            fix="a file: make it one of the configs; data: make it a volume; "
            "sources: copy them into the image",
        )


def _used(services: Iterable[Mapping[str, Any]], kind: str) -> set[str]:
    """Return the names of the networks, volumes, configs or secrets that services have."""
    found: set[str] = set()
    for service in services:
        entries = service.get(kind) or ()
        if kind == "networks":
            found |= set(entries) or ({"default"} if not service.get("network_mode") else set())
        elif kind == "volumes":
            found |= {
                each["source"]
                for each in entries
                if each["type"] == "volume" and each.get("source")
            }
        else:
            found |= {each["source"] for each in entries}
    return found


def _config(entry: Mapping[str, Any], content: str | None) -> dict[str, Any]:
    if content is None:
        return dict(entry)
    kept = {key: value for key, value in entry.items() if key not in ("file", "environment")}
    return {**kept, "content": content.replace("$", "$$")}


def _secret(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    if entry.get("external"):
        return dict(entry)
    if variable := entry.get("environment"):
        return {"name": name, "environment": variable}
    path = str(entry.get("file") or "")
    return {"name": name, "file": "" if path in ("", "/dev/null") else PurePath(path).name}


def _referring(node: Any, secrets: Mapping[str, str]) -> Any:
    """Return a part of the model with references in place of the values of secret variables."""
    if isinstance(node, Mapping):
        return {key: _referring(value, secrets) for key, value in node.items()}
    if isinstance(node, list):
        return [_referring(value, secrets) for value in node]
    if isinstance(node, str):
        for name, value in secrets.items():
            written = value.replace("$", "$$")
            if node == written or (len(value) >= _SHORTEST and written in node):
                node = node.replace(written, f"${{{name}}}")
    return node
