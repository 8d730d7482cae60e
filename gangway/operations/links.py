"""Links out of an app's folder: what they lead to isn't in its containers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gangway.base.output import say
from gangway.operations.project import Project

_NEVER: Final = ("node_modules", "venv", "__pycache__")
# A link to a shared folder stands beside the app's own packages, or among them.
_DEPTH: Final = 2


def warn(project: Project, services: Sequence[str]) -> None:
    """Say which links of these services' folders lead to another folder of the checkout."""
    root = project.root.resolve()
    for folder in dict.fromkeys(_folders(project, services)):
        for link in _links(folder, _DEPTH):
            target = link.resolve()
            if target.is_relative_to(root) and not target.is_relative_to(folder):
                where, there = (os.path.relpath(path, root) for path in (link, target))
                own = os.path.relpath(folder, root)
                both = os.path.relpath(os.path.commonpath([folder, target]), root)
                say(
                    f"{where} leads to {there}, and containers have {own} alone: with "
                    f"API_SOURCE={both} and API_WORKDIR={os.path.relpath(own, both)} in the "
                    "stack's file they have both"
                )


def _folders(project: Project, services: Sequence[str]) -> Iterator[Path]:
    root = project.root.resolve()
    for name in project.model.wanted(services):
        build = project.model.services[name].get("build") or {}
        if app := (build.get("args") or {}).get("APP"):
            yield (root / app).resolve()


def _links(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _NEVER or not entry.is_dir():
            continue
        if entry.is_symlink():
            yield Path(entry.path)
        elif depth > 1:
            yield from _links(Path(entry.path), depth - 1)
