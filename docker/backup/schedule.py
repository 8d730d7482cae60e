"""When backups are due: by the program that runs the apps' jobs by cron's lines."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from backup import programs
from backup.errors import Refused

PROGRAM = "cron"


def check(words: str) -> None:
    """Refuse what is no schedule, and one that never comes."""
    cron = _module()
    try:
        cron.Schedule.parse(words).following(datetime.now(UTC).replace(tzinfo=None))
    except cron.Mistake as mistake:
        why = str(mistake)
    except ValueError:
        why = "it has not five fields"
    else:
        return
    raise Refused(f"BACKUP_SCHEDULE={words} can't be read: {why}", fix="such as 0 3 * * *")


def keep(words: str, command: Sequence[str]) -> NoReturn:
    """Become the program that runs a command whenever a schedule says."""
    path = _path()
    os.execv(path, [path, f"{words} {' '.join(command)}"])


def _path() -> str:
    if path := shutil.which(PROGRAM):
        return path
    raise programs.missing(PROGRAM)


def _module() -> Any:
    loader = importlib.machinery.SourceFileLoader("gangway_cron", _path())
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec) if spec else None
    if module is None:
        raise programs.missing(PROGRAM)
    # Its dataclasses look for themselves there.
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module
