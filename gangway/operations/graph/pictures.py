"""Where pictures go: a file of the user's choice, or docs/images/ for the repository's own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.base.process import Runner
from gangway.model import compose_version, render
from gangway.model.model import Model
from gangway.operations.graph import mermaid, svg
from gangway.operations.graph.diagram import Diagram, describe
from gangway.operations.project import Project
from gangway.settings import checkout, environment
from gangway.settings.plain import announce

FOLDER: Final = "docs/images"
ENVIRONMENT: Final = "dev"
"""The environment that the repository's own pictures show."""


def graph(project: Project, *, mermaid_file: str, svg_file: str) -> None:
    """Draw the project's stack: the Mermaid text to standard output or a file, the SVG to a file.

    Without a name the SVG is written below `.gangway/graph/`. Raises GangwayError where a file
    can't be written.
    """
    argv = render.compose(project.environment, "config", "--format", "json")
    if not announce(project.environment, argv, dry_run=project.dry_run):
        return
    diagram = describe(
        project.model,
        stack=project.environment.stack,
        environment=project.name,
        optional=project.environment.optional,
    )
    text = mermaid.text(diagram)
    if mermaid_file:
        _write(Path(mermaid_file), text)
    else:
        print(text, end="")
    file = f"{project.name}-{project.environment.stack}.svg"
    path = Path(svg_file) if svg_file else checkout.state(project.root, "graph") / file
    _write(path, svg.text(diagram))


def committed(root: Path, stack: str) -> Diagram:
    """Return what the repository's picture of a stack shows: its own files alone, merged.

    Nothing of this machine takes part: no shell variable, no personal or generated layer. Raises
    GangwayError where the files can't be merged.
    """
    env = environment.load(root, ENVIRONMENT, stack=stack, images="registry", shell={})
    files = [f for f in env.files if f.startswith("env/") and f != "env/local.env"]
    flags = [word for file in files for word in ("--env-file", file)]
    on = environment.words(env.beneath.get("COMPOSE_PROFILES", ""))
    optional = environment.words(env.beneath.get("STACK_OPTIONAL", ""))
    flags += [word for profile in (*on, *optional) for word in ("--profile", profile)]
    shell = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    runner = Runner(root, shell)
    argv = [*compose_version.program(runner), *flags, "config", "--format", "json"]
    done = runner.capture(argv, timeout=60)
    if done.status != 0:
        raise GangwayError(f"the Compose files can't be merged: {done.stderr.strip()}")
    model = Model(json.loads(done.stdout), frozenset(on))
    return describe(model, stack=stack, environment=ENVIRONMENT, optional=optional)


def redraw(root: Path) -> None:
    """Write the picture of every stack to docs/images/, and take away those of stacks gone."""
    stacks = environment.stacks(root)
    for stack in stacks:
        _write(root / FOLDER / f"{stack}.svg", svg.text(committed(root, stack)))
    for path in (root / FOLDER).glob("*.svg"):
        if path.stem not in stacks and svg.MARK in path.read_text(encoding="utf-8"):
            path.unlink()


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GangwayError(f"cannot write it: {error.strerror}", where=str(path)) from None
    say(f"drawn: {os.path.relpath(path)}")
