"""The SVG of a diagram: one file that explains itself, in light and dark, without any script.

Only what every renderer of SVG knows: classes and a media query, no variables, no foreign objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final
from xml.sax.saxutils import escape

from gangway.operations.graph.diagram import Box, Diagram
from gangway.operations.graph.layout import Layout, Point, Rectangle, arrange

MARGIN: Final = 28.0
MARK: Final = "<!-- drawn by gangway.graph -->"
"""In every file, so that a picture of ours is told from others."""
_HEADER: Final = 74.0
_HEADING: Final = "Services, what each waits for when it starts, ports and networks"
_PADDING: Final = 15.0
_LINE: Final = 20.0
_NARROWEST, _WIDEST = 172.0, 264.0
_NAME, _SMALL = 15.0, 12.0
# Every sign is in a column of its own before the words.
_SIGN: Final = 20.0
# A network's place in this is its colour; more than these share the last.
_NETWORK_COLOURS: Final = 4
_NETWORK_GAP: Final = 10.0

_MEANINGS: Final[Mapping[str, str]] = {
    "healthy": "is healthy",
    "completed": "has completed",
    "started": "has started",
}

_STYLE: Final = """
text { font-family: -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif;
  font-size: 12px; fill: #59636e; }
.sheet { fill: #ffffff; stroke: #d1d9e0; }
.title { font-size: 19px; font-weight: 600; fill: #1f2328; }
.name { font-size: 15px; font-weight: 600; fill: #1f2328; }
.box { fill: #f6f8fa; stroke: #c4ccd4; stroke-width: 1.2; }
.once { stroke-dasharray: 5 3.5; }
.rule { stroke: #d1d9e0; }
.badge { fill: #eaeef2; }
.port { fill: #0550ae; }
.door { fill: none; stroke: #0550ae; stroke-width: 1.4; stroke-linecap: round;
  stroke-linejoin: round; }
.disk { fill: none; stroke: #59636e; stroke-width: 1.2; }
.edge { fill: none; stroke-width: 1.8; stroke-linecap: round; }
.healthy { stroke: #1a7f37; } .healthy-head { fill: #1a7f37; }
.completed { stroke: #8250df; stroke-dasharray: 8 4.5; } .completed-head { fill: #8250df; }
.started { stroke: #6e7781; stroke-dasharray: 0.5 4.5; } .started-head { fill: #6e7781; }
.network-0 { fill: #0969da; } .network-1 { fill: #bc4c00; }
.network-2 { fill: #1b7c83; } .network-3 { fill: #bf3989; }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1; }
.sheet { fill: #0d1117; stroke: #3d444d; }
.title, .name { fill: #f0f6fc; }
.box { fill: #161b22; stroke: #4a525c; }
.rule { stroke: #30363d; }
.badge { fill: #2a313c; }
.port { fill: #79c0ff; }
.door { stroke: #79c0ff; }
.disk { stroke: #9198a1; }
.healthy { stroke: #3fb950; } .healthy-head { fill: #3fb950; }
.completed { stroke: #ab7df8; } .completed-head { fill: #ab7df8; }
.started { stroke: #9198a1; } .started-head { fill: #9198a1; }
.network-0 { fill: #4493f8; } .network-1 { fill: #f0883e; }
.network-2 { fill: #39c5cf; } .network-3 { fill: #f778ba; }
}
""".strip()


def text(diagram: Diagram) -> str:
    """Return the SVG of a diagram, which ends in a newline; the same for the same diagram."""
    sizes = {box.name: _size(box) for box in diagram.boxes}
    links = [(link.waiter, link.target) for link in diagram.links]
    layout = arrange([box.name for box in diagram.boxes], links, sizes)
    entries = _legend(diagram)
    narrowest = max(textwidth(_HEADING), textwidth(diagram.title, 19.0, bold=True), 420.0)
    inner = max(layout.width, narrowest)
    legend, legend_height = _flow(entries, inner)
    width = inner + 2 * MARGIN
    top = MARGIN + _HEADER
    bottom = top + layout.height
    height = bottom + 34 + legend_height + MARGIN - 8
    shift = MARGIN + (inner - layout.width) / 2
    size = f'width="{_n(width)}" height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title desc">',
        MARK,
        f'<title id="title">{escape(diagram.title)}</title>',
        f'<desc id="desc">{escape(_description(diagram))}</desc>',
        f"<style>\n{_STYLE}\n</style>",
        f"<defs>{''.join(map(_arrowhead, diagram.states))}</defs>",
        f'<rect class="sheet" {_frame(0.5, 0.5, width - 1, height - 1)} rx="12"/>',
        f'<text class="title" {_at(MARGIN, MARGIN + 16)}>{escape(diagram.title)}</text>',
        f"<text {_at(MARGIN, MARGIN + 38)}>{_HEADING}</text>",
        f'<g transform="translate({_n(shift)} {_n(top)})">',
        *_edges(diagram, layout),
        *(line for box in diagram.boxes for line in _drawn(box, layout.boxes[box.name], diagram)),
        "</g>",
        f'<path class="rule" d="M{_n(MARGIN)} {_n(bottom + 26)}H{_n(width - MARGIN)}"/>',
        f'<g transform="translate({_n(MARGIN)} {_n(bottom + 34)})">',
        *legend,
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def textwidth(text: str, size: float = _SMALL, *, bold: bool = False) -> float:
    """Return how wide a text is at most, in pixels, in whichever sans-serif font draws it.

    After DejaVu Sans, the widest that is common.
    """
    ems = sum(
        0.33 if c in "ijlI.,:;'|!()[] " else
        0.45 if c in "frt-/\\*" else
        0.98 if c in "mwMW@%→—" else
        0.72 if c.isupper() else 0.64
        for c in text
    )  # fmt: skip
    return ems * size * (1.1 if bold else 1.0)


def clipped(text: str, width: float, size: float = _SMALL, *, bold: bool = False) -> str:
    """Return the text, its middle left out where it would be wider than this."""
    if textwidth(text, size, bold=bold) <= width:
        return text
    keep = len(text) - 1
    while keep > 1:
        head, tail = (keep + 1) // 2, keep // 2
        short = f"{text[:head]}…{text[len(text) - tail :]}"
        if textwidth(short, size, bold=bold) <= width:
            return short
        keep -= 1
    return "…"


# ---- boxes


def _badge(box: Box) -> str:
    if box.runs_once:
        return "runs once"
    if box.on_demand:
        return "on demand"
    return f"{box.replicas} copies" if box.replicas > 1 else ""


def _size(box: Box) -> tuple[float, float]:
    badge = _badge(box)
    first = textwidth(box.name, _NAME, bold=True) + (textwidth(badge) + 28 if badge else 0)
    lines = [first, textwidth(box.made_of)]
    lines += [textwidth(str(port)) + _SIGN for port in box.ports]
    lines += [textwidth(volume) + _SIGN for volume in box.volumes]
    lines += [sum(map(_network_width, box.networks)) - _NETWORK_GAP]
    width = min(max(*lines, _NARROWEST - 2 * _PADDING), _WIDEST - 2 * _PADDING) + 2 * _PADDING
    rows = len(box.ports) + len(box.volumes) + len(_network_rows(box, width))
    return float(ceil(width)), 58 + (10 if rows else 0) + rows * _LINE


def _network_width(name: str) -> float:
    return _SIGN + textwidth(name) + _NETWORK_GAP


def _network_rows(box: Box, width: float) -> list[list[str]]:
    """Return the box's networks, as many in a line as fit."""
    rows: list[list[str]] = []
    used = 0.0
    for name in box.networks:
        wide = _network_width(name)
        if rows and used + wide - _NETWORK_GAP <= width - 2 * _PADDING:
            rows[-1].append(name)
        else:
            rows.append([name])
            used = 0.0
        used += wide
    return rows


def _drawn(box: Box, place: Rectangle, diagram: Diagram) -> Iterator[str]:
    inner = place.width - 2 * _PADDING
    kind = "box once" if box.runs_once else "box"
    badge = _badge(box)
    badge_width = textwidth(badge) + 16 if badge else 0.0
    yield f'<g transform="translate({_n(place.x)} {_n(place.y)})">'
    yield f"<title>{escape(_tooltip(box))}</title>"
    yield f'<rect class="{kind}" width="{_n(place.width)}" height="{_n(place.height)}" rx="9"/>'
    name = clipped(box.name, inner - badge_width - (12 if badge else 0), _NAME, bold=True)
    yield f'<text class="name" x="{_n(_PADDING)}" y="25">{escape(name)}</text>'
    if badge:
        x = place.width - _PADDING - badge_width
        yield f'<rect class="badge" {_frame(x, 11, badge_width, 18)} rx="9"/>'
        yield f'<text {_at(x + badge_width / 2, 24.2)} text-anchor="middle">{badge}</text>'
    yield f'<text x="{_n(_PADDING)}" y="44">{escape(clipped(box.made_of, inner))}</text>'
    y = 74.0
    for port in box.ports:
        yield _door(_PADDING, y)
        shown = clipped(str(port), inner - _SIGN)
        yield f'<text class="port" {_at(_PADDING + _SIGN, y)}>{escape(shown)}</text>'
        y += _LINE
    for volume in box.volumes:
        yield _disk(_PADDING, y)
        shown = clipped(volume, inner - _SIGN)
        yield f"<text {_at(_PADDING + _SIGN, y)}>{escape(shown)}</text>"
        y += _LINE
    rows = _network_rows(box, place.width)
    y = place.height - 14 - _LINE * (len(rows) - 1)
    for row in rows:
        x = _PADDING
        for network in row:
            yield _dot(x, y, network, diagram)
            shown = clipped(network, inner - _SIGN)
            yield f"<text {_at(x + _SIGN, y)}>{escape(shown)}</text>"
            x += _network_width(network)
        y += _LINE
    yield "</g>"


def _door(x: float, y: float) -> str:
    """Return the sign of a published port: an arrow that comes in."""
    arrow = f"M{_n(x)} {_n(y - 4)}h8m-3 -3l3 3l-3 3"
    return f'<path class="door" d="{arrow}M{_n(x + 12)} {_n(y - 9.5)}v11"/>'


def _disk(x: float, y: float) -> str:
    """Return the sign of a volume: a drum."""
    x, y = x + 0.5, y - 8.5
    return (
        f'<path class="disk" d="M{_n(x)} {_n(y)}a5.5 2.2 0 0 1 11 0v8a5.5 2.2 0 0 1 -11 0z'
        f'm0 0a5.5 2.2 0 0 0 11 0"/>'
    )


def _dot(x: float, y: float, network: str, diagram: Diagram) -> str:
    place = min(diagram.networks.index(network), _NETWORK_COLOURS - 1)
    return f'<circle class="network-{place}" cx="{_n(x + 6)}" cy="{_n(y - 4)}" r="4.5"/>'


# ---- edges


def _arrowhead(state: str) -> str:
    return (
        f'<marker id="{state}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9" '
        f'markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path class="{state}-head" d="M0 0.8 10 5 0 9.2z"/></marker>'
    )


def _edges(diagram: Diagram, layout: Layout) -> Iterator[str]:
    for link in diagram.links:
        path = layout.paths[link.waiter, link.target]
        yield (
            f'<path class="edge {link.state}" d="{_curve(path)}" '
            f'marker-end="url(#{link.state})">'
            f"<title>{escape(_sentence(link.waiter, link.target, link.state))}</title></path>"
        )


def _curve(points: tuple[Point, ...]) -> str:
    """Return the path through a layout's points: straight beside boxes, smooth between rows."""
    x, y = points[0]
    found = [f"M{_n(x)} {_n(y)}"]
    for index, (to_x, to_y) in enumerate(points[1:], start=1):
        if index % 2:
            if to_y != y:
                found.append(f"V{_n(to_y)}")
        else:
            middle = (y + to_y) / 2
            found.append(f"C{_n(x)} {_n(middle)} {_n(to_x)} {_n(middle)} {_n(to_x)} {_n(to_y)}")
        x, y = to_x, to_y
    return "".join(found)


# ---- words


def _sentence(waiter: str, target: str, state: str) -> str:
    return f"{waiter} waits until {target} {_MEANINGS[state]}"


def _tooltip(box: Box) -> str:
    parts = [box.name, box.made_of, *map(str, box.ports)]
    parts += [f"volume {volume}" for volume in box.volumes]
    if box.networks:
        parts.append(f"networks: {', '.join(box.networks)}")
    return "\n".join(part for part in parts if part)


def _description(diagram: Diagram) -> str:
    boxes = [
        f"{box.name} ({', '.join(filter(None, [box.made_of, *map(str, box.ports)]))})"
        for box in diagram.boxes
    ]
    links = [_sentence(link.waiter, link.target, link.state) for link in diagram.links]
    return f"Services: {'; '.join(boxes)}. {'; '.join(links)}."


@dataclass(frozen=True)
class _Entry:
    """One sign of the legend with its meaning; `sign` is drawn with its baseline at y = 0."""

    sign: str
    indent: float
    meaning: str


def _legend(diagram: Diagram) -> list[_Entry]:
    """Return the meaning of every sign that the drawing has."""
    found = [
        _Entry(
            f'<path class="edge {state}" d="M1 -4H32" marker-end="url(#{state})"/>',
            41,
            f"waits until {state}",
        )
        for state in diagram.states
    ]
    if any(box.ports for box in diagram.boxes):
        found.append(_Entry(_door(0, 0), _SIGN, "published on this machine"))
    if any(box.volumes for box in diagram.boxes):
        found.append(_Entry(_disk(0, 0), _SIGN, "volume"))
    for network in diagram.networks:
        internal = ", without a way out" if network in diagram.internal else ""
        found.append(_Entry(_dot(0, 0, network, diagram), _SIGN, f"network {network}{internal}"))
    return found


def _flow(entries: list[_Entry], width: float) -> tuple[list[str], float]:
    """Return the legend's lines, broken to this width, and its height."""
    x, y = 0.0, 16.0
    lines = []
    for entry in entries:
        wide = entry.indent + textwidth(entry.meaning)
        if x and x + wide > width:
            x, y = 0.0, y + 22
        lines.append(
            f'<g transform="translate({_n(x)} {_n(y)})">{entry.sign}'
            f'<text x="{_n(entry.indent)}">{escape(entry.meaning)}</text></g>'
        )
        x += wide + 12
    return lines, y + 4


def _at(x: float, y: float) -> str:
    return f'x="{_n(x)}" y="{_n(y)}"'


def _frame(x: float, y: float, width: float, height: float) -> str:
    return f'{_at(x, y)} width="{_n(width)}" height="{_n(height)}"'


def _n(number: float) -> str:
    """Return a number as short as it can be written."""
    return f"{number:.1f}".removesuffix(".0")
