"""Which files say what is installed: locks, and what they refer to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(
    r".*requirements.*\.txt|(uv|poetry|pdm|Pipfile|yarn)\.lock|Pipfile|pyproject\.toml|setup\.(py|cfg)"
    r"|package(-lock)?\.json|npm-shrinkwrap\.json|pnpm-lock\.yaml|\.npmrc|\.python-version"
)
# What a file of requirements takes in: another one, or a project of its own.
_INCLUDED: Final = re.compile(
    r"^\s*(?:-r|-c|-e|--requirement|--constraint|--editable)[ =]\s*(\S+)|^\s*(\.{1,2}/\S*)",
    re.MULTILINE,
)
# The same in a pyproject.toml: the members of a workspace, and packages that are folders beside it.
_MEMBERS: Final = re.compile(r"^\s*members\s*=\s*\[(.*?)\]", re.MULTILINE | re.DOTALL)
_PATH: Final = re.compile(r"\bpath\s*=\s*[\"']([^\"']+)[\"']")
_QUOTED: Final = re.compile(r"[\"']([^\"']+)[\"']")


def is_one(name: str) -> bool:
    """Say whether a file of this name says what is installed."""
    return bool(_NAME.fullmatch(name))


def files(places: Iterable[Path]) -> Iterator[Path]:
    """Yield each such file among `places`, or in one that is a folder, and all that it refers to.

    A file that is named counts whatever its name is; what isn't there is left out.
    """
    todo, seen = list(places), set()
    while todo:
        place = todo.pop(0)
        if place.is_dir():
            todo += sorted(each for each in place.iterdir() if is_one(each.name))
        elif place.is_file() and place not in seen:
            seen.add(place)
            yield place
            todo += _referred(place)


def _referred(file: Path) -> Iterator[Path]:
    here = file.parent
    if file.suffix in (".txt", ".in"):
        for words in _INCLUDED.findall(_text(file)):
            path = "".join(words).partition("#")[0]
            yield _below(here, path)
            # Pip takes folders as seen from where it is called: above a folder of requirements.
            if path.startswith("./"):
                yield _below(here.parent, path)
    elif file.name == "pyproject.toml":
        text = _text(file)
        # A path may also be that of a file with a version in it.
        yield from filter(Path.is_dir, (_below(here, path) for path in _PATH.findall(text)))
        for members in _MEMBERS.findall(text):
            for pattern in _QUOTED.findall(members):
                # As uv and Poetry have them: folders, seen from this file.
                yield from sorted(here.glob(pattern.strip("/"))) if pattern.strip("/") else ()


def _below(here: Path, path: str) -> Path:
    return Path(os.path.normpath(here / path))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
