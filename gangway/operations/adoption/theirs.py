"""The services of Compose files that are not ours, as they stand there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from gangway.base.errors import GangwayError
from gangway.model.written import Untagged
from gangway.operations.adoption.found import Foreign, Loss

Node = Mapping[str, Any]
"""A part of a Compose file."""

# `${NAME}`, `${NAME?it must be set}`, `${NAME:-default}`; `$$` is a dollar sign.
_REFERENCE: Final = re.compile(
    r"\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<operator>:?[-+?])(?P<word>[^}]*))?\}|\$)"
)
# In which files there is what a developer alone has.
_DEVELOPMENT: Final = re.compile(r"(override|local|dev(elop(ment)?)?)\.ya?ml$")
_DEVELOPERS_IMAGE: Final = re.compile(
    r"(^|/)(mailpit|mailhog|mailcatcher|maildev|mailtrap|adminer|pgadmin4?|redis-commander|"
    r"redisinsight)(:|@|$)"
)
# What stands in the stack's own file instead.
_SAID_ANEW: Final = (
    "cap_add", "cap_drop", "container_name", "cpus", "depends_on", "deploy", "external_links",
    "links", "logging", "mem_limit", "network_mode", "networks", "pids_limit", "ports", "restart",
    "security_opt", "volumes_from",
)  # fmt: skip


@dataclass(frozen=True)
class Theirs:
    """A service of the user's Compose file.

    `definition` is what stands there; `copy` what is to be said in the stack's own file, where the
    user's file can't be referred to: None where it can. `top` has what it refers to in the file's
    other parts: `secrets`, `configs`, `volumes`.
    """

    definition: Node
    copy: Node | None = None
    top: Mapping[str, Node] = field(default_factory=dict)
    for_development: bool = False
    losses: tuple[Loss, ...] = ()


def read(root: Path, services: Iterable[Foreign], values: Mapping[str, str]) -> dict[str, Theirs]:
    """Return each of the services by its name; `values` are what the user's own `.env` sets.

    Raises GangwayError for a file that can't be read.
    """
    return {each.name: _service(root, each, values) for each in services}


def env_values(root: Path, files: Iterable[str]) -> dict[str, str]:
    """Return what the env files among these set that Compose would read, the later one's last."""
    import dotenv  # late: few repositories have one

    found: dict[str, str] = {}
    names = (".env.example", ".env.sample", ".env.template", ".env")
    for name in (name for name in names if name in files):
        values = dotenv.dotenv_values(root / name, interpolate=False)
        found |= {key: value for key, value in values.items() if value is not None}
    return found


def _service(root: Path, service: Foreign, values: Mapping[str, str]) -> Theirs:
    data = _document(root, service.file)
    definition = _mapping(_mapping(data.get("services")).get(service.name))
    image = str(definition.get("image", ""))
    here = PurePosixPath(service.file).parent
    refers = _can_be_referred_to(data, definition)
    copy, unset = (None, []) if refers else _copied(definition, here, values)
    losses = tuple(
        Loss(
            f"{name}, of which {service.name} is made, has no value here",
            service.file,
            f"set it in the block of {service.name} in the stack's compose.yml",
        )
        for name in dict.fromkeys(unset)
    )
    return Theirs(
        definition,
        copy,
        {part: _of_part(data, definition, part, here) for part in ("secrets", "configs")}
        | {"volumes": _volumes(data, service.volumes)},
        bool(_DEVELOPMENT.search(service.file) or _DEVELOPERS_IMAGE.search(image)),
        losses,
    )


def _document(root: Path, file: str) -> Node:
    try:
        text = (root / file).read_text(encoding="utf-8")
        return _mapping(yaml.load(text, Loader=Untagged))  # noqa: S506 (a safe loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        what = f"it can't be read: {str(error).splitlines()[0]}"
        raise GangwayError(what, where=file) from None


def _mapping(value: Any) -> Node:
    return value if isinstance(value, Mapping) else {}


def _can_be_referred_to(data: Node, definition: Node) -> bool:
    """Say whether Compose can read a service of the file without the user's own `.env`.

    It reads the whole file for one of its services, and refuses what must be set and isn't.
    """
    if any(operator in ("?", ":?") for _, operator in _references(data)):
        return False
    return all(operator for _, operator in _references(definition))


def _references(node: Any) -> Iterator[tuple[str, str]]:
    """Yield each variable in a part of a Compose file, and what its reference says of a default."""
    if isinstance(node, str):
        for match in _REFERENCE.finditer(node):
            if name := match["plain"] or match["name"]:
                yield name, match["operator"] or ""
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _copied(
    definition: Node, here: PurePosixPath, values: Mapping[str, str]
) -> tuple[Node, list[str]]:
    """Return a service as it can stand in a file of ours, and the variables that nothing sets."""
    unset: list[str] = []

    def put_in(match: re.Match[str]) -> str:
        name, operator = match["plain"] or match["name"], match["operator"] or ""
        if not name or "+" in operator:
            return match[0]
        if name in values:
            return values[name].replace("$", "$$")
        if "-" in operator:
            return match[0]
        unset.append(name)
        return f"${{{name}:-}}"

    def visit(node: Any) -> Any:
        if isinstance(node, str):
            return _REFERENCE.sub(put_in, node)
        if isinstance(node, Mapping):
            return {key: visit(value) for key, value in node.items()}
        return [visit(value) for value in node] if isinstance(node, list) else node

    kept = {key: value for key, value in definition.items() if key not in _SAID_ANEW}
    return _from_the_top(visit(kept), here), unset


def _from_the_top(definition: Node, here: PurePosixPath) -> Node:
    """Return a service with its paths seen from the top, not from its file's folder."""
    found = dict(definition)
    build = found.get("build")
    if isinstance(build, str):
        found["build"] = path_from_the_top(build, here)
    elif isinstance(build, Mapping) and "context" in build:
        found["build"] = {**build, "context": path_from_the_top(str(build["context"]), here)}
    if mounts := found.get("volumes"):
        found["volumes"] = [mount_from_the_top(mount, here) for mount in mounts]
    if "env_file" in found:
        found["env_file"] = optional_env_files(found["env_file"], here)
    return found


def path_from_the_top(path: str, here: PurePosixPath) -> str:
    """Return a path in a Compose file in the folder `here`, seen from the repository's top."""
    if here == PurePosixPath() or path.startswith(("/", "~", "$")) or "://" in path:
        return path
    return f"./{here / path}"


def mount_from_the_top(mount: Any, here: PurePosixPath) -> Any:
    """Return an entry of `volumes`, a path of this machine in it seen from the top."""
    if isinstance(mount, str):
        source, colon, rest = mount.partition(":")
        return f"{path_from_the_top(source, here)}{colon}{rest}" if is_path(mount) else mount
    if isinstance(mount, Mapping) and is_path(mount):
        return {**mount, "source": path_from_the_top(str(mount.get("source", "")), here)}
    return mount


def is_path(mount: Any) -> bool:
    """Say whether an entry of `volumes` is a file or folder of this machine."""
    if isinstance(mount, str):
        return ":" in mount and mount.startswith((".", "/", "~", "$"))
    return _mapping(mount).get("type") == "bind"


def optional_env_files(given: Any, here: PurePosixPath) -> list[Node]:
    """Return `env_file` with all of its files seen from the top, none of which must be there."""
    entries = given if isinstance(given, list) else [given]
    paths = (str(entry.get("path")) if isinstance(entry, Mapping) else entry for entry in entries)
    return [{"path": path_from_the_top(str(path), here), "required": False} for path in paths]


def _of_part(data: Node, definition: Node, part: str, here: PurePosixPath) -> Node:
    """Return the secrets or configs that a service refers to, as the file's top has them."""
    there = _mapping(data.get(part))
    found = {}
    for entry in definition.get(part) or ():
        name = str(entry.get("source") if isinstance(entry, Mapping) else entry)
        given = dict(_mapping(there.get(name)))
        if "file" in given:
            given["file"] = path_from_the_top(str(given["file"]), here)
        found[name] = given
    return found


def _volumes(data: Node, names: Iterable[str]) -> Node:
    """Return the options of volumes but their names: each project has its own."""
    there = _mapping(data.get("volumes"))
    return {
        name: {key: value for key, value in _mapping(there.get(name)).items() if key != "name"}
        for name in names
    }
