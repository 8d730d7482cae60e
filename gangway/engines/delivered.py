"""What services read besides their variables: secrets and configs, wherever they are put."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from gangway.base.errors import Finding, FindingsError, GangwayError
from gangway.model import moves
from gangway.model.model import Model, unescaped
from gangway.settings import contract_check
from gangway.settings.checkout import PREVIOUS
from gangway.settings.contract import Contract
from gangway.settings.environment import Environment

FOLDERS: Final = {"secrets": "/run/secrets/", "configs": "/"}
"""Where what names no place of its own is in a container."""
_NOTHING: Final = "/dev/null"

# A file's content, or a folder's files by their path in it; a path is a folder that is mounted.
Content = bytes | Mapping[str, bytes] | Path


class Owner(NamedTuple):
    """Whose a file is in a container, and who may read it."""

    user: int
    group: int
    mode: int


def steady(model: Mapping[str, Any]) -> frozenset[str]:
    """Return the services of a release that a new secret is no reason to replace."""
    return frozenset(moves.STORES).intersection(model.get("services") or {})


def contents(
    environment: Environment,
    model: Mapping[str, Any],
    here: Model,
    known: Contract,
    services: Collection[str],
    *,
    is_local: bool,
) -> dict[str, Content]:
    """Return what the secrets hold that these services of a release's `model` read.

    Where each comes from says the checkout's own model, `here`; one that it doesn't know is a file
    in SECRETS_DIR. `is_local` says that the engine sees this machine's folders. Raises
    FindingsError with all that are missing.
    """
    sources = unescaped(here.raw).get("secrets") or {}
    found: dict[str, Content] = {}
    findings: list[Finding] = []
    for name, users in _readers(model, services).items():
        source = sources.get(name) or {"file": str(_usual_place(environment, name))}
        try:
            found[name] = _content(environment, source, is_local=is_local)
        except (OSError, GangwayError) as error:
            findings.append(_missing(environment, known, name, users, source, error))
            continue
        if source.get("file") == _NOTHING and (needing := _naming(model, name, users)):
            what = f"the secret {name} is nowhere, and {', '.join(needing)} of the release reads it"
            fix = f"set what names its file, such as {name.upper()}_FILE"
            findings.append(Finding(what, environment.files[0], fix))
    if findings:
        raise FindingsError(findings)
    return found


def entries(service: Mapping[str, Any], kind: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield a service's secrets or configs, each with the path that it has in a container."""
    for entry in service.get(kind) or ():
        target = str(entry.get("target") or entry["source"])
        yield entry, target if target.startswith("/") else FOLDERS[kind] + target


def owner(service: Mapping[str, Any], entry: Mapping[str, Any], mode: int) -> Owner:
    """Return whose a file is: the service's user's, unless the entry says more.

    A user that has a name, or the image's own, is a number that only the image knows: then
    everybody in the container may read it, as with Swarm's secrets.
    """
    user, _, group = str(service.get("user") or "").partition(":")
    known = user.isdecimal()
    said = entry.get("mode")
    if said is not None:
        # Compose's versions write it as a number, or in octal as a text.
        mode = int(said, 8) if isinstance(said, str) else int(said)
    elif not known and not entry.get("uid"):
        mode |= 0o444
    return Owner(
        int(entry.get("uid") or (user if known else 0)),
        int(entry.get("gid") or (group if group.isdecimal() else 0)),
        mode,
    )


def _readers(model: Mapping[str, Any], services: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for service, raw in (model.get("services") or {}).items():
        if service in services:
            for entry, _ in entries(raw, "secrets"):
                found.setdefault(entry["source"], []).append(service)
    return found


def _content(environment: Environment, source: Mapping[str, Any], *, is_local: bool) -> Content:
    if (variable := source.get("environment")) is not None:
        found = environment.variable(variable)
        if found is None:
            raise GangwayError(f"nothing sets {variable}")
        return found.value.encode()
    if "content" in source:
        return str(source["content"]).encode()
    path = environment.root / str(source.get("file") or "")
    if not path.is_dir():
        return path.read_bytes()
    if is_local:
        return path.resolve()
    inside = [each for each in sorted(path.rglob("*")) if each.is_file()]
    return {each.relative_to(path).as_posix(): each.read_bytes() for each in inside}


def _usual_place(environment: Environment, name: str) -> Path:
    return environment.root / environment.get("SECRETS_DIR", "secrets/prod") / name


def _missing(
    environment: Environment,
    known: Contract,
    name: str,
    users: Sequence[str],
    source: Mapping[str, Any],
    error: OSError | GangwayError,
) -> Finding:
    what = f"the secret {name} of {', '.join(users)}"
    if isinstance(error, GangwayError):
        return Finding(f"{what} isn't there: {error.message}", None, "set it in the shell")
    path = Path(environment.root / source["file"])
    top = environment.root.resolve()
    where = path.relative_to(top).as_posix() if path.is_relative_to(top) else str(path)
    if isinstance(error, FileNotFoundError):
        fix = contract_check.how_to_make(environment, known, path.name, where)
        return Finding(f"{what} has no file", where, fix)
    return Finding(f"{what} can't be read: {error.strerror}", where, f"ls -l {where}")


def _naming(model: Mapping[str, Any], name: str, users: Sequence[str]) -> list[str]:
    """Return those of the services whose variables name a secret's file: they count on it."""
    if name.endswith(PREVIOUS):
        # Nearly always there is none.
        return []
    found = []
    for service in users:
        raw = model["services"][service]
        targets = [path for entry, path in entries(raw, "secrets") if entry["source"] == name]
        if set(targets).intersection(map(str, (raw.get("environment") or {}).values())):
            found.append(service)
    return found
