"""Pictures of stacks: all that the model says is in them, in Mermaid and as `dot` draws it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gangway.base.errors import GangwayError
from gangway.base.process import Runner
from gangway.model.model import Model
from gangway.operations.graph import languages, pictures
from gangway.operations.graph.diagram import Diagram, describe
from tests.unit.conftest import ROOT

SVG = "{http://www.w3.org/2000/svg}"
INVOKE = str(Path(sys.executable).with_name("invoke"))

Draw = Callable[[Diagram], ET.Element]

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
                {"host_ip": "2001:db8::1", "published": "8125", "target": 8125, "protocol": "udp"},
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
    return describe(Model(raw, frozenset(profiles)), "shop · dev", ["search"])


def named(*names: str) -> Diagram:
    """Return the diagram of services with these names, each of which waits for the one before."""
    services: dict[str, Any] = {}
    for name in names:
        services[name] = {"image": name, "depends_on": {last: {} for last in list(services)[-1:]}}
    return drawn({"services": services})


@pytest.fixture
def draw() -> Draw:
    """Return what draws a diagram with the real `dot` and reads its SVG."""
    if not shutil.which("dot"):
        missing = "there is no dot (Debian: apt install graphviz)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    runner = Runner(ROOT, {"PATH": os.environ["PATH"]})
    return lambda diagram: ET.fromstring(pictures.svg(runner, diagram))  # noqa: S314


def texts(svg: ET.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


def invoke(*words: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [INVOKE, *words], cwd=ROOT, env={**os.environ, "PATH": path}, check=False,
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip


# ---- what is drawn


def test_every_service_that_starts_is_drawn_with_what_it_is_made_of() -> None:
    assert {box.name: box.lines[0] for box in drawn().boxes} == {
        "api": "shop",
        "migrate": "docker/tool.Dockerfile",
        "postgres": "postgres:18",
        "proxy": "registry.example.com:5000/library/a-rather-long-name/nginx:1.29-trixie",
        "search": "search",
    }


def test_a_profile_that_is_on_brings_its_services_and_their_links() -> None:
    diagram = drawn(MODEL, "mail")
    assert "mail" in {box.name for box in diagram.boxes}
    assert "runner" not in {box.name for box in diagram.boxes}
    assert ("proxy", "mail", "started") in diagram.links


def test_links_say_what_is_waited_for_and_end_at_services_of_the_stack() -> None:
    assert drawn().links == (
        ("api", "migrate", "completed"),
        ("api", "postgres", "healthy"),
        ("migrate", "postgres", "started"),
        ("proxy", "api", "healthy"),
    )


def test_published_ports_networks_volumes_and_copies_are_told() -> None:
    lines = {box.name: box.lines[1:] for box in drawn().boxes}
    assert lines["api"] == (
        "3 copies",
        "localhost:8000 → 8000",
        "[2001:db8::1]:8125 → 8125/udp",
        "networks: data (internal), web",
    )
    assert lines["proxy"] == ("*:8080 → 80", "networks: web")
    assert lines["postgres"] == ("networks: data (internal)", "volume: rows")


def test_a_service_that_ends_and_one_that_keeps_data_are_told_from_those_that_serve() -> None:
    kinds = {box.name: box.kind for box in drawn().boxes}
    assert kinds["migrate"] == "runs once"
    assert kinds["postgres"] == "keeps data"
    assert kinds["api"] == "serves"


def test_networks_are_named_only_where_there_are_several() -> None:
    lines = [line for box in drawn({**MODEL, "networks": {"data": {}}}).boxes for line in box.lines]
    assert not any("network" in line for line in lines)


def test_what_is_started_for_whoever_asks_is_marked() -> None:
    assert [box.name for box in drawn().boxes if "on demand" in box.lines] == ["search"]
    assert not any("on demand" in box.lines for box in drawn(MODEL, "search").boxes)


# ---- Mermaid


def test_the_mermaid_text_has_every_service_and_link() -> None:
    lines = languages.mermaid(drawn()).splitlines()
    assert lines[:4] == ["---", 'title: "shop · dev"', "---", "flowchart TD"]
    for line in (
        "s_api ==>|completed| s_migrate",
        "s_api -->|healthy| s_postgres",
        "s_migrate -.->|started| s_postgres",
        's_postgres[("<b>postgres</b><br/>postgres:18<br/>networks: data (internal)'
        '<br/>volume: rows")]',
        's_migrate(["<b>migrate</b><br/>docker/tool.Dockerfile<br/>runs once'
        '<br/>networks: data (internal)"])',
        's_search["<b>search</b><br/>search<br/>on demand"]',
    ):
        assert f"    {line}" in lines


def test_names_that_mermaid_reads_as_its_own_words_do_no_harm() -> None:
    text = languages.mermaid(named("end", "graph"))
    assert "    s_graph -.->|started| s_end" in text.splitlines()


def test_signs_that_mermaid_has_a_meaning_for_are_written_as_numbers() -> None:
    text = languages.mermaid(drawn({"services": {"a_b": {"image": 'x"]; <i>*`#35;&\n'}}}))
    label = "x#34;]; &lt;i&gt;#42;#96;#35;35;&amp;\\n"
    assert f's_a_95_b["<b>a#95;b</b><br/>{label}"]' in text


# ---- DOT and the SVG that is made of it


def test_the_svg_has_every_service_and_link(draw: Draw) -> None:
    svg = draw(drawn())
    for box in drawn().boxes:
        assert box.name in texts(svg)
        assert set(box.lines) <= set(texts(svg))
    edges = [
        title.text
        for group in svg.iter(f"{SVG}g") if group.get("class") == "edge"
        for title in group.findall(f"{SVG}title")
    ]  # fmt: skip
    assert sorted(filter(None, edges)) == [
        "s_api->s_migrate",
        "s_api->s_postgres",
        "s_migrate->s_postgres",
        "s_proxy->s_api",
    ]


def test_the_svg_is_titled_with_the_stack_and_the_environment(draw: Draw) -> None:
    assert "shop · dev" in texts(draw(drawn()))


@pytest.mark.parametrize(
    "name",
    ["a.b-c_d", "node", 'say "hello"', "back\\slash\\", "<b>&amp;</b>", "a:8000", "#35;", "ü → *"],
)
def test_any_name_is_drawn_as_it_is_written(draw: Draw, name: str) -> None:
    svg = draw(drawn({"services": {name: {"image": f"image of {name}"}}}))
    assert {name, f"image of {name}"} <= {text.replace("\xa0", " ") for text in texts(svg)}


def test_a_title_with_quotes_is_drawn_as_it_is_written(draw: Draw) -> None:
    assert 'a "b" · dev' in texts(draw(Diagram('a "b" · dev', (), ())))


# ---- both


@pytest.mark.parametrize("language", [languages.mermaid, languages.dot])
def test_the_same_model_gives_the_same_text_whatever_its_order(
    language: Callable[[Diagram], str],
) -> None:
    services = MODEL["services"]
    backwards = MODEL | {"services": {name: services[name] for name in reversed(services)}}
    assert language(drawn()) == language(drawn(backwards))


@pytest.mark.parametrize("language", [languages.mermaid, languages.dot])
def test_names_that_differ_in_a_sign_alone_stay_apart(language: Callable[[Diagram], str]) -> None:
    text = language(named("a-b", "a.b", "a_b"))
    assert len(set(re.findall(r"^    (\w+)\W.*<b>", text, re.MULTILINE))) == 3


@pytest.mark.parametrize(
    "links",
    [{"a": ["b"], "b": ["c"], "c": ["a"]}, {"a": ["a"]}, {"a": ["nobody"]}, {}],
    ids=["cycle", "itself", "absent", "nothing"],
)
def test_a_cycle_or_a_gap_is_drawn_like_all_else(
    draw: Draw, links: Mapping[str, list[str]]
) -> None:
    services = {
        name: {"image": "x", "depends_on": {other: {} for other in needed}}
        for name, needed in links.items()
    }
    assert set(links) <= set(texts(draw(drawn({"services": services}))))


# ---- the task


def test_the_task_prints_the_text_and_nothing_else() -> None:
    done = invoke("dev.graph")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('---\ntitle: "core · dev"\n')
    assert "<b>postgres</b>" in done.stdout


def test_the_task_writes_the_files_that_it_is_told(draw: Draw, tmp_path: Path) -> None:
    mermaid, svg = tmp_path / "new" / "x.mmd", tmp_path / "x.svg"
    done = invoke("dev.graph", "--mermaid", str(mermaid), "--svg", str(svg))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "flowchart TD" in mermaid.read_text(encoding="utf-8")
    assert "postgres" in texts(ET.parse(svg).getroot())  # noqa: S314


def test_a_file_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    done = invoke("dev.graph", "--mermaid", str(tmp_path))
    assert done.returncode == 2
    assert f"error: {tmp_path}: cannot write it: Is a directory" in done.stderr


def test_without_dot_the_task_says_what_to_install(tmp_path: Path) -> None:
    # What the task needs beside it, in a folder that has no dot.
    for program in ("docker", "docker-compose"):
        if found := shutil.which(program):
            (tmp_path / program).symlink_to(found)
    done = invoke("dev.graph", "--svg", str(tmp_path / "x.svg"), path=str(tmp_path))
    assert done.returncode == 2
    assert "error: there is no dot on this machine" in done.stderr
    assert "fix: install Graphviz" in done.stderr
    assert not (tmp_path / "x.svg").exists()


def test_what_dot_says_of_a_failure_is_told(tmp_path: Path) -> None:
    failing = tmp_path / "dot"
    failing.write_text("#!/bin/sh\necho 'no layout engine' >&2; exit 1\n")
    failing.chmod(0o755)
    with pytest.raises(GangwayError, match="dot can't draw it: no layout engine"):
        pictures.svg(Runner(tmp_path, {"PATH": f"{tmp_path}:/bin"}), drawn())
