"""The merged model as Compose made it last, for as long as all that it is made of stays the same.

Merging takes Compose some 0.2 s, and every task that names a service needs the model. It is kept
together with a checksum of everything that went into it; files that refer to others (`include`,
`extends`, `env_file`) are never kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gangway.model import compose_version
from gangway.settings import cache, checkout
from gangway.settings.environment import Environment

_REFERS_TO_FILES: Final = re.compile(r"\b(include|extends|env_file)[\"']?\s*:")
_NAME: Final = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_ALWAYS: Final = re.compile(r"(COMPOSE|DOCKER)_|HOME$")


def ingredients(environment: Environment, argv: Sequence[str]) -> str:
    """Return what tells one model of `argv` from another; empty where that can't be told.

    A checksum, because a shell's variables may be credentials (DOCKER_AUTH_CONFIG).
    """
    separator = environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
    files = environment.get("COMPOSE_FILE").split(separator)
    shell = environment.process_environment()
    try:
        texts = {
            name: (environment.root / name).read_text(encoding="utf-8")
            for name in (*environment.files, *files)
        }
    except (OSError, UnicodeDecodeError):
        return ""
    if any(_REFERS_TO_FILES.search(texts[name]) for name in files):
        return ""
    named = {name for text in texts.values() for name in _NAME.findall(text)}
    named |= {name for name in shell if _ALWAYS.match(name)}
    # A variable in a file is also one that the shell may set instead.
    named |= set(environment.variables)
    made_of = {
        "argv": list(argv),
        "directory": str(environment.root),
        "programs": list(compose_version.installation(argv[0], shell)),
        "texts": texts,
        "variables": {name: shell[name] for name in sorted(named) if name in shell},
    }
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


def kept(environment: Environment, made_of: str) -> dict[str, Any] | None:
    """Return the model that was made of the same; None where there is none."""
    found = cache.read(_file(environment)) if made_of else {}
    model: dict[str, Any] | None = found.get("model") if found.get("made_of") == made_of else None
    return model


def keep(environment: Environment, made_of: str, model: Mapping[str, Any]) -> None:
    """Keep a model for the next task."""
    if made_of:
        cache.write(_file(environment), {"made_of": made_of, "model": model})


def _file(environment: Environment) -> Path:
    return checkout.state(environment.root, f"{environment.name}.model.json")
