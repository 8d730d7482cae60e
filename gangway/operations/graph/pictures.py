"""Where pictures go: standard output, a file of the user's choice, the repository's own pages."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.base.process import Runner
from gangway.model import render
from gangway.model.model import Model
from gangway.operations.graph import languages
from gangway.operations.graph.diagram import Diagram, describe
from gangway.operations.project import Project
from gangway.settings import environment
from gangway.settings.environment import Environment
from gangway.settings.plain import announce

# A picture's place on a page: a line that names the stack, and the block that is written after it.
_PLACE: Final = re.compile(r"(<!-- picture: (\S+) -->)\n(?:```mermaid\n(?:.*\n)*?```\n)?")


def graph(project: Project, *, mermaid_file: str, svg_file: str) -> None:
    """Draw the project's stack: as Mermaid text to standard output, or to the files named.

    Raises GangwayError where a file can't be written, or `dot` can't draw the SVG.
    """
    argv = render.compose(project.environment, "config", "--format", "json")
    if not announce(project.environment, argv, dry_run=project.dry_run):
        return
    diagram = _diagram(project.environment, project.model)
    if svg_file:
        _write(Path(svg_file), svg(project.environment.runner, diagram))
    if mermaid_file:
        _write(Path(mermaid_file), languages.mermaid(diagram))
    if not (svg_file or mermaid_file):
        print(languages.mermaid(diagram), end="")


def svg(runner: Runner, diagram: Diagram) -> str:
    """Return the SVG that Graphviz's `dot` draws; raises GangwayError where it can't."""
    if not shutil.which("dot", path=runner.environment.get("PATH")):
        raise GangwayError(
            "there is no dot on this machine, which draws the SVG",
            fix="install Graphviz (Debian, Ubuntu: apt install graphviz), or use --mermaid FILE",
        )
    done = runner.capture(["dot", "-Tsvg"], text=languages.dot(diagram), timeout=60)
    if done.status != 0:
        raise GangwayError(f"dot can't draw it: {done.stderr.strip()}")
    return done.stdout


def committed(root: Path, stack: str) -> str:
    """Return the Mermaid text of a stack in `dev`, from the repository's own files alone.

    Nothing of this machine takes part: no shell variable, no personal or generated layer.
    """
    loaded = environment.load(root, "dev", stack=stack, images="registry", shell={})
    files = [f for f in loaded.files if f != "env/local.env" and not f.startswith(".gangway/")]
    shell = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    shell |= loaded.beneath
    alone = replace(loaded, files=tuple(files), variables={}, overrides={}, shell=shell)
    return languages.mermaid(_diagram(alone, render.rendered(alone)))


def pages(root: Path) -> list[Path]:
    """Return the files that may have pictures: the README and the docs."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def redrawn(root: Path, page: str) -> str:
    """Return the text of a page with its pictures as they should be.

    A picture's place is a line `<!-- picture: STACK -->`. Raises GangwayError for an unknown stack.
    """
    return _PLACE.sub(
        lambda place: f"{place[1]}\n```mermaid\n{committed(root, place[2])}```\n", page
    )


def redraw(root: Path) -> None:
    """Write the pictures on the repository's pages again."""
    for path in pages(root):
        before = path.read_text(encoding="utf-8")
        if (text := redrawn(root, before)) != before:
            _write(path, text)


def _diagram(here: Environment, model: Model) -> Diagram:
    return describe(model, f"{here.stack} · {here.name}", here.optional)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GangwayError(f"cannot write it: {error.strerror}", where=str(path)) from None
    say(f"drawn: {os.path.relpath(path)}")
