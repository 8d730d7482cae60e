"""Where boxes and edges go: rows by longest path, order by barycentres, no edge through a box.

A layered drawing in the manner of Sugiyama, for some fifteen boxes. Whoever waits stands above what
it waits for, so that edges point down; what waits for nothing is in the last row. An edge that
passes a row gets a lane of its own between the boxes there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

Edge = tuple[str, str]
Point = tuple[float, float]

# Between two boxes of a row, beside a lane, and between two rows.
_GAP: Final = 32.0
_LANE_GAP: Final = 18.0
_ROW_GAP: Final = 74.0
_PORT_GAP: Final = 26.0
# A slant of so little is no slant.
_NEARLY: Final = 20.0
_SWEEPS: Final = 24


@dataclass(frozen=True)
class Rectangle:
    """A place on the drawing, in pixels from its top left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> float:
        """The middle, from left to right."""
        return self.x + self.width / 2

    def overlaps(self, other: Rectangle) -> bool:
        """Say whether the two have more than an edge in common."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


@dataclass(frozen=True)
class Layout:
    """Boxes by name, and for each edge the points that it runs through, first to last.

    Between an even point and the next odd one an edge runs straight down, beside or out of a box;
    from an odd point to the next even one it swings through the free space between two rows.
    """

    width: float
    height: float
    boxes: Mapping[str, Rectangle]
    paths: Mapping[Edge, tuple[Point, ...]]


@dataclass(frozen=True)
class _Node:
    """A box, or a lane where an edge passes a row."""

    name: str
    row: int
    edge: Edge | None = None


def arrange(
    names: Sequence[str], edges: Iterable[Edge], sizes: Mapping[str, tuple[float, float]]
) -> Layout:
    """Return the layout of boxes with these widths and heights, the same for the same input.

    An edge of a cycle is laid out against its direction, one from a box to itself not at all.
    """
    wanted = [(a, b) for a, b in dict.fromkeys(edges) if a != b and a in sizes and b in sizes]
    downward = {edge: _downward(edge, wanted, names) for edge in wanted}
    rows_of = _rows(names, set(downward.values()))
    rows, chains = _with_lanes(names, sorted(set(downward.values())), rows_of)
    links = [pair for chain in chains.values() for pair in pairwise(chain)]
    rows = _ordered(rows, links)
    centres = _placed(rows, links, sizes)
    return _drawn(rows, chains, centres, sizes, downward)


def _downward(edge: Edge, edges: Sequence[Edge], names: Sequence[str]) -> Edge:
    """Return the edge, turned round where it closes a cycle."""
    return edge if edge not in _closing(edges, names) else (edge[1], edge[0])


def _closing(edges: Sequence[Edge], names: Sequence[str]) -> set[Edge]:
    """Return the edges that lead back to where a walk in the names' order is coming from."""
    following: dict[str, list[str]] = {name: [] for name in names}
    for a, b in edges:
        following[a].append(b)
    closing: set[Edge] = set()
    done: set[str] = set()
    under_way: set[str] = set()

    def walk(name: str) -> None:
        under_way.add(name)
        for other in following[name]:
            if other in under_way:
                closing.add((name, other))
            elif other not in done:
                walk(other)
        under_way.discard(name)
        done.add(name)

    for name in names:
        if name not in done:
            walk(name)
    return closing


def _rows(names: Sequence[str], edges: set[Edge]) -> dict[str, int]:
    """Return each box's row, 0 on top: as far above the last as its longest way down."""
    below: dict[str, set[str]] = {name: {b for a, b in edges if a == name} for name in names}
    depth: dict[str, int] = {}

    def measure(name: str) -> int:
        if name not in depth:
            depth[name] = max((measure(other) + 1 for other in below[name]), default=0)
        return depth[name]

    deepest = max((measure(name) for name in names), default=0)
    return {name: deepest - depth[name] for name in names}


def _with_lanes(
    names: Sequence[str], edges: Sequence[Edge], rows_of: Mapping[str, int]
) -> tuple[list[list[_Node]], dict[Edge, list[_Node]]]:
    """Return the rows, lanes included, and the nodes that each edge runs through."""
    rows: list[list[_Node]] = [[] for _ in range(max(rows_of.values(), default=0) + 1)]
    nodes = {name: _Node(name, rows_of[name]) for name in names}
    for name in names:
        rows[rows_of[name]].append(nodes[name])
    chains: dict[Edge, list[_Node]] = {}
    for a, b in edges:
        lanes = [_Node(f"{a} {b}", row, (a, b)) for row in range(rows_of[a] + 1, rows_of[b])]
        for lane in lanes:
            rows[lane.row].append(lane)
        chains[a, b] = [nodes[a], *lanes, nodes[b]]
    return rows, chains


# ---- the order in each row


def _ordered(rows: list[list[_Node]], links: Sequence[tuple[_Node, _Node]]) -> list[list[_Node]]:
    """Return the rows in the order with the fewest crossings that the sweeps come by."""
    above: dict[_Node, list[_Node]] = {node: [] for row in rows for node in row}
    below: dict[_Node, list[_Node]] = {node: [] for row in rows for node in row}
    for upper, lower in links:
        above[lower].append(upper)
        below[upper].append(lower)
    best, fewest = rows, _crossings(rows, below)
    rows = [list(row) for row in rows]
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        downwards = sweep % 2 == 0
        neighbours = above if downwards else below
        for row in rows if downwards else reversed(rows):
            place = {node: i for each in rows for i, node in enumerate(each)}
            means = {node: _barycentre(node, neighbours[node], place) for node in row}
            row.sort(key=means.__getitem__)
        _swapped(rows, below)
        count = _crossings(rows, below)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
    return best


def _barycentre(node: _Node, neighbours: Sequence[_Node], place: Mapping[_Node, int]) -> float:
    if not neighbours:
        return float(place[node])
    return sum(place[each] for each in neighbours) / len(neighbours)


def _swapped(rows: list[list[_Node]], below: Mapping[_Node, Sequence[_Node]]) -> None:
    """Swap neighbours in place for as long as that takes crossings away."""
    better = True
    while better:
        better = False
        for index, row in enumerate(rows):
            beside = rows[max(index - 1, 0) : index + 2]
            count = _crossings(beside, below)
            for i in range(len(row) - 1 if count else 0):
                row[i], row[i + 1] = row[i + 1], row[i]
                now = _crossings(beside, below)
                if now < count:
                    count, better = now, True
                else:
                    row[i], row[i + 1] = row[i + 1], row[i]


def _crossings(rows: Sequence[Sequence[_Node]], below: Mapping[_Node, Sequence[_Node]]) -> int:
    count = 0
    for upper, lower in pairwise(rows):
        place = {node: i for i, node in enumerate(lower)}
        ends = [sorted(place[other] for other in below[node]) for node in upper]
        for i, mine in enumerate(ends):
            for theirs in ends[i + 1 :]:
                count += sum(end > other for end in mine for other in theirs)
    return count


# ---- from left to right


def _placed(
    rows: Sequence[Sequence[_Node]],
    links: Sequence[tuple[_Node, _Node]],
    sizes: Mapping[str, tuple[float, float]],
) -> dict[_Node, float]:
    """Return each node's centre, as near to its neighbours' as the row's order allows."""
    near: dict[_Node, list[tuple[_Node, float]]] = {node: [] for row in rows for node in row}
    for upper, lower in links:
        # An edge that passes several rows had better do so straight.
        pull = 1.0 + 3.0 * (upper.edge is not None) + 3.0 * (lower.edge is not None)
        near[upper].append((lower, pull))
        near[lower].append((upper, pull))
    centres: dict[_Node, float] = {}
    for row in rows:
        wished = [0.0 for _ in row]
        centres.update(zip(row, _apart(row, wished, [1.0] * len(row), sizes), strict=True))
    for sweep in range(4 * _SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wished, weights = [], []
            for node in row:
                total = sum(pull for _, pull in near[node])
                mean = sum(centres[other] * pull for other, pull in near[node])
                wished.append(mean / total if total else centres[node])
                weights.append(max(total, 0.1))
            centres.update(zip(row, _apart(row, wished, weights, sizes), strict=True))
    return centres


def _apart(
    row: Sequence[_Node],
    wished: Sequence[float],
    weights: Sequence[float],
    sizes: Mapping[str, tuple[float, float]],
) -> list[float]:
    """Return the centres nearest to the wished ones (least squares) that leave room between them.

    Taking the room away turns this into a regression that must not fall: pool adjacent violators.
    """
    offsets, offset = [0.0], 0.0
    for left, right in pairwise(row):
        gap = _GAP if left.edge is None and right.edge is None else _LANE_GAP
        offset += _width(left, sizes) / 2 + gap + _width(right, sizes) / 2
        offsets.append(offset)
    pools: list[tuple[float, float, int]] = []
    for wish, start, weight in zip(wished, offsets, weights, strict=False):
        pools.append((wish - start, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (one, one_weight, one_count), (two, two_weight, two_count) = pools[-2:]
            total = one_weight + two_weight
            mean = (one * one_weight + two * two_weight) / total
            pools[-2:] = [(mean, total, one_count + two_count)]
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + start for mean, start in zip(means, offsets, strict=False)]


def _width(node: _Node, sizes: Mapping[str, tuple[float, float]]) -> float:
    return sizes[node.name][0] if node.edge is None else 0.0


# ---- the drawing


def _drawn(
    rows: Sequence[Sequence[_Node]],
    chains: Mapping[Edge, Sequence[_Node]],
    centres: Mapping[_Node, float],
    sizes: Mapping[str, tuple[float, float]],
    downward: Mapping[Edge, Edge],
) -> Layout:
    left = min((x - _width(node, sizes) / 2 for node, x in centres.items()), default=0.0)
    tops, heights, y = [], [], 0.0
    for row in rows:
        tops.append(y)
        heights.append(max((sizes[node.name][1] for node in row if node.edge is None), default=0.0))
        y += heights[-1] + _ROW_GAP
    boxes = {}
    for node, centre in centres.items():
        if node.edge is None:
            width = sizes[node.name][0]
            # All boxes of a row are as high as the highest: they line up, and edges begin alike.
            boxes[node.name] = Rectangle(
                round(centre - width / 2 - left, 1), tops[node.row], width, heights[node.row]
            )
    doors = _doors(chains, centres, sizes)
    paths = {}
    for edge, chain in chains.items():
        points: list[Point] = []
        for node in chain:
            top, bottom = tops[node.row], tops[node.row] + heights[node.row]
            if node is chain[0]:
                x = doors[edge][0] - left
                points += [(round(x, 1), bottom), (round(x, 1), bottom)]
            elif node is chain[-1]:
                x = round(doors[edge][1] - left, 1)
                points += [(x, top), (x, top)]
            else:
                x = round(centres[node] - left, 1)
                points += [(x, top), (x, bottom)]
        paths[edge] = tuple(points)
    right = max((x + _width(node, sizes) / 2 for node, x in centres.items()), default=0.0)
    found = {
        edge: paths[down] if edge == down else tuple(reversed(paths[down]))
        for edge, down in downward.items()
    }
    return Layout(round(right - left, 1), max(y - _ROW_GAP, 0.0), boxes, found)


def _doors(
    chains: Mapping[Edge, Sequence[_Node]],
    centres: Mapping[_Node, float],
    sizes: Mapping[str, tuple[float, float]],
) -> dict[Edge, Point]:
    """Return where each edge leaves its upper box and enters its lower one, from left to right."""
    leaving: dict[_Node, list[Edge]] = {}
    entering: dict[_Node, list[Edge]] = {}
    for edge, chain in chains.items():
        leaving.setdefault(chain[0], []).append(edge)
        entering.setdefault(chain[-1], []).append(edge)
    out = _spread(
        leaving, {edge: centres[chain[1]] for edge, chain in chains.items()}, centres, sizes
    )
    into = _spread(
        entering, {edge: centres[chain[-2]] for edge, chain in chains.items()}, centres, sizes
    )
    for edge, chain in chains.items():
        if len(chain) > 2:
            _aim(edge, centres[chain[1]], out, leaving[chain[0]])
            _aim(edge, centres[chain[-2]], into, entering[chain[-1]])
        elif len(entering[chain[-1]]) == 1:
            _aim(edge, out[edge], into, entering[chain[-1]])
        else:
            _aim(edge, into[edge], out, leaving[chain[0]])
    return {edge: (out[edge], into[edge]) for edge in chains}


def _aim(edge: Edge, x: float, doors: dict[Edge, float], beside: Sequence[Edge]) -> None:
    """Move a door right below or above `x` if it is nearly there: a straight line looks calmer."""
    others = [doors[other] for other in beside if other != edge]
    free = all(
        (other < doors[edge]) == (other < x) and abs(other - x) >= _PORT_GAP / 2 for other in others
    )
    if free and abs(doors[edge] - x) <= _NEARLY:
        doors[edge] = x


def _spread(
    edges: Mapping[_Node, Sequence[Edge]],
    towards: Mapping[Edge, float],
    centres: Mapping[_Node, float],
    sizes: Mapping[str, tuple[float, float]],
) -> dict[Edge, float]:
    found = {}
    for node, mine in edges.items():
        ordered = sorted(mine, key=lambda edge: (towards[edge], edge))
        room = _width(node, sizes) - 2 * _PORT_GAP
        step = min(_PORT_GAP, room / max(len(ordered) - 1, 1))
        first = centres[node] - step * (len(ordered) - 1) / 2
        for index, edge in enumerate(ordered):
            found[edge] = first + index * step
    return found
