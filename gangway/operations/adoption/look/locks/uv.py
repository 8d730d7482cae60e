"""The lock of uv: of one project, or of a workspace."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from gangway.base.errors import GangwayError
from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.locks import pyproject
from gangway.operations.adoption.look.locks.lock import GIT_DO, Lock, stale
from gangway.operations.adoption.look.tree import Tree, join, parent

_TABLE = re.MULTILINE | re.DOTALL
_OTHER_SYSTEM = re.compile(r"(sys_platform|platform_system) == '(win32|Windows|darwin|Darwin)'")


def read(tree: Tree, folder: str, project: str) -> Lock:
    """Return the uv.lock of a folder, for the project in it or for a member of its workspace.

    Raises GangwayError where it was made before the project was changed.
    """
    path = join(folder, "uv.lock")
    lock, table, text = Lock("uv", path), pyproject.table_of(tree, project), tree.text(path)
    blocks: dict[str, list[str]] = {}
    for block in blocks_of(text):
        blocks.setdefault(value_of(block, "name"), []).append(block)
    if requires := value_of(text.partition("[[package]]")[0], "requires-python"):
        lock.pythons.append((requires, tree.line(path, "requires-python")))
    lock.pythons += pyproject.requires(tree, table, project)
    name = pyproject.name_of(table)
    if folder != project or pyproject.workspace(tree, folder):
        lock.package = name
    lock.beside = tuple(pyproject.siblings(tree, table, project, folder))
    _groups(tree, lock, table, folder if folder != project else None)
    used = blocks
    if name in blocks:
        own = tomllib.loads(blocks[name][0])["package"][0]
        _check(table, own, _Files(path, join(project, "pyproject.toml"), folder))
        for each in own.get("dependencies", ()):
            lock.extras[each["name"]] = frozenset(each.get("extra", ()))
        used = {each: blocks[each] for each in sorted(_reached(blocks, name, lock.groups))}
    elif table.get("project"):
        raise stale(path, f"{name or 'the project'} isn't in it", "uv lock", folder)
    lock.versions = {each: value_of(every[0], "version") for each, every in used.items()}
    for other, loss in _elsewhere(tree, path, used):
        lock.elsewhere += (other,)
        lock.losses.append(loss)
    lock.from_source = tuple(_without_wheels(used))
    return lock


def _groups(tree: Tree, lock: Lock, table: Mapping[str, Any], shared: str | None) -> None:
    lock.groups, lock.testers = pyproject.groups(table)
    if not lock.testers and shared is not None:
        # What the members share is a group of the whole workspace.
        more, lock.testers = pyproject.groups(pyproject.table_of(tree, shared))
        lock.groups += tuple(each for each in more if each not in lock.groups)


def _reached(blocks: Mapping[str, list[str]], name: str, groups: Iterable[str]) -> set[str]:
    """Return the packages that a project needs, those of some of its groups included."""
    found: set[str] = set()
    own = "".join(blocks[name])
    developers = own.partition("\n[package.dev-dependencies]\n")[2].partition("\n[")[0]
    waiting = [(each, frozenset[str]()) for each in _named(_array(developers, groups))]
    waiting.append((name, frozenset()))
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        each, extras = waiting.pop()
        if (each, extras) in seen or each not in blocks:
            continue
        seen.add((each, extras))
        found.add(each)
        for block in blocks[each]:
            head, _, optional = block.partition("\n[package.optional-dependencies]\n")
            texts = _array(head.partition("\n[package.")[0], ["dependencies"])
            texts += _array(optional.partition("\n[package.")[0], extras)
            for match in re.finditer(r'\{ name = "([^"]+)"([^}]*)', texts):
                if _OTHER_SYSTEM.search(match[2]):
                    continue
                wanted = re.search(r"extra = \[([^\]]*)\]", match[2])
                names = re.findall(r'"([^"]+)"', wanted[1]) if wanted else ()
                waiting.append((match[1], frozenset(names)))
    return found


def _array(text: str, names: Iterable[str]) -> str:
    """Return the lines of some arrays of a table."""
    found = ""
    for name in names:
        match = re.search(
            rf"^{re.escape(name)} = \[(.*?)^\]|^{re.escape(name)} = \[(.*)\]$", text, _TABLE
        )
        found += (match[1] or match[2] or "") if match else ""
    return found


def _named(text: str) -> list[str]:
    return re.findall(r'\{ name = "([^"]+)"', text)


def blocks_of(text: str) -> Iterator[str]:
    """Yield a lock's packages as TOML, so that only those are parsed that somebody asks about."""
    for part in text.split("\n[[package]]\n")[1:]:
        yield "[[package]]\n" + part.partition("\n[metadata]\n")[0]


def value_of(block: str, key: str) -> str:
    """Return a text of a table; empty where it isn't there."""
    match = re.search(rf'^{key} = "(.*)"$', block, re.MULTILINE)
    return match[1] if match else ""


class _Files(NamedTuple):
    """The files that must match: the lock, the project's, and the folder to lock in."""

    lock: str
    project: str
    folder: str

    def stale(self, why: str) -> GangwayError:
        """Return the error for a lock that is older than its project."""
        return stale(self.lock, why, "uv lock", self.folder)


def _check(table: Mapping[str, Any], own: Mapping[str, Any], files: _Files) -> None:
    """Refuse a lock that was made before the project's dependencies were changed."""
    project = table.get("project", {})
    if "dependencies" in project.get("dynamic", ()):
        return
    metadata = own.get("metadata", {})
    locked = [
        each
        for each in metadata.get("requires-dist", ())
        if "extra ==" not in each.get("marker", "")
    ]
    asked = project.get("dependencies", ())
    _check_names(pyproject.names(asked), locked, files, "")
    same = {(canonicalize_name(each["name"]), _specifier(each)) for each in locked}
    # What has a source of its own is locked by that.
    bound = {
        canonicalize_name(name) for name in table.get("tool", {}).get("uv", {}).get("sources", {})
    }
    for each in pyproject.asked(asked):
        name = canonicalize_name(each.name)
        if not each.url and name not in bound and (name, each.specifier) not in same:
            raise files.stale(f"it has {name} otherwise than {files.project}")
    groups = {
        canonicalize_name(name): part for name, part in metadata.get("requires-dev", {}).items()
    }
    for group in table.get("dependency-groups", {}):
        wanted = pyproject.names(pyproject.whole_group(table, group))
        _check_names(wanted, groups.get(canonicalize_name(group), ()), files, f"'s group {group}")


def _check_names(
    wanted: set[str], locked: Iterable[Mapping[str, Any]], files: _Files, part: str
) -> None:
    known = {canonicalize_name(each["name"]) for each in locked}
    for name in sorted(wanted - known):
        raise files.stale(f"{name} of {files.project}{part} isn't in it")
    for name in sorted(known - wanted):
        raise files.stale(f"it has {name}, which {files.project}{part} doesn't ask for")


def _specifier(entry: Mapping[str, Any]) -> SpecifierSet:
    try:
        return SpecifierSet(entry.get("specifier", ""))
    except InvalidSpecifier:
        return SpecifierSet()


def _elsewhere(
    tree: Tree, path: str, blocks: Mapping[str, list[str]]
) -> Iterator[tuple[str, Loss]]:
    """Yield the packages that come from no index, those in the repository apart."""
    for name, every in blocks.items():
        match = re.search(
            r'^source = \{ (git|url|path|directory|editable|virtual) = "([^"]*)"',
            every[0],
            re.MULTILINE,
        )
        if not match:
            continue
        kind, place = match.groups()
        inside = join(parent(path), place)
        if kind in ("directory", "editable", "virtual") and (inside in tree.folders or not inside):
            continue
        where = tree.line(path, f'name = "{name}"')
        yield name, Loss(f"{name} comes from {re.sub(r'[?#].*', '', place)}", where, GIT_DO)


def _without_wheels(blocks: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield the packages of an index that have no wheel for Linux."""
    for name, every in blocks.items():
        whole = "".join(every)
        if 'source = { registry = "' in whole:
            files = re.findall(r'/([^/"]+\.whl)["#]', whole) + re.findall(r'"([^/"]+\.whl)"', whole)
            if not any(map(is_for_linux, files)):
                yield name


def is_for_linux(file: str) -> bool:
    """Say whether a wheel can be installed on Linux, by its name."""
    platform = file.removesuffix(".whl").rpartition("-")[2]
    return platform == "any" or "manylinux" in platform or platform.startswith("linux")
