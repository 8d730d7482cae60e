"""Pictures of stacks: all that the model says is in them, and nothing runs through a box."""

from __future__ import annotations

import itertools
import random
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from gangway.model.model import Model
from gangway.operations.graph import layout, mermaid, svg
from gangway.operations.graph.diagram import Diagram, describe
from gangway.operations.graph.layout import Layout, Point, Rectangle

SVG = "{http://www.w3.org/2000/svg}"
CONDITIONS = ("service_healthy", "service_completed_successfully", "service_started")

MODEL: dict[str, Any] = {
    "name": "shop-dev",
    "networks": {"data": {"internal": True}, "web": {}},
    "services": {
        "proxy": {
            "image": "registry.example.com:5000/library/a-rather-long-name/nginx:1.29-trixie",
            "ports": [{"host_ip": "0.0.0.0", "published": "8080", "target": 80, "protocol": "tcp"}],
            "networks": {"web": None},
            "depends_on": {
                "api": {"condition": "service_healthy"},
                "mail": {"condition": "service_started", "required": False},
            },
        },
        "api": {
            "build": {"context": "/src", "dockerfile": "x.Dockerfile", "args": {"APP": "shop"}},
            "ports": [
                {"host_ip": "127.0.0.1", "published": "8000", "target": 8000, "protocol": "tcp"},
                {"target": 9000, "protocol": "tcp"},
            ],
            "networks": {"data": None, "web": None},
            "depends_on": {
                "migrate": {"condition": "service_completed_successfully"},
                "postgres": {"condition": "service_healthy"},
            },
            "deploy": {"replicas": 3},
        },
        "migrate": {
            "build": {"context": "/src", "dockerfile": "/src/docker/tool.Dockerfile"},
            "networks": {"data": None},
            "depends_on": {"postgres": {"condition": "service_started"}},
        },
        "postgres": {
            "image": "postgres:18",
            "networks": {"data": None},
            "volumes": [
                {"type": "volume", "source": "rows", "target": "/var/lib/postgresql"},
                {"type": "bind", "source": "/src/conf", "target": "/etc/conf"},
            ],
        },
        "mail": {"image": "mail", "profiles": ["mail"]},
        "search": {"image": "search", "profiles": ["search"]},
        "runner": {"image": "runner", "profiles": ["test-runner"]},
    },
}


def drawn(raw: Mapping[str, Any] = MODEL, *profiles: str) -> Diagram:
    model = Model(raw, frozenset(profiles))
    return describe(model, stack="shop", environment="dev", optional=["search"])


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314


def stack(links: Mapping[str, Mapping[str, str]]) -> Diagram:
    """Return the diagram of services that have nothing but dependencies."""
    services = {
        name: {
            "image": f"{name}:1",
            "depends_on": {on: {"condition": how} for on, how in wanted.items()},
        }
        for name, wanted in links.items()
    }
    return drawn({"name": "x", "services": services})


def some_stacks() -> Iterator[Diagram]:
    """Yield stacks of one to fifteen services, with what waits for what drawn by chance."""
    for seed in range(60):
        chance = random.Random(seed)  # noqa: S311
        names = [f"service-{i}" for i in range(1 + seed % 15)]
        yield stack(
            {
                name: {
                    other: chance.choice(CONDITIONS)
                    for other in names[i + 1 :]
                    if chance.random() < 2.2 / len(names)
                }
                for i, name in enumerate(names)
            }
        )


# ---- what is drawn


def test_every_service_that_starts_is_drawn_with_what_it_is_made_of() -> None:
    boxes = {box.name: box.made_of for box in drawn().boxes}
    assert boxes == {
        "api": "apps/shop",
        "migrate": "docker/tool.Dockerfile",
        "postgres": "postgres:18",
        "proxy": "registry.example.com:5000/library/a-rather-long-name/nginx:1.29-trixie",
        "search": "search",
    }


def test_a_profile_that_is_on_brings_its_services_and_their_links() -> None:
    diagram = drawn(MODEL, "mail")
    assert "mail" in {box.name for box in diagram.boxes}
    assert "runner" not in {box.name for box in diagram.boxes}
    assert ("proxy", "mail", "started") in [
        (link.waiter, link.target, link.state) for link in diagram.links
    ]


def test_links_say_what_is_waited_for_and_end_at_services_of_the_stack() -> None:
    assert [(link.waiter, link.target, link.state) for link in drawn().links] == [
        ("api", "migrate", "completed"),
        ("api", "postgres", "healthy"),
        ("migrate", "postgres", "started"),
        ("proxy", "api", "healthy"),
    ]


def test_published_ports_networks_volumes_and_copies_are_told() -> None:
    boxes = {box.name: box for box in drawn().boxes}
    assert [str(port) for port in boxes["api"].ports] == ["localhost:8000 → 8000"]
    assert [str(port) for port in boxes["proxy"].ports] == ["*:8080 → 80"]
    assert boxes["api"].networks == ("data", "web")
    assert boxes["api"].replicas == 3
    assert boxes["postgres"].volumes == ("rows",)
    assert boxes["migrate"].runs_once and not boxes["api"].runs_once
    assert drawn().internal == {"data"}


def test_what_is_started_for_whoever_asks_is_marked() -> None:
    assert [box.name for box in drawn().boxes if box.on_demand] == ["search"]
    assert "on demand" in svg.text(drawn()) and "on demand" in mermaid.text(drawn())
    assert not any(box.on_demand for box in drawn(MODEL, "search").boxes)


# ---- both outputs


def test_the_mermaid_text_has_every_service_link_and_volume() -> None:
    lines = [line.strip() for line in mermaid.text(drawn()).splitlines()]
    assert lines[3] == "flowchart TD"
    for line in (
        "s_api ==>|completed| s_migrate",
        "s_api -->|healthy| s_postgres",
        "s_migrate -.->|started| s_postgres",
        "s_proxy -->|healthy| s_api",
        's_postgres["<b>postgres</b><br/>postgres:18<br/>networks: data (internal)"]',
        's_migrate(["<b>migrate</b><br/>docker/tool.Dockerfile<br/>runs once'
        '<br/>networks: data (internal)"])',
        'v_rows[("rows")]',
        "s_postgres --- v_rows",
    ):
        assert line in lines


def test_names_that_mermaid_reads_as_its_own_words_or_marks_do_no_harm() -> None:
    diagram = stack({"end": {"a-b": CONDITIONS[0]}, "a-b": {}, "a.b": {}, "graph": {}})
    text = mermaid.text(diagram)
    assert "s_end -->|healthy| s_a_b" in text
    assert 's_a_b_["<b>a.b</b>' in text
    assert not any(line.strip().startswith("end") for line in text.splitlines())


def test_the_svg_has_every_service_link_port_and_volume() -> None:
    root = parsed(svg.text(drawn()))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    for name in ("api", "migrate", "postgres", "proxy", "apps/shop", "rows", "data", "web"):
        assert name in texts
    assert {"localhost:8000 → 8000", "*:8080 → 80", "3 copies", "runs once"} <= set(texts)
    titles = {
        title.text for path in root.iter(f"{SVG}path") for title in path.findall(f"{SVG}title")
    }
    assert titles == {
        "api waits until migrate has completed",
        "api waits until postgres is healthy",
        "migrate waits until postgres has started",
        "proxy waits until api is healthy",
    }


def test_the_svg_describes_itself_to_those_who_cannot_see_it() -> None:
    root = parsed(svg.text(drawn()))
    assert root.get("role") == "img"
    described = [element.get("id") for element in root[:2]]
    assert root.get("aria-labelledby", "").split() == described
    text = root.findtext(f"{SVG}desc") or ""
    assert "api (apps/shop, localhost:8000 → 8000)" in text
    assert "migrate waits until postgres has started" in text


def test_the_legend_explains_what_is_drawn_and_nothing_else() -> None:
    explained = svg.text(drawn())
    for words in ("waits until completed", "published on this machine", ">volume<",
                  "network data, without a way out", "network web"):  # fmt: skip
        assert words in explained
    plain = svg.text(stack({"a": {"b": "service_healthy"}, "b": {}}))
    assert "waits until healthy" in plain
    for words in ("waits until started", "published", ">volume<", ">network"):
        assert words not in plain


def test_dark_and_light_have_a_colour_for_the_same_things() -> None:
    style = parsed(svg.text(drawn())).findtext(f"{SVG}style") or ""
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")
    for name in (".sheet", ".box", ".name", ".port", ".healthy-head", ".network-3"):
        assert name in light and name in dark


def test_a_name_with_signs_of_xml_is_written_as_it_is() -> None:
    raw = {"name": "x", "services": {"a": {"image": "<b>&\"'"}}}
    assert "<b>&\"'" in [
        element.text for element in parsed(svg.text(drawn(raw))).iter(f"{SVG}text")
    ]


def test_text_stays_in_its_box() -> None:
    names = ["x" * 80, "a-service-with-a-name-of-many-words", "W" * 20]
    services = {
        name: {
            "image": "m" * 90,
            "networks": {"n" * 60: None, "data": None, "web": None, "another": None},
            "ports": [{"host_ip": "2001:db8:1234:5678::1", "published": "65535", "target": 65535}],
        }
        for name in names
    }
    root = parsed(svg.text(drawn({"name": "x", "services": services})))
    seen = 0
    for group in root.iter(f"{SVG}g"):
        frame = group.find(f"{SVG}rect[@rx='9']")
        if frame is None:
            continue
        for element in group.findall(f"{SVG}text"):
            name = element.get("class") == "name"
            size = 15.0 if name else 12.0
            wide = svg.textwidth(element.text or "", size, bold=name)
            assert float(element.get("x", "0")) + wide <= float(frame.get("width", "0"))
            assert float(element.get("y", "0")) < float(frame.get("height", "0"))
            seen += 1
    assert seen > 3 * len(names)


@pytest.mark.parametrize("render", [svg.text, mermaid.text])
def test_the_same_model_gives_the_same_text_whatever_its_order(render: Any) -> None:
    services = MODEL["services"]
    backwards = MODEL | {"services": {name: services[name] for name in reversed(services)}}
    assert render(drawn()) == render(drawn(backwards))


# ---- layout


def test_boxes_neither_overlap_nor_leave_the_drawing() -> None:
    for diagram in some_stacks():
        found = placed(diagram)
        for one, other in itertools.combinations(found.boxes.values(), 2):
            assert not one.overlaps(other)
        for box in found.boxes.values():
            assert box.x >= 0 and box.x + box.width <= found.width + 0.1
            assert box.y >= 0 and box.y + box.height <= found.height


def test_no_edge_runs_through_a_box() -> None:
    for diagram in some_stacks():
        found = placed(diagram)
        for path in found.paths.values():
            for x, y in samples(path):
                assert not any(inside(box, x, y) for box in found.boxes.values())
                assert -0.1 <= x <= found.width + 0.1


def test_an_edge_begins_at_the_one_who_waits_and_ends_at_what_it_waits_for() -> None:
    for diagram in some_stacks():
        found = placed(diagram)
        assert set(found.paths) == {(link.waiter, link.target) for link in diagram.links}
        for (waiter, target), path in found.paths.items():
            (x, y), (to_x, to_y) = path[0], path[-1]
            upper, lower = found.boxes[waiter], found.boxes[target]
            assert y == upper.y + upper.height and upper.x < x < upper.x + upper.width
            assert to_y == lower.y and lower.x < to_x < lower.x + lower.width


def test_what_is_waited_for_stands_below() -> None:
    found = placed(drawn())
    y = {name: box.y for name, box in found.boxes.items()}
    assert y["proxy"] < y["api"] < y["migrate"] < y["postgres"]


def test_a_row_that_can_be_drawn_without_crossings_is() -> None:
    healthy = CONDITIONS[0]
    diagram = stack(
        {
            "a": {"z": healthy}, "b": {"y": healthy}, "c": {"x": healthy},
            "x": {}, "y": {}, "z": {},
        }
    )  # fmt: skip
    found = placed(diagram)
    upper = sorted("abc", key=lambda name: found.boxes[name].x)
    lower = sorted("zyx", key=lambda name: found.boxes[name].x)
    assert [{"a": "z", "b": "y", "c": "x"}[name] for name in upper] == lower


@pytest.mark.parametrize(
    "links",
    [
        {"a": {"b": CONDITIONS[0]}, "b": {"c": CONDITIONS[0]}, "c": {"a": CONDITIONS[0]}},
        {"a": {"a": CONDITIONS[0]}},
        {"a": {"b": CONDITIONS[0]}, "b": {"a": CONDITIONS[0]}},
        {"a": {"nobody": CONDITIONS[0]}},
        {},
    ],
    ids=["cycle", "itself", "each-other", "absent", "nothing"],
)
def test_a_cycle_or_a_gap_breaks_neither_output(links: Mapping[str, Mapping[str, str]]) -> None:
    diagram = stack(links)
    parsed(svg.text(diagram))
    for name in links:
        assert f"s_{name}[" in mermaid.text(diagram)
        assert f">{name}</text>" in svg.text(diagram)
    for link in diagram.links:
        assert f"{link.waiter} waits until {link.target} is healthy" in svg.text(diagram)


def placed(diagram: Diagram) -> Layout:
    names = [box.name for box in diagram.boxes]
    sizes = {name: (172.0 + 9 * (i % 5), 70.0 + 20 * (i % 3)) for i, name in enumerate(names)}
    return layout.arrange(names, [(link.waiter, link.target) for link in diagram.links], sizes)


def samples(path: tuple[Point, ...]) -> Iterator[Point]:
    """Yield points along an edge as the SVG draws it."""
    for index, ((x, y), (to_x, to_y)) in enumerate(itertools.pairwise(path)):
        middle = (y + to_y) / 2
        for step in range(41):
            t = step / 40
            if index % 2 == 0:
                yield x, y + (to_y - y) * t
                assert x == to_x
            else:
                a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
                yield (a + b) * x + (c + d) * to_x, a * y + (b + c) * middle + d * to_y


def inside(box: Rectangle, x: float, y: float) -> bool:
    return (
        box.x + 0.01 < x < box.x + box.width - 0.01 and box.y + 0.01 < y < box.y + box.height - 0.01
    )
