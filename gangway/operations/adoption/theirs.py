"""The services of Compose files that are not ours, as they stand there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from gangway.base.errors import GangwayError
from gangway.operations.adoption.found import Foreign
from gangway.operations.adoption.services import Definition


class _Loader(yaml.SafeLoader):
    """Takes Compose's own tags (`!reset`, `!override`) for what they stand on."""


def _under_a_tag(loader: _Loader, _tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


_Loader.add_multi_constructor("!", _under_a_tag)


def definitions(root: Path, services: Iterable[Foreign]) -> dict[str, Definition]:
    """Return the definition of each service by its name; empty for what its file doesn't have.

    Raises GangwayError for a file that can't be read.
    """
    found: dict[str, Definition] = {}
    for service in services:
        there = _services(root, service.file).get(service.name)
        found[service.name] = there if isinstance(there, Mapping) else {}
    return found


def _services(root: Path, file: str) -> Mapping[str, Any]:
    try:
        text = (root / file).read_text(encoding="utf-8")
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 (a safe loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        what = f"it can't be read: {str(error).splitlines()[0]}"
        raise GangwayError(what, where=file) from None
    services = data.get("services") if isinstance(data, Mapping) else None
    return services if isinstance(services, Mapping) else {}
