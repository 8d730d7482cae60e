"""Files that services have mounted and that aren't there: found before anything is started."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gangway.base.errors import Finding
from gangway.model.model import Model, unescaped
from gangway.settings import contract_check, tls
from gangway.settings.contract import Contract
from gangway.settings.environment import Environment

# A name that a file has and a folder hasn't: Docker would make a folder of it.
_FILE: Final = re.compile(r"^\.env|\.(?!d$)[A-Za-z][A-Za-z0-9]*$")


def missing(
    env: Environment, model: Model, services: Sequence[str], contract: Contract
) -> Iterator[Finding]:
    """Yield each secret, config or mounted file of these services that isn't there, by its path.

    A folder that Compose is to make where it is missing is none of them.
    """
    plain = unescaped(model.raw)
    for kind in ("secrets", "configs"):
        for name, users in _users(plain, services, kind).items():
            source = (plain.get(kind) or {}).get(name) or {}
            what = f"the {kind[:-1]} {name} of {', '.join(users)}"
            if path := source.get("file"):
                yield from _file(env, contract, kind, name, what, Path(path))
            elif (variable := source.get("environment")) and env.variable(variable) is None:
                fix = f"set {variable} in the shell, or in a file that git ignores"
                yield Finding(f"{what} is the value of {variable}, which nothing sets", None, fix)
    mounts = {
        (mount["source"], name): _is_made(mount)
        for name in services
        for mount in plain["services"][name].get("volumes") or ()
        if mount.get("type") == "bind"
    }
    for (source, name), is_made in mounts.items():
        if not is_made and not Path(source).exists():
            what = f"{name} has it mounted, and it isn't there"
            yield Finding(what, _shown(env, Path(source)), f"make it, or take it out of {name}")


def _users(plain: Mapping[str, Any], services: Sequence[str], kind: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for service in services:
        for entry in plain["services"][service].get(kind) or ():
            found.setdefault(entry["source"], []).append(service)
    return found


def _file(
    env: Environment, contract: Contract, kind: str, name: str, what: str, path: Path
) -> Iterator[Finding]:
    where = _shown(env, path)
    if name == tls.FOLDER and env.kind == "dev":
        return  # `up --https` makes it
    if not path.exists():
        fix = f"write it there, or take {name} out of the services"
        if kind == "secrets":
            fix = contract_check.how_to_make(env, contract, path.name, where)
        yield Finding(f"{what} has no file", where, fix)
    elif kind == "secrets" and path.is_dir() and name != tls.FOLDER:
        # Docker made it, perhaps, when there was nothing in that place.
        yield Finding(f"{what} is a folder", where, f"rmdir {where}, then write the file")


def _is_made(mount: Mapping[str, Any]) -> bool:
    """Say whether Docker makes what is missing, and rightly so: not a folder in a file's place."""
    # Without the key it is the long form, for which nothing is made; an empty one may be either:
    # what is the default isn't said, and Compose's versions differ in that.
    how = mount.get("bind")
    made = how is not None and how.get("create_host_path", True)
    return bool(made) and not _FILE.search(Path(mount["target"]).name)


def _shown(env: Environment, path: Path) -> str:
    top = env.root.resolve()
    return Path(os.path.relpath(path, top)).as_posix() if path.is_relative_to(top) else str(path)
