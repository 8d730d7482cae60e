"""What a checkout adds to its stacks by itself: Compose files of its own, which the tasks write.

There is one for each stack of an environment, `.gangway/overlays/dev.core.yml`: another stack has
other services. The checkout's layer joins the one of the stack at hand to COMPOSE_FILE (see
`checkout.facts`), so that plain Compose reads it, too.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.base.files import replace
from gangway.settings.environment import DEFAULT_STACK, Environment, stacks

FOLDER: Final = ".gangway/overlays"
_HEADER: Final = "# What `scale` and `--ports auto` keep for this checkout; written by the tasks.\n"
# Compose's tag for a list that replaces the one before it, which JSON hasn't.
_OVERRIDE: Final = "!override "
_NOTHING: Final = '{"services": {}}\n'

Services = Mapping[str, Mapping[str, Any]]
"""What is added to each service. Its `ports` replace those that it had."""


def reference(name: str) -> str:
    """Return the path of an environment's overlay in an env file's own syntax, for any stack."""
    return f"{FOLDER}/{name}.${{GANGWAY_STACK:-{DEFAULT_STACK}}}.yml"


def file(env: Environment) -> str:
    """Return the path of an environment's overlay, seen from the checkout."""
    return f"{FOLDER}/{env.name}.{env.stack}.yml"


def read(env: Environment) -> dict[str, dict[str, Any]]:
    """Return what is added to each service; nothing where there is no overlay, or a broken one."""
    found: dict[str, dict[str, Any]] = _content(env.root / file(env)).get("services") or {}
    return found


def ports_before(env: Environment) -> dict[str, Any]:
    """Return the ports that the overlay replaces, by service."""
    found: dict[str, Any] = _content(env.root / file(env)).get("x-ports-before") or {}
    return found


def is_up_to_date(env: Environment) -> bool:
    """Say whether the Compose files are what they were when the overlay was written."""
    content = _content(env.root / file(env))
    return not content.get("services") or content.get("x-made-for") == _texts(env)


def write(env: Environment, services: Services, before: Mapping[str, Any]) -> None:
    """Make the overlay add exactly this; without any in the environment, remove all of its files.

    `before` are the ports that are replaced, by service. Raises GangwayError where the system
    refuses.
    """
    _write(env, {"x-made-for": _texts(env), "x-ports-before": before, "services": services})


def kept(env: Environment) -> bool:
    """Say whether the environment has overlays; all of them can be joined then.

    Each stack has a file, and there is nothing in the one of the stack at hand for a service that
    no Compose file has any more: Compose would refuse that.
    """
    found = {path.name.partition(".")[0] for path in (env.root / FOLDER).glob("*.yml")}
    if not found:
        return False
    for name in found:
        for stack in stacks(env.root):
            path = env.root / FOLDER / f"{name}.{stack}.yml"
            if not path.exists():
                replace(path, _NOTHING)
    _drop_gone(env)
    return any(_files(env))


def refuse_unjoined(env: Environment) -> None:
    """Raise GangwayError where COMPOSE_FILE is said above the checkout, and leaves it out."""
    found = env.variable("COMPOSE_FILE")
    beneath = env.beneath.get("COMPOSE_FILE") or ""
    if found and found.layer in ("shell", "local") and not found.value.startswith(beneath):
        raise GangwayError(
            f"COMPOSE_FILE leaves out {file(env)}, where that would be kept",
            where=found.origin,
            fix="begin it with what it was: COMPOSE_FILE=${COMPOSE_FILE}:…, in env/local.env",
        )


def _drop_gone(env: Environment) -> None:
    content = _content(env.root / file(env))
    if not content.get("services") or is_up_to_date(env):
        return
    texts = "\n".join(_compose_texts(env))
    if re.search(r"^include\b", texts, re.MULTILINE):
        return  # it may be in a file that isn't read here
    there = {
        name: added
        for name, added in content["services"].items()
        if re.search(rf"(?<![\w-]){re.escape(name)}[\"']?\s*:", texts)
    }
    if there != content["services"]:
        _write(env, {**content, "services": there})


def _write(env: Environment, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2).replace('"ports": [', f'"ports": {_OVERRIDE}[')
    path = env.root / file(env)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(path, f"{_HEADER}{text}\n")
        if not any(_content(each).get("services") for each in _files(env)):
            for each in _files(env):
                each.unlink(missing_ok=True)
    except OSError as error:
        raise GangwayError(
            f"cannot write it: {error.strerror}", where=file(env), fix=f"ls -ld {FOLDER}"
        ) from None


def _files(env: Environment) -> list[Path]:
    return [
        path
        for path in (env.root / FOLDER).glob(f"{env.name}.*.yml")
        if path.name.partition(".")[0] == env.name
    ]


def _content(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8").removeprefix(_HEADER)
        found = json.loads(text.replace(f": {_OVERRIDE}[", ": ["))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _texts(env: Environment) -> int:
    return zlib.crc32("\n".join(_compose_texts(env)).encode())


def _compose_texts(env: Environment) -> Iterator[str]:
    for name in env.compose_files:
        if not name.startswith(FOLDER):
            try:
                yield (env.root / name).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
