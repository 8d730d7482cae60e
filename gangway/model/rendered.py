"""The merged model as Compose made it last, for as long as all that it is made of stays the same.

Merging takes Compose some 0.2 s, and every task that names a service needs the model. It is kept
together with everything that went into it, which is compared word for word; files that refer to
others (`include`, `extends`, `env_file`) are never kept.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gangway.settings import memory, project
from gangway.settings.environment import Environment

_REFERS_TO_FILES: Final = re.compile(r"\b(include|extends|env_file)[\"']?\s*:")
_NAME: Final = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_ALWAYS: Final = re.compile(r"(COMPOSE|DOCKER)_|HOME$")


def ingredients(environment: Environment, argv: Sequence[str]) -> dict[str, Any] | None:
    """Return all that the model of `argv` is made of; None where that can't be told."""
    separator = environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
    files = environment.get("COMPOSE_FILE").split(separator)
    shell = environment.process_environment()
    try:
        texts = {
            name: (environment.root / name).read_text(encoding="utf-8")
            for name in (*environment.files, *files)
        }
        program = shutil.which(argv[0], path=shell.get("PATH"))
        status = Path(program).stat() if program else None
    except (OSError, UnicodeDecodeError):
        return None
    if any(_REFERS_TO_FILES.search(texts[name]) for name in files):
        return None
    named = {name for text in texts.values() for name in _NAME.findall(text)}
    named |= {name for name in shell if _ALWAYS.match(name)}
    # A variable in a file is also one that the shell may set instead.
    named |= set(environment.variables)
    return {
        "argv": list(argv),
        "directory": str(environment.root),
        "program": [program, status.st_mtime if status else 0, status.st_size if status else 0],
        "texts": texts,
        "variables": {name: shell[name] for name in sorted(named) if name in shell},
    }


def kept(environment: Environment, made_of: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the model that was made of the same; None where there is none."""
    if made_of is None:
        return None
    found = memory.read(_file(environment))
    model: dict[str, Any] | None = found.get("model") if found.get("made_of") == made_of else None
    return model


def keep(
    environment: Environment, made_of: Mapping[str, Any] | None, model: Mapping[str, Any]
) -> None:
    """Keep a model for the next task."""
    if made_of is None:
        return
    memory.write(_file(environment), {"made_of": made_of, "model": model})


def _file(environment: Environment) -> Path:
    return project.state(environment.root, f"{environment.name}.model.json")
