"""What one task remembers for the next, to save time: nothing is lost with it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from gangway.settings import checkout


def read(path: Path) -> dict[str, Any]:
    """Return what was kept in a file; nothing where that isn't there, or isn't whole."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(path: Path, data: dict[str, Any]) -> None:
    """Keep `data` in a file, in one step and for this user alone.

    A disk that is full or read-only only costs time.
    """
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        checkout.replace(path, json.dumps(data))
