"""What `!reset` takes away in a block of a Compose file that is repeated elsewhere by an alias.

Compose up to 2.26 goes by the place of the tag: where the block is repeated (`beat: *worker`, or
`<<: *worker`), what it took away in the first place is there again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gangway.settings import cache

if TYPE_CHECKING:
    import yaml

_RESET: Final = "!reset"
_MERGE: Final = "<<"


class Repeated(NamedTuple):
    """A place where Compose may forget a reset: `path` is a service's name and the keys in it.

    `first` is where it is written, as in `worker`, or `x-base`; `file` and `line` where the block
    is repeated.
    """

    file: str
    line: int
    path: tuple[str, ...]
    first: str


def repeated(root: Path, files: Sequence[str]) -> list[Repeated]:
    """Return all such places in these files of the checkout; what isn't YAML has none."""
    texts = {}
    for file in files:
        try:
            text = (root / file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if _RESET in text and "&" in text and "*" in text:
            texts[file] = text
    if not texts:
        return []
    kept = cache.kept(root, "repeated resets", texts)
    if kept is None:
        kept = [place for file, text in texts.items() for place in _places(file, text)]
        cache.keep(root, "repeated resets", texts, kept)
    return [Repeated(file, line, tuple(path), first) for file, line, path, first in kept]


def is_there(services: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Say whether the merged services have something at such a path."""
    node: Any = services
    for key in path:
        if not isinstance(node, Mapping) or key not in node:
            return False
        node = node[key]
    return bool(node)


def _places(file: str, text: str) -> list[Repeated]:
    # Imported late: with it, every start takes 40 ms more.
    import yaml

    try:
        top = yaml.compose(text, Loader=yaml.SafeLoader)
        return [] if top is None else list(_walk(file, top, (), 0, {}))
    except (yaml.YAMLError, RecursionError):
        return []  # Compose says what is wrong


def _walk(
    file: str, node: yaml.Node, path: tuple[str, ...], line: int, seen: dict[int, str]
) -> Iterator[Repeated]:
    if not isinstance(node.value, list):
        return
    if first := seen.get(id(node)):
        for keys in _resets(node):
            place = tuple(key for key in (*path, *keys) if key != _MERGE)
            if place[0] == "services" and len(place) > 2:
                yield Repeated(file, line, place[1:], first)
        return
    seen[id(node)] = path[1] if path[:1] == ("services",) and len(path) > 1 else "/".join(path[:1])
    for each in node.value:
        if isinstance(each, tuple):
            key, value = each
            found = _walk(file, value, (*path, str(key.value)), key.start_mark.line + 1, seen)
            own = _tagged(node) if key.value == _MERGE else set()
            yield from (place for place in found if place.path[len(path) - 1 :][:1] not in own)
        else:
            yield from _walk(file, each, path, each.start_mark.line + 1, seen)


def _resets(node: yaml.Node) -> Iterator[tuple[str, ...]]:
    """Yield the keys, from a block on, of all that it resets."""
    for each in node.value if isinstance(node.value, list) else ():
        if isinstance(each, tuple):
            key, value = each
            if value.tag == _RESET:
                yield (str(key.value),)
            yield from ((str(key.value), *more) for more in _resets(value))


def _tagged(node: yaml.Node) -> set[tuple[str, ...]]:
    """Return the keys of a block that say by themselves what becomes of what was there."""
    return {(str(key.value),) for key, value in node.value if value.tag in (_RESET, "!override")}
