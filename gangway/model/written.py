"""What the Compose files say of a service before Compose puts values in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from gangway.settings.environment import Environment


def as_written(environment: Environment, service: str, *keys: str) -> str:
    """Return a service's value as the Compose files have it, `${NAME:-default}` and all.

    Compose itself can't say: without values it reads no mount whose source is a variable. Empty
    where no file has one.
    """
    for file in reversed(environment.compose_files):
        if found := _look(environment.root, file, service, keys):
            return found
    return ""


def _look(root: Path, file: str, service: str, keys: Sequence[str]) -> str:
    try:
        own = yaml.load((root / file).read_text(encoding="utf-8"), Untagged)["services"][service]  # noqa: S506
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return ""
    found = own
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    if found is not None:
        return str(found)
    base = own.get("extends") if isinstance(own, dict) else None
    if isinstance(base, str):
        base = {"service": base}
    if not isinstance(base, dict) or base == {"service": service}:
        return ""
    return _look(root, base.get("file", file), str(base.get("service")), keys)


class Untagged(yaml.SafeLoader):
    """Takes Compose's own tags (`!reset`, `!override`) for what they stand on."""


def _under_a_tag(loader: Untagged, _tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


Untagged.add_multi_constructor("!", _under_a_tag)
