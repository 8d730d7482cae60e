"""In what two models differ, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """Something that isn't in both: `path` are the keys to it, None stands for what isn't there."""

    path: tuple[str, ...]
    before: Any
    after: Any

    def __str__(self) -> str:
        """Name it: `api's environment LOG_LEVEL`."""
        kind, name, *rest = (*self.path, "")
        if kind == "services":
            return f"{name}'s {' '.join(rest[:-1])}" if rest[:-1] else f"the service {name}"
        return f"the {kind.removesuffix('s')} {name}" if name else kind


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield in what two models differ: as deep as both have mappings there."""
    yield from _within((), before, after)


def _within(path: tuple[str, ...], before: Any, after: Any) -> Iterator[Difference]:
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        if before != after:
            yield Difference(path, before, after)
        return
    for key in (*before, *(key for key in after if key not in before)):
        yield from _within((*path, str(key)), before.get(key), after.get(key))
