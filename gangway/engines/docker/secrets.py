"""Secrets and configs, from files of this machine to a volume of the engine.

A release mounts no file of a checkout: what a service reads is copied into the volume
`PROJECT-secrets`, and its mount there is a subpath of that. So it runs on another machine as on
this one, and what a running container reads stays as it is while a new one gets something else.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from gangway.engines.delivered import FOLDERS, Content, Owner, contents, entries, owner, steady
from gangway.engines.docker.client import Client
from gangway.engines.docker.kept import File, Folder
from gangway.model.model import Model, unescaped
from gangway.model.render import rendered
from gangway.settings import contract

VOLUME: Final = "gangway-secrets"
"""The volume's name in the model."""
_DIGITS: Final = 16


class Placed(NamedTuple):
    """A release's model with mounts in place of secrets and configs, and what they mount.

    `files` go into the volume. `digests` has one for each service: it changes when the content of
    a secret does that the service reads, and tells nothing about that; empty where it reads none,
    and for the steady.
    """

    model: Mapping[str, Any]
    files: Mapping[str, File]
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Delivery:
    """What a release's services read, and the model that mounts it; see `Placed`."""

    client: Client
    placed: Placed

    @property
    def model(self) -> Mapping[str, Any]:
        """The release's model as it is started."""
        return self.placed.model

    @property
    def digests(self) -> Mapping[str, str]:
        """A digest of the secrets of each service, empty where none may move it."""
        return self.placed.digests

    def put(self) -> None:
        """Write the files to the engine's volume; raises GangwayError where it can't."""
        if self.placed.files:
            _folder(self.client).write(self.placed.files)

    def tidy(self) -> None:
        """Empty what no container mounts and no next start would: secrets that were replaced."""
        folder = _folder(self.client)
        mounted = {*self.placed.files, *self.client.subpaths()}
        old = stale(folder.read(), mounted)
        if old:
            folder.write(dict.fromkeys(old, File(b"", mode=0o400)))


def prepare(client: Client, model: Mapping[str, Any]) -> Delivery:
    """Return what the services of a release's model read, from the files of this machine.

    Nothing is changed yet. Raises FindingsError with all the secrets that are missing.
    """
    environment = client.environment
    services = Model(model, frozenset(environment.profiles)).wanted(())
    here = rendered(environment)
    known = contract.load(environment.root)
    secrets = contents(environment, model, here, known, services, is_local=client.is_local)
    return Delivery(client, place(model, secrets, steady=steady(model)))


def stale(there: Mapping[str, bytes], mounted: Collection[str]) -> list[str]:
    """Return which files with something in them are neither mounted nor in a folder that is."""
    kept = set(mounted)
    return [path for path, data in there.items() if data and not kept & {path, *_folders(path)}]


def _folders(path: str) -> set[str]:
    return {str(folder) for folder in PurePosixPath(path).parents}


def forget(client: Client) -> None:
    """Remove the volume with all that is in it."""
    _folder(client).remove()


def place(
    model: Mapping[str, Any], secrets: Mapping[str, Content], *, steady: Collection[str] = ()
) -> Placed:
    """Return a release's `model` as it is started, and what goes into the volume for it.

    `secrets` are their contents by name. What a service mounts is a file of that very content, so
    that a new one is another mount; the `steady` services, which keep data, mount a place that
    stays the same: a folder of their own where it can be, in which they see a new one at once.
    Configs are part of the release: theirs is a new place for all.
    """
    project = str(model["name"])
    configs = unescaped(model.get("configs") or {})
    files: dict[str, File] = {}
    digests = dict.fromkeys(model.get("services") or (), "")
    services: dict[str, Any] = {}
    for service, raw in (model.get("services") or {}).items():
        left = {key: value for key, value in raw.items() if key not in FOLDERS}
        mounts: list[Mapping[str, Any]] = []
        for entry, target in entries(raw, "configs"):
            whose = owner(raw, entry, 0o444)
            data = str(configs[entry["source"]]["content"]).encode()
            path = f"{entry['source']}.{_digest(project, data, whose)}"
            files[path] = File(data, *whose)
            mounts.append(_mount(path, target))
        kept, mounted, digests[service] = _secrets(
            project, service, raw, secrets, is_steady=service in steady
        )
        files |= kept
        mounts += mounted
        if mounts:
            left["volumes"] = [*(raw.get("volumes") or ()), *mounts]
        services[service] = left
    whole = {key: value for key, value in model.items() if key not in FOLDERS}
    whole["services"] = services
    if files:
        volume = {"external": True, "name": f"{project}-secrets"}
        whole["volumes"] = {**(model.get("volumes") or {}), VOLUME: volume}
    return Placed(whole, files, digests)


def _secrets(
    project: str,
    service: str,
    raw: Mapping[str, Any],
    secrets: Mapping[str, Content],
    *,
    is_steady: bool,
) -> tuple[dict[str, File], list[Mapping[str, Any]], str]:
    """Return the files that are a service's secrets, what mounts them, and their digest."""
    files: dict[str, File] = {}
    if is_steady and _in_one_folder(raw, secrets):
        folder = f"{service}.now"
        for entry, target in entries(raw, "secrets"):
            whose, inside = owner(raw, entry, 0o400), target.removeprefix(FOLDERS["secrets"])
            if isinstance(data := secrets[entry["source"]], bytes):
                files[f"{folder}/{inside}"] = File(data, *whose)
        return files, [_mount(folder, FOLDERS["secrets"].rstrip("/"))], ""
    mounts: list[Mapping[str, Any]] = []
    read: list[str] = []
    for entry, target in entries(raw, "secrets"):
        name, whose = entry["source"], owner(raw, entry, 0o400)
        stays = f"{name}.{whose.user}.{whose.group}.{whose.mode:o}"
        match secrets.get(name):
            case None:
                # Of a service that isn't started: the mount says what it would read.
                mounts.append(_mount(stays, target))
            case Path() as here:
                mounts.append(_bind(here, target))
            case bytes() as data:
                digest = _digest(project, data, whose)
                path = stays if is_steady else f"{name}.{digest}"
                files[path] = File(data, *whose)
                mounts.append(_mount(path, target))
                read.append(f"{target} {digest}")
            case several:
                files |= {f"{stays}/{each}": File(d, *whose) for each, d in several.items()}
                mounts.append(_mount(stays, target))
    if not read or is_steady:
        return files, mounts, ""
    whole = _digest(project, "\n".join(sorted(read)).encode(), Owner(0, 0, 0))
    return files, mounts, whole


def _in_one_folder(service: Mapping[str, Any], secrets: Mapping[str, Content]) -> bool:
    """Say whether a service's secrets are files that are all in the usual place."""
    found = list(entries(service, "secrets"))
    return bool(found) and all(
        target.rpartition("/")[0] + "/" == FOLDERS["secrets"]
        and isinstance(secrets.get(entry["source"]), bytes)
        for entry, target in found
    )


def _folder(client: Client) -> Folder:
    return Folder(client, f"{client.project}-secrets")


def _digest(project: str, data: bytes, owner: Owner) -> str:
    text = repr(tuple(owner)).encode() + b"\0" + data
    return hmac.new(project.encode(), text, "sha256").hexdigest()[:_DIGITS]


def _mount(path: str, target: str) -> Mapping[str, Any]:
    inside = {"nocopy": True, "subpath": path}
    return {
        "type": "volume", "source": VOLUME, "target": target, "read_only": True, "volume": inside,
    }  # fmt: skip


def _bind(folder: Path, target: str) -> Mapping[str, Any]:
    source = str(folder).replace("$", "$$")
    return {"type": "bind", "source": source, "target": target, "read_only": True, "bind": {}}
