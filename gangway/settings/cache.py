"""What one task remembers for the next, to save time: nothing is lost with it.

All of it is in one file of the checkout. Each thing has a name there, and a checksum of what it was
made of, which may hold what nobody else may read; the thing itself may not.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gangway.base.files import replace
from gangway.settings import checkout

FILE: Final = Path(checkout.DIRECTORY) / "cache.json"


def kept(root: Path, name: str, made_of: object) -> Any:
    """Return what was kept under a name and made of the same, JSON data both; None for nothing."""
    found = _all(root).get(name)
    if not isinstance(found, dict) or found.get("made_of") != _checksum(made_of):
        return None
    return found.get("data")


def keep(root: Path, name: str, made_of: object, data: object) -> None:
    """Keep data under a name, in one step and for this user alone.

    A disk that is full or read-only only costs time, and so do two that write at the same time.
    """
    entry = {"made_of": _checksum(made_of), "data": data}
    with suppress(OSError):
        checkout.own_folder(root)
        replace(root / FILE, json.dumps({**_all(root), name: entry}))


def _all(root: Path) -> dict[str, Any]:
    try:
        found = json.loads((root / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _checksum(made_of: object) -> str:
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
