"""Settings for this checkout only, kept in `.gangway/<environment>.env`.

That file is generated, git-ignored, and a layer of the environment like any other: Compose gets it
with `--env-file`, so a pasted command runs with the same values.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.files import replace
from gangway.settings import envfile, overlay
from gangway.settings.environment import Environment, Kind

DIRECTORY: Final = ".gangway"
PREVIOUS: Final = "_previous"
"""The end of a secret file's name: what is in it is good as well, beside the secret itself."""

# The user that the Compose files run containers as unless told otherwise.
_DEFAULT_USER: Final[Mapping[Kind, int]] = {"dev": 1000, "test": 1000, "prod": 10001}
_BUNDLE_NAMES: Final = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_HEADER: Final = "# Settings for this checkout only; written by the tasks.\n"


class Template(str):
    """A value in the env file's own syntax, which is written as it stands (`${NAME}` refers)."""

    __slots__ = ()


@dataclass(frozen=True)
class Checkout:
    """The checkout at `root` and the layer files that it keeps."""

    root: Path

    def path(self, name: str) -> Path:
        """Return the path of the layer file of the environment `name`."""
        return self.root / DIRECTORY / f"{name}.env"

    def read(self, name: str) -> dict[str, str]:
        """Return what the layer file of the environment `name` sets; nothing where there is none.

        A value that refers to others is a Template. Raises GangwayError where the file cannot be
        read.
        """
        shown = f"{DIRECTORY}/{name}.env"
        try:
            data = self.path(name).read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise GangwayError(f"cannot read it: {error.strerror}", where=shown) from None
        return {
            assignment.name: assignment.value(lambda _name: None)
            if assignment.is_literal
            else Template(assignment.raw)
            for assignment in envfile.parse(data, shown)
        }

    def write(self, name: str, values: Mapping[str, str]) -> None:
        """Make the layer file hold exactly `values`; without any, remove it.

        It is replaced in one step, with mode 0600 in a directory of mode 0700. Raises
        GangwayError where the system refuses.
        """
        path = self.path(name)
        try:
            if not values:
                path.unlink(missing_ok=True)
                return
            own_folder(self.root)
            replace(path, _HEADER + "".join(_line(key, values[key]) for key in sorted(values)))
        except OSError as error:
            raise GangwayError(
                f"cannot write it: {error.strerror}",
                where=f"{DIRECTORY}/{name}.env",
                fix=f"ls -ld {DIRECTORY} {DIRECTORY}/{name}.env",
            ) from None


def state(root: Path, file: str) -> Path:
    """Return the path of a file in the checkout's own folder, which is made where it is missing."""
    return own_folder(root) / file


def own_folder(root: Path) -> Path:
    """Return the checkout's own folder, made where it is missing; git looks past it by itself."""
    directory = root / DIRECTORY
    if not directory.is_dir():
        directory.mkdir(mode=0o700, exist_ok=True)
        (directory / ".gitignore").write_text("*\n", encoding="ascii")
    return directory


def record(root: Path, name: str, changes: Mapping[str, str]) -> None:
    """Set `changes` in the layer file of the environment `name` and keep the rest of it.

    An empty value removes a name. Nothing is written where nothing changes.
    """
    checkout = Checkout(root)
    before = checkout.read(name)
    after = {key: value for key, value in {**before, **changes}.items() if value}
    if after != before:
        checkout.write(name, after)


def short_hash(root: Path) -> str:
    """Return six characters that tell this checkout's path from others on the machine."""
    # Not a matter of security: a checksum needs no slow import.
    return f"{zlib.crc32(os.fsencode(root.resolve())):08x}"[:6]


def facts(env: Environment, shell: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what this checkout must set for `env`, for `record`; an empty value unsets.

    The containers' user where it is not the Compose files' own, the personal override file in
    development, the checkout's own overlay where it has one, the CA bundle for builds that the
    shell names, and the keys that prod.rotate has left good for a while. What a higher layer sets
    is left alone, and so is all that was chosen earlier (project name, ports). `shell` is the
    environment's own unless given.
    """
    outer = env.shell if shell is None else shell
    kept = Checkout(env.root).read(env.name)
    found = {
        **_user(env), **_compose_files(env), **_bundle(env, outer), **_previous(env, kept)
    }  # fmt: skip
    return {
        name: value
        for name, value in found.items()
        if value != kept.get(name, "") and not _decided_above(env, name)
    }


def _decided_above(env: Environment, name: str) -> bool:
    found = env.variable(name)
    if found and found.layer == "local" and name == "COMPOSE_FILE":
        # One that begins with what the layers below say takes in what is added there.
        return not found.value.startswith(env.beneath.get(name) or found.value)
    return found is not None and found.layer in ("command line", "shell", "local")


def _line(name: str, value: str) -> str:
    return f"{name}={value if isinstance(value, Template) else envfile.quote(value)}\n"


def _user(env: Environment) -> dict[str, str]:
    default = _DEFAULT_USER[env.kind]
    owner = _secrets_owner(env) if env.kind == "prod" else _owner(env.root)
    # Production never runs as root: the contract's check says that the files must change hands.
    if owner is None or (env.kind == "prod" and owner[0] == 0):
        return {}
    uid, gid = (str(number) if number != default else "" for number in owner)
    return {"APP_UID": uid, "APP_GID": gid}


def _secrets_owner(env: Environment) -> tuple[int, int] | None:
    directory = env.root / (env.get("SECRETS_DIR") or "secrets/prod")
    try:
        entries = sorted(directory.iterdir())
    except OSError:
        return None
    return next((_owner(entry) for entry in entries if entry.is_file()), None)


def _previous(env: Environment, kept: Mapping[str, str]) -> dict[str, str]:
    """Return which keys are good besides those that sign: their files are there."""
    if env.kind != "prod":
        return {}
    folder = env.get("SECRETS_DIR") or "secrets/prod"
    there = {
        f"{file.name.upper()}_FILE": f"{folder}/{file.name}"
        for file in (env.root / folder).glob(f"*{PREVIOUS}")
    }
    ending = f"{PREVIOUS.upper()}_FILE"
    return {**{name: "" for name in kept if name.endswith(ending)}, **there}


def _owner(path: Path) -> tuple[int, int] | None:
    # Where the system has no such owners (Windows), Docker Desktop maps them.
    if not hasattr(os, "getuid"):
        return None
    status = path.stat()
    return status.st_uid, status.st_gid


def _compose_files(env: Environment) -> dict[str, str]:
    separator = env.separator
    files = env.beneath.get("COMPOSE_FILE", "").split(separator)
    # As Compose itself names it: docker-compose.override.yml
    personal = f"{files[0].removesuffix('.yml')}.override.yml"
    # A reference to what the layers beneath say, because another stack says something else.
    joined = ["${COMPOSE_FILE}"]
    if env.kind == "dev" and personal not in files and (env.root / personal).is_file():
        joined.append(personal)
    if overlay.kept(env):
        joined.append(overlay.reference(env.name))
    return {"COMPOSE_FILE": Template(separator.join(joined)) if len(joined) > 1 else ""}


def _bundle(env: Environment, shell: Mapping[str, str]) -> dict[str, str]:
    if env.beneath.get("BUILD_CA_BUNDLE"):
        return {"BUILD_CA_BUNDLE": ""}
    named = (shell.get(name, "") for name in _BUNDLE_NAMES)
    return {"BUILD_CA_BUNDLE": next((path for path in named if path and Path(path).is_file()), "")}


def files(path: Path) -> Iterator[Path]:
    """Yield a file, or every file below a folder but Python's caches."""
    if path.is_file():
        yield path
    elif path.is_dir():
        for entry in sorted(path.rglob("*")):
            if entry.is_file() and "__pycache__" not in entry.parts:
                yield entry
