"""Secrets and configs: Swarm's own, named by their contents, so that a changed one is another."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from gangway.base.errors import GangwayError
from gangway.engines import delivered
from gangway.engines.swarm.api import Api
from gangway.engines.swarm.cluster import ids
from gangway.engines.swarm.labels import FILE, STACK
from gangway.engines.swarm.translation import Files
from gangway.model.model import Model, unescaped
from gangway.settings import contract
from gangway.settings.environment import Environment

_LONGEST: Final = 64
_MOST_BYTES: Final = 500 * 1024


class File(NamedTuple):
    """One file of a secret or a config: `path` is empty but in a folder."""

    source: str
    path: str
    name: str
    data: bytes


def read(
    environment: Environment, model: Model, here: Model, services: Sequence[str]
) -> dict[str, list[File]]:
    """Return the files of the secrets and of the configs that services of a model read.

    Where a secret's content is says the checkout's own model, `here`. What is empty has no name: a
    Swarm keeps no such thing. Raises FindingsError with all that is missing, GangwayError for
    what is too large.
    """
    known = contract.load(environment.root)
    secrets = delivered.contents(environment, model.raw, here, known, services, is_local=False)
    external = {
        kind: {name for name, each in (model.raw.get(kind) or {}).items() if each.get("external")}
        for kind in ("secrets", "configs")
    }
    configs = {
        entry["source"]: _config(environment, model, entry["source"])
        for name in services
        for entry in model.services[name].get("configs") or ()
        if entry["source"] not in external["configs"]
    }
    return {
        "secrets": list(_files(model, "secret", secrets)),
        "configs": list(_files(model, "config", configs)),
    }


def _files(model: Model, kind: str, contents: Mapping[str, delivered.Content]) -> Iterator[File]:
    for source, content in contents.items():
        several = content if isinstance(content, Mapping) else {"": content}
        for path, data in several.items():
            if not isinstance(data, bytes):
                continue
            if len(data) > _MOST_BYTES:
                raise GangwayError(
                    f"the {kind} {source} has {len(data) // 1024} kB, and a Swarm keeps at most "
                    f"{_MOST_BYTES // 1024}",
                    where=path or None,
                )
            own = named(model.project, source, path, data) if data else ""
            yield File(source, path, own, data)


def _config(environment: Environment, model: Model, name: str) -> bytes:
    """Return a config's content: a release has it, and a checkout's model says where it is."""
    raw = (model.raw.get("configs") or {})[name]
    if "content" in raw:
        return str(unescaped(raw["content"])).encode()
    if variable := raw.get("environment"):
        return environment.get(variable).encode()
    file = environment.root / str(unescaped(raw.get("file") or ""))
    try:
        return file.read_bytes()
    except OSError as error:
        raise GangwayError(
            f"the config {name} can't be read: {error.strerror}", where=str(file)
        ) from None


def names(model: Model, files: Mapping[str, Iterable[File]]) -> Files:
    """Return the names that a translation needs of these files, and of the external ones."""

    def by_source(kind: str) -> dict[str, list[tuple[str, str]]]:
        raw = model.raw.get(kind) or {}
        found = {
            name: [("", str(each.get("name") or name))]
            for name, each in raw.items()
            if each.get("external")
        }
        for file in files[kind]:
            found.setdefault(file.source, []).append((file.path, file.name))
        return found

    return Files(by_source("secrets"), by_source("configs"))


def put(api: Api, project: str, files: Mapping[str, Iterable[File]]) -> dict[str, dict[str, str]]:
    """Have the Swarm have these files; return the numbers of all that it has, by kind and name."""
    found = {}
    for kind in ("secrets", "configs"):
        there = ids(api.find(f"/{kind}"))
        for file in files[kind]:
            if file.name and file.name not in there:
                body = {
                    "Name": file.name,
                    "Labels": {STACK: project, FILE: file.source},
                    "Data": base64.b64encode(file.data).decode(),
                }
                there[file.name] = api.post(f"/{kind}/create", body)["ID"]
        found[kind] = there
    return found


def clean(api: Api, project: str) -> None:
    """Remove the project's secrets and configs that no service uses any more."""
    specs = [each["Spec"]["TaskTemplate"]["ContainerSpec"] for each in api.find("/services")]
    for kind, key in (("secrets", "Secret"), ("configs", "Config")):
        used = {e[f"{key}ID"] for spec in specs for e in spec.get(kind.capitalize()) or ()}
        for each in api.find(f"/{kind}", label=[f"{STACK}={project}", FILE]):
            if each["ID"] not in used:
                api.delete(f"/{kind}/{each['ID']}")


def named(project: str, source: str, path: str, data: bytes) -> str:
    """Return what a Swarm calls a file of a secret or a config: another for another content."""
    # The name is for everybody to see: guessing a password by it has to be slow.
    salt = f"{project}/{source}/{path}".encode()
    digest = hashlib.scrypt(data, salt=salt, n=2**12, r=8, p=1, dklen=8).hex()
    plain = re.sub(r"[^a-zA-Z0-9_.-]", "-", f"{project}_{source}")
    return f"{plain[: _LONGEST - len(digest) - 1]}-{digest}"
