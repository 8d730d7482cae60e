"""The env files of a repository: which there are, what they are for, and what is in them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass

from dotenv.parser import parse_stream

from gangway.operations.adoption.look.shell import substituted
from gangway.operations.adoption.look.tree import Tree, join, parent

_NAME = re.compile(
    r"\.env([._-][\w.-]+)?|\.flaskenv|([\w-]+\.)?env[._-](example|sample|template|dist|defaults?)"
    r"|(example|sample|template|local|dev|development|test|prod|production|web|app|django|backend)\.env"
)
_EXAMPLE = re.compile(r"example|sample|template|dist|default")
_NOT_FOR_APP = re.compile(
    r"(^|[._-])(db|database|postgres|mysql|pgadmin|minio|traefik|nginx)([._-]|$)"
)
_KINDS = (
    (re.compile(r"prod"), "prod"),
    (re.compile(r"test|\.ci\b"), "test"),
    (re.compile(r"local|dev"), "dev"),
)


@dataclass(frozen=True)
class Setting:
    """One line of an env file."""

    name: str
    value: str
    path: str
    line: int
    kind: str
    """`dev`, `test`, `prod`; empty where the file doesn't say what it is for."""
    private: bool
    """Whether git ignores the file: a secret in it isn't for others to see."""

    @property
    def where(self) -> str:
        """The place."""
        return f"{self.path}:{self.line}"


def env_files(tree: Tree, folders: Iterable[str], named: Iterable[str] = ()) -> list[str]:
    """Return the env files in some folders and those that somebody names, examples first."""
    found: list[str] = []
    for folder in folders:
        top = tree.root / folder
        names = sorted(each.name for each in top.iterdir()) if top.is_dir() else []
        found += [join(folder, name) for name in names if _NAME.fullmatch(name)]
        # As cookiecutter's Django has them.
        below = sorted((top / ".envs").glob(".*/.*")) if (top / ".envs").is_dir() else []
        found += [path.relative_to(tree.root).as_posix() for path in below]
    for path in named:
        name = path.rpartition("/")[2]
        found += [path, *(f"{path}{end}" for end in (".example", ".sample", "-sample", "-example"))]
        found += [join(parent(path), f"{name}.template")]
    there = [path for path in dict.fromkeys(found) if _is_there(tree, path)]
    known = [
        path for path in there if not _NOT_FOR_APP.search(path.rpartition("/")[2]) or path in named
    ]
    return sorted(known, key=lambda path: not _EXAMPLE.search(path.rpartition("/")[2]))


def _is_there(tree: Tree, path: str) -> bool:
    file = tree.root / path
    return not path.startswith("..") and file.is_file() and not file.is_symlink()


def settings(tree: Tree, path: str) -> list[Setting]:
    """Return the lines of an env file, references to its own names put in."""
    found: list[Setting] = []
    known: dict[str, str] = {}
    kind = kind_of(path)
    for binding in parse_stream(io.StringIO(tree.text(path))):
        if not binding.key or binding.error:
            continue
        name = binding.key.removeprefix("export ").strip()
        value = substituted(binding.value or "", known)
        known[name] = value
        line = binding.original.line + _lines_before(binding.original.string)
        found.append(Setting(name, value, path, line, kind, not tree.is_tracked(path)))
    return found


def _lines_before(text: str) -> int:
    return len(text) - len(text.lstrip("\n"))


def kind_of(path: str) -> str:
    """Return what an env file's or a Compose file's name says that it is for."""
    name = path.rpartition("/")[2].lower()
    folder = parent(path).rpartition("/")[2].lower() if ".envs" in path else ""
    for pattern, kind in _KINDS:
        if pattern.search(folder or name):
            return kind
    return ""
