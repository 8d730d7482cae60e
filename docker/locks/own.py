"""What Python is to know of projects that aren't installed: their name, version and programs.

`importlib.metadata.version("shop")`, entry points and console scripts are there as they would be if
the project itself were.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from locks.common import read

_SCRIPT = """\
#!{python}
import sys
from {module} import {name}
sys.exit({call}())
"""


def describe(projects: Iterable[Path], venv: Path) -> None:
    """Write it down for each project that has a name, by its pyproject.toml."""
    site = next(venv.glob("lib/python*/site-packages"))
    for file in projects:
        tables = read(file)
        poetry = tables.get("tool", {}).get("poetry", {})
        project: Mapping[str, Any] = {**poetry, **tables.get("project", {})}
        if name := project.get("name"):
            version = str(project.get("version") or "0")
            folder = site / f"{re.sub(r'[-_.]+', '_', name)}-{version}.dist-info"
            folder.mkdir(exist_ok=True)
            text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            (folder / "METADATA").write_text(text, encoding="utf-8")
            scripts = _table(project, "scripts")
            groups = {**_table(poetry, "plugins"), **_table(project, "entry-points")}
            lines = _section("console_scripts", scripts)
            lines += [
                line for group, entries in groups.items() for line in _section(group, entries)
            ]
            (folder / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            for script, target in scripts.items():
                _write_program(venv, script, target)


def _table(project: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = project.get(name)
    return found if isinstance(found, dict) else {}


def _section(name: str, entries: Mapping[str, Any]) -> list[str]:
    texts = {key: each for key, each in entries.items() if isinstance(each, str)}
    return [f"[{name}]", *(f"{key} = {each}" for key, each in texts.items())] if texts else []


def _write_program(venv: Path, name: str, target: object) -> None:
    found = re.fullmatch(r"([\w.]+):(\w+)([\w.]*)", target) if isinstance(target, str) else None
    if found and re.fullmatch(r"[\w.-]+", name):
        module, first, rest = found.groups()
        python = venv.absolute() / "bin" / "python"
        text = _SCRIPT.format(python=python, module=module, name=first, call=f"{first}{rest}")
        program = venv / "bin" / name
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
