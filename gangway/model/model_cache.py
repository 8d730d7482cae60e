"""The merged model as Compose made it last, for as long as all that it is made of stays the same.

Merging takes Compose some 0.2 s, and every task that names a service needs the model. What refers
to files that aren't merged themselves is kept where it does so as a stack of somebody's own is
written (`extends` and `env_file` in one line, of the repository's files); never with an `include`,
nor is a model with a credential that isn't one of the repository's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.model import compose_version
from gangway.settings import cache, contract
from gangway.settings.environment import Environment

_REFERS_TO_FILES: Final = re.compile(r"\b(include|extends|env_file)[\"']?\s*:")
_EXTENDS: Final = re.compile(
    r"\bextends: \{(?:file: (?:([^\s,{}\"]+)|\"([^\s\"]+)\"), )?service: [^\s,{}]+\}"
)
# Which of docker/tls/ production's proxy extends.
_TLS: Final = "${TLS:-off}"
_ENV_FILES: Final = re.compile(r"\benv_file:\n((?: +- \{path: [^,\n]+, required: false\}\n)+)")
_PATH: Final = re.compile(r'path: "?([^,"\n]+)')
# `${NAME}`, and `NAME` alone in a list of variables that are passed on.
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ALWAYS: Final = re.compile(r"(COMPOSE|DOCKER)_|HOME$")
# Layers that aren't in the repository for everybody to read.
_PRIVATE: Final = ("command line", "shell", "local", "checkout")

Ingredients = Mapping[str, Any]


def ingredients(environment: Environment, argv: Sequence[str]) -> Ingredients | None:
    """Return what tells one model of `argv` from another; None where none can be kept."""
    files = environment.compose_files
    shell = environment.process_environment()
    program = compose_version.answering(argv[0], shell)
    try:
        texts = {
            name: (environment.root / name).read_text(encoding="utf-8")
            for name in (*environment.files, *files)
        }
        texts |= _others(environment, {name: texts[name] for name in files})
    except (OSError, UnicodeDecodeError, _UnknownError):
        return None
    if not program:
        return None
    named = {word for text in texts.values() for word in _WORD.findall(text)}
    named |= {name for name in shell if _ALWAYS.match(name)}
    return {
        "argv": list(argv),
        "directory": str(environment.root),
        "program": program,
        "texts": texts,
        "variables": {name: shell[name] for name in sorted(named) if name in shell},
    }


class _UnknownError(Exception):
    """A Compose file refers to others in a way that isn't looked into."""


def _others(environment: Environment, texts: Mapping[str, str]) -> dict[str, str]:
    """Return what the Compose files refer to besides each other, by path; "" for what isn't there.

    Raises _UnknownError for what isn't known to be all.
    """
    found: dict[str, str] = {}
    todo = list(texts.items())
    for place, text in todo:
        # Without a file it is a service of the same one.
        for name in filter(None, map("".join, _EXTENDS.findall(text))):
            if place not in texts and "/" in place:
                # It counts from that file's own folder.
                raise _UnknownError
            file = name.replace(_TLS, environment.get("TLS") or "off")
            if file not in texts and file not in found:
                found[file] = (environment.root / file).read_text(encoding="utf-8")
                todo.append((file, found[file]))
        if _REFERS_TO_FILES.search(_ENV_FILES.sub("", _EXTENDS.sub("", text))):
            raise _UnknownError
        for lines in _ENV_FILES.findall(text):
            for path in _PATH.findall(lines):
                name = path.replace("${OVERLAY}", environment.get("OVERLAY"))
                if "$" in name:
                    raise _UnknownError
                env_file = environment.root / name
                found[name] = env_file.read_text(encoding="utf-8") if env_file.exists() else ""
    return found


def kept(environment: Environment, made_of: Ingredients | None) -> Any:
    """Return the model that was made of the same; None where there is none."""
    return cache.kept(environment.root, _name(environment), made_of) if made_of else None


def keep(environment: Environment, made_of: Ingredients | None, model: Mapping[str, Any]) -> None:
    """Keep a model for the next task, where it may be kept."""
    if made_of and not _has_credential(environment, made_of["variables"], model):
        cache.keep(environment.root, _name(environment), made_of, model)


def _has_credential(
    environment: Environment, shell: Collection[str], model: Mapping[str, Any]
) -> bool:
    text = json.dumps(model)
    found = (environment.variable(name) for name in {*environment.variables, *shell})
    private = [each for each in found if each and each.value and each.layer in _PRIVATE]
    # As Compose writes `$`, and as JSON writes the rest.
    there = [each for each in private if json.dumps(each.value.replace("$", "$$"))[1:-1] in text]
    try:
        known = contract.load(environment.root)
    except GangwayError:
        # Whoever needs it says so; till then a name tells.
        known = contract.Contract({})
    return any(known.is_secret(each.name) for each in there)


def _name(environment: Environment) -> str:
    return f"model of {environment.name}"
