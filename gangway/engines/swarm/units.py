"""Durations, sizes and modes, from a Compose model's words to the numbers of the Engine's API."""

from __future__ import annotations

import re
from typing import Any, Final

_NANOSECONDS: Final = {
    "h": 3600 * 10**9,
    "m": 60 * 10**9,
    "s": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "µs": 10**3,
    "ns": 1,
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
_BYTES: Final = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?([bkmgt]?)(?:i?b)?", re.IGNORECASE)


def nanoseconds(text: Any) -> int:
    """Return a duration such as `1m30s` or `200ms`; raises ValueError for what is none."""
    words = str(text)
    parts = _PART.findall(words)
    if "".join(number + unit for number, unit in parts) != words or not parts:
        if words == "0":
            return 0
        raise ValueError(f"{words!r} is no duration")
    return round(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))


def size(text: Any) -> int:
    """Return a size such as `64m` in bytes; raises ValueError for what is none."""
    if not (found := _SIZE.fullmatch(str(text))):
        raise ValueError(f"{text!r} is no size")
    return int(float(found[1]) * _BYTES[found[2].lower()])


def mode(value: Any, default: int) -> int:
    """Return the mode of a file: a number as it is, text in octal, `default` for none."""
    if value in (None, ""):
        return default
    return value if isinstance(value, int) else int(str(value).removeprefix("0o"), 8)


def nano_cpus(value: Any) -> int:
    """Return a number of CPUs in billionths."""
    return round(float(value) * 10**9)
