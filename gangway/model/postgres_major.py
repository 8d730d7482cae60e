"""The major in an image's name: `postgres:18.1-trixie` is of 18."""

from __future__ import annotations

import re
from typing import Final

# The first number of the tag: postgres:18.1-trixie, pgvector/pgvector:pg18, postgis/postgis:18-3.6.
_TAG: Final = re.compile(r"^(?P<name>.*:)(?P<word>pg)?(?P<major>\d+)(?P<rest>[^/]*)$")


def major_of(image: str) -> int:
    """Return the major that an image's tag names; 0 where it names none."""
    found = _TAG.match(image.partition("@")[0])
    return int(found["major"]) if found else 0


def of_major(image: str, major: int) -> str:
    """Return the same image of another major, its newest minor; empty where no tag says which.

    What follows the number stays, but for a minor version: `postgres:18.1-trixie` is
    `postgres:17-trixie`.
    """
    found = _TAG.match(image.partition("@")[0])
    if not found:
        return ""
    rest = re.sub(r"^(\.\d+)+", "", found["rest"])
    return f"{found['name']}{found['word'] or ''}{major}{rest}"
