"""The Mermaid text of a diagram: for READMEs and wikis that draw it themselves."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Final

from gangway.operations.graph.diagram import Box, Diagram

_ARROWS: Final[Mapping[str, str]] = {"healthy": "-->", "completed": "==>", "started": "-.->"}


def text(diagram: Diagram) -> str:
    """Return the flowchart's text, which ends in a newline."""
    services = _identifiers("s", (box.name for box in diagram.boxes))
    volumes = _identifiers("v", sorted({name for box in diagram.boxes for name in box.volumes}))
    lines = [
        "---",
        f'title: "{diagram.title}"',
        "---",
        "flowchart TD",
    ]
    for box in diagram.boxes:
        opening, closing = ("([", "])") if box.runs_once else ("[", "]")
        lines.append(f'    {services[box.name]}{opening}"{_label(box, diagram)}"{closing}')
    for name, identifier in volumes.items():
        lines.append(f'    {identifier}[("{_escape(name)}")]')
    for link in diagram.links:
        arrow = _ARROWS[link.state]
        lines.append(f"    {services[link.waiter]} {arrow}|{link.state}| {services[link.target]}")
    lines += [
        f"    {services[box.name]} --- {volumes[name]}"
        for box in diagram.boxes
        for name in box.volumes
    ]
    return "\n".join(lines) + "\n"


def _label(box: Box, diagram: Diagram) -> str:
    lines = [f"<b>{_escape(box.name)}</b>", _escape(box.made_of)]
    if box.replicas > 1:
        lines.append(f"{box.replicas} copies")
    if box.runs_once:
        lines.append("runs once")
    if box.on_demand:
        lines.append("on demand")
    lines += [_escape(str(port)) for port in box.ports]
    if box.networks:
        networks = [
            f"{name} (internal)" if name in diagram.internal else name for name in box.networks
        ]
        lines.append(_escape(f"networks: {', '.join(networks)}"))
    return "<br/>".join(line for line in lines if line)


def _identifiers(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """Return an identifier for each name: `end` and others are words of the language itself."""
    found: dict[str, str] = {}
    for name in names:
        identifier = f"{prefix}_{re.sub(r'[^A-Za-z0-9]', '_', name)}"
        while identifier in found.values():
            identifier += "_"
        found[name] = identifier
    return found


def _escape(text: str) -> str:
    # An address in a label would become a link, and a star or underscore an emphasis.
    marks = {"`": "#96;", "*": "#42;", "_": "#95;", '"': "#quot;"}
    plain = html.escape(text.replace("#", "#35;"), quote=False)
    return "".join(marks.get(character, character) for character in plain)
