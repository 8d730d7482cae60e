"""A diagram in the two languages that programs draw: Mermaid, and DOT for Graphviz."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Final

from gangway.base.output import printable
from gangway.operations.graph.diagram import Box, Diagram

# For each kind of service, Mermaid's brackets and DOT's attributes.
_SHAPES: Final = {
    "serves": ("[", "]", "shape=box"),
    "runs once": ("([", "])", 'shape=box style="filled,rounded"'),
    "keeps data": ("[(", ")]", "shape=cylinder"),
}
# For each state that is waited for, Mermaid's arrow and DOT's style.
_ARROWS: Final = {
    "healthy": ("-->", "solid"),
    "completed": ("==>", "bold"),
    "started": ("-.->", "dashed"),
}
# What Mermaid would take for emphasis, code, a character's number or the end of a label.
_MARKS: Final = str.maketrans({mark: f"#{ord(mark)};" for mark in '#"`*_'})
_STYLE: Final = """\
    graph [labelloc=t fontname="Helvetica,Arial,sans-serif" fontsize=16]
    node [fontname="Helvetica,Arial,sans-serif" fontsize=11 margin="0.2,0.12"]
    node [style=filled fillcolor="#f6f8fa" color="#818b98"]
    edge [fontname="Helvetica,Arial,sans-serif" fontsize=10 color="#59636e"]"""


def mermaid(diagram: Diagram) -> str:
    """Return the diagram as a Mermaid flowchart, which ends in a newline."""
    lines = ["---", f"title: {_quoted(diagram.title)}", "---", "flowchart TD"]
    for box in diagram.boxes:
        before, after, _ = _SHAPES[box.kind]
        label = _label(box, lambda text: html.escape(text.translate(_MARKS), quote=False))
        lines.append(f'    {_id(box.name)}{before}"{label}"{after}')
    for waiter, target, state in diagram.links:
        lines.append(f"    {_id(waiter)} {_ARROWS[state][0]}|{state}| {_id(target)}")
    return "\n".join(lines) + "\n"


def dot(diagram: Diagram) -> str:
    """Return the diagram in DOT, which ends in a newline."""
    title = _quoted(diagram.title)
    lines = [f"digraph {title} {{", f"    label={title}", _STYLE]
    for box in diagram.boxes:
        label = _label(box, html.escape)
        lines.append(f"    {_id(box.name)} [label=<{label}> {_SHAPES[box.kind][2]}]")
    for waiter, target, state in diagram.links:
        look = f'label=" {state}" style={_ARROWS[state][1]}'
        lines.append(f"    {_id(waiter)} -> {_id(target)} [{look}]")
    return "\n".join([*lines, "}"]) + "\n"


def _label(box: Box, escape: Callable[[str], str]) -> str:
    """Return what a box says, in the few words of HTML that both languages know."""
    name, *lines = (escape(printable(line)) for line in (box.name, *box.lines))
    return "<br/>".join([f"<b>{name}</b>", *lines])


def _id(service: str) -> str:
    """Return a word of a service's own that means nothing in either language."""
    return "s_" + re.sub(r"[^A-Za-z0-9]", lambda sign: f"_{ord(sign[0])}_", service)


def _quoted(text: str) -> str:
    """Return a string as both DOT and YAML, in which Mermaid has its title, write it."""
    return json.dumps(printable(text), ensure_ascii=False)
