"""A requirements file with what it includes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from locks.common import Line, Mistake, normal, read

NONE: frozenset[Path] = frozenset()
_INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?=\S))(\S+)$")
_PROJECTS = ("pyproject.toml", "setup.py", "setup.cfg")
# What is for us to say, or for pip alone.
_NOT_OURS = re.compile(
    r"--(?:require-hashes|only-binary|no-binary|prefer-binary|no-build|trusted-host|use-feature"
    r"|disable-pip-version-check|no-cache-dir|progress-bar)\b"
)
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+)(.+)$")
_LOCAL = re.compile(r"(?:[\w.-]+(?:\[[\w.,\s-]*\])?\s*@\s*)?(?:file:(?://)?)?(\.{0,2}/?[^\s;:]*)")


@dataclass(frozen=True)
class RequirementsTxt:
    """See `Lock`; with hashes, or without any."""

    path: Path
    whole: bool = False

    def files(self) -> Iterator[Path]:
        yield from _included(self.path)
        for line in _lines(self.path):
            local = _local(line)
            if local:
                found = local if local.is_file() else local / "pyproject.toml"
                if found.is_file():
                    yield found
        yield from self._project()

    def requires(self) -> Iterator[tuple[str, Path]]:
        for project in self._project():
            if wanted := read(project).get("project", {}).get("requires-python"):
                yield wanted, project

    def lines(self) -> Iterator[Line]:
        read_lines = list(_lines(self.path))
        checked = {line.file for line in read_lines if line.has_hash}
        for line in read_lines:
            local = _local(line)
            if local and local.is_dir():
                yield from () if line.file in checked else _dependencies(line, local)
            elif local and local.is_file():
                text = line.text.replace(str(_spelled(line)), str(local.resolve()))
                yield Line(text, line.file, line.number, line.constraint)
            elif _NOT_OURS.match(line.text):
                continue
            elif line.file in checked and not (line.has_hash or line.is_option or line.constraint):
                raise Mistake(
                    f"{line.where}: {line.text} has no hash, and others there have:"
                    " lock it again with hashes for all"
                )
            else:
                yield line

    def local(self) -> Iterator[tuple[str, Path]]:
        yield from ()

    def projects(self) -> Iterator[Path]:
        for line in _lines(self.path):
            local = _local(line)
            if local and (local / "pyproject.toml").is_file():
                yield local / "pyproject.toml"

    def _project(self) -> Iterator[Path]:
        """Yield the project's own file, in the lock's folder or above it in the checkout."""
        here = Path(os.path.relpath(self.path.parent))
        for folder in (here, *here.parents):
            if (folder / "pyproject.toml").is_file():
                yield folder / "pyproject.toml"
                return


def _texts(file: Path, above: Path | None) -> Iterator[tuple[int, str]]:
    """Yield a file's lines, each with its number; one that goes on in the next is one."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        by = f" ({above} includes it)" if above else ""
        raise Mistake(f"{file}: cannot read it: {error.strerror}{by}") from None
    except UnicodeDecodeError:
        raise Mistake(f"{file}: not UTF-8; save it as that") from None
    number = 1
    for joined in re.split(r"(?<!\\)\n", text.replace("\r\n", "\n")):
        line = re.sub(r"(^|\s)#.*", "", joined.replace("\\\n", " "), flags=re.MULTILINE)
        if line.strip():
            yield number, re.sub(r"\s+", " ", line.strip())
        number += joined.count("\n") + 1


def _inner(file: Path, text: str) -> Path | None:
    """Return the file that a line includes."""
    found = _INCLUDE.match(text)
    return Path(os.path.normpath(file.parent / found[1])) if found else None


def _included(
    file: Path, above: Path | None = None, seen: frozenset[Path] = NONE
) -> Iterator[Path]:
    """Yield a file and all that it includes."""
    if file in seen:
        return
    yield file
    for _, text in _texts(file, above):
        if inner := _inner(file, text):
            yield from _included(inner, file, seen | {file})


def _lines(
    file: Path,
    above: Path | None = None,
    seen: frozenset[Path] = NONE,
    *,
    constraint: bool = False,
) -> Iterator[Line]:
    """Yield all lines of a file and of those that it includes."""
    if file in seen:
        return
    for number, text in _texts(file, above):
        if inner := _inner(file, text):
            limits = constraint or text.startswith(("-c", "--constraint"))
            yield from _lines(inner, file, seen | {file}, constraint=limits)
        else:
            yield Line(text, file, number, constraint)


def _spelled(line: Line) -> str:
    """Return the path in a line that is about a file or folder; empty for any other."""
    text = line.text
    if found := _EDITABLE.match(text):
        text = found[1]
    elif line.is_option:
        return ""
    bare = _LOCAL.match(re.sub(r"\[[^]]*\]", "", text.split(" --hash")[0].split(" ;")[0]))
    path = bare[1] if bare else ""
    if "file:" in text or path.startswith((".", "/")) or path.endswith(".whl"):
        return path
    return path if "/" in path and "://" not in text else ""


def _local(line: Line) -> Path | None:
    """Return what a line is about that lies in the checkout."""
    spelled = _spelled(line)
    if not spelled:
        return None
    # Seen from where whoever wrote it calls pip: the file's folder, or one above it.
    parent = Path(os.path.relpath(line.file.parent))
    places = [Path(os.path.normpath(folder / spelled)) for folder in (parent, *parent.parents)]
    there = [place for place in places if place.exists()]
    if not there:
        raise Mistake(f"{line.where}: there is no {spelled}")
    projects = [place for place in there if any((place / name).is_file() for name in _PROJECTS)]
    return (projects or there)[0]


def _dependencies(line: Line, folder: Path) -> Iterator[Line]:
    """Yield what a folder of the checkout depends on: itself it is found by its path."""
    file = folder / "pyproject.toml"
    if not file.is_file():
        return
    project = read(file).get("project", {})
    extras = re.search(r"\[([^]]*)\]", line.text)
    wanted = {normal(name) for name in (extras[1] if extras else "").split(",") if name.strip()}
    optional = project.get("optional-dependencies", {})
    for name in project.get("dependencies", ()):
        yield Line(name, file)
    for extra, names in optional.items():
        if normal(extra) in wanted:
            for name in names:
                yield Line(name, file)
