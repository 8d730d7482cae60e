"""What an app's libraries are locked by: requirements files, uv, Poetry, Pipenv, or nothing yet."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from gangway.base.errors import GangwayError
from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.pins import Pin, pins
from gangway.operations.adoption.look.tree import Tree, ancestors, join, parent, within

TESTERS = ("pytest", "pytest-django", "pytest-asyncio", "pytest-flask", "pytest-cov")
_FOR_DEVELOPERS = re.compile(r"dev|develop|development|test|tests|testing|local")
_FILES_FOR_DEVELOPERS = re.compile(
    r"(^|[-_./])(dev|develop|development|tests?|testing|local)([-_.]|$)"
)
_FILES = re.compile(r"requirements[\w.-]*\.(txt|lock)|[\w-]+[._-]requirements\.txt")
# The likelier a file is what production installs, the further in front it is.
_LIKELY = (
    "requirements/production.txt", "requirements/prod.txt", "requirements-production.txt", "requirements-prod.txt",
    "requirements.prod.txt", "prod-requirements.txt", "requirements-lock.txt", "requirements.lock",
    "requirements.lock.txt", "requirements.txt", "requirements/main.txt", "requirements/base.txt",
    "requirements/requirements.txt", "requirements/common.txt", "requirements/default.txt",
)  # fmt: skip

GIT_DO = "no hash is checked there, and each build needs it: publish it to an index, or vendor it"


@dataclass
class Lock:
    """The lock of an app, and what can be told from it."""

    kind: str
    """`requirements`, `uv`, `poetry`, `pipenv`."""
    path: str
    versions: dict[str, str] = field(default_factory=dict)
    """Every package that is named in it, with its version where there is one."""
    extras: dict[str, frozenset[str]] = field(default_factory=dict)
    """The extras of packages that the app asks for."""
    groups: tuple[str, ...] = ()
    package: str = ""
    beside: tuple[str, ...] = ()
    """The folders of packages in the repository that the app imports as well."""
    from_source: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    """Packages that come from a repository or an address."""
    missing: bool = False
    testers: bool = False
    """Whether pytest is in it."""
    pythons: list[tuple[str, str]] = field(default_factory=list)
    """What it says of Python's version, as specifiers, each with its place."""
    losses: list[Loss] = field(default_factory=list)

    def has(self, *names: str) -> bool:
        """Say whether one of the packages is there."""
        return any(name in self.versions for name in names)

    @property
    def by(self) -> str:
        """What it is locked by, for a sentence."""
        names = {"uv": "uv", "poetry": "Poetry", "pipenv": "Pipenv"}
        if self.kind == "requirements":
            return self.path.rpartition("/")[2]
        return names[self.kind]


def find(tree: Tree, project: str, installed: Iterable[str]) -> Lock:
    """Return the lock of the app in a folder; `installed` are files that a Dockerfile installs.

    Raises GangwayError for a lock that doesn't match its project, and where nothing says which
    libraries the app needs.
    """
    for folder in ancestors(project):
        # A workspace's lock is above its members; a lock of anybody else's isn't.
        if folder == project or _is_member(tree, folder, project):
            if tree.has(join(folder, "uv.lock")):
                return _uv(tree, folder, project)
    if tree.has(path := join(project, "poetry.lock")):
        return _poetry(tree, path)
    if tree.has(path := join(project, "Pipfile.lock")):
        return _pipenv(tree, path)
    if path := _requirements_file(tree, project, list(installed)):
        return _requirements(tree, path, project)
    return _without(tree, project)


def project_table(tree: Tree, folder: str) -> dict[str, Any]:
    """Return the pyproject.toml of a folder, empty where there is none.

    Raises GangwayError where it isn't TOML.
    """
    path = join(folder, "pyproject.toml")
    try:
        return tomllib.loads(tree.text(path))
    except tomllib.TOMLDecodeError as error:
        raise GangwayError(f"not TOML: {error}", where=path, fix="mend the file") from None


# -- uv ---------------------------------------------------------------------------------------------


def _workspace(tree: Tree, folder: str) -> dict[str, Any]:
    found = project_table(tree, folder).get("tool", {}).get("uv", {}).get("workspace", {})
    return found if isinstance(found, dict) else {}


def _is_member(tree: Tree, folder: str, project: str) -> bool:
    workspace = _workspace(tree, folder)
    if not workspace or not within(folder, project):
        return False
    seen = project[len(folder) :].lstrip("/")
    matches = partial(_glob, seen)
    return any(map(matches, workspace.get("members", ()))) and not any(
        map(matches, workspace.get("exclude", ()))
    )


def _glob(path: str, pattern: str) -> bool:
    parts = [
        ".*" if part == "**" else re.escape(part).replace(r"\*", "[^/]*")
        for part in pattern.strip("/").split("/")
    ]
    return re.fullmatch("/".join(parts), path) is not None


def _uv(tree: Tree, folder: str, project: str) -> Lock:
    path = join(folder, "uv.lock")
    lock, table, text = Lock("uv", path), project_table(tree, project), tree.text(path)
    blocks: dict[str, list[str]] = {}
    for block in _blocks(text):
        blocks.setdefault(_value(block, "name"), []).append(block)
    if requires := _value(text.partition("[[package]]")[0], "requires-python"):
        lock.pythons.append((requires, tree.line(path, "requires-python")))
    name = canonicalize_name(table.get("project", {}).get("name", ""))
    if folder != project or _workspace(tree, folder):
        lock.package = name
    if name not in blocks and table.get("project"):
        raise _stale(path, f"{name or 'the project'} isn't in it", "uv lock", folder)
    if name in blocks:
        own = tomllib.loads(blocks[name][0])["package"][0]
        _check_uv(table, own, path, join(project, "pyproject.toml"), folder)
        for each in own.get("dependencies", ()):
            lock.extras[each["name"]] = frozenset(each.get("extra", ()))
    lock.beside = tuple(_siblings(tree, table, project, folder))
    lock.groups, lock.testers = _groups(table)
    if lock.package and not lock.testers and folder != project:
        # What the members share is a group of the whole workspace.
        shared, lock.testers = _groups(project_table(tree, folder))
        lock.groups += tuple(each for each in shared if each not in lock.groups)
    reached = _reached(blocks, name, lock.groups) if name in blocks else set(blocks)
    for each in sorted(reached):
        lock.versions[each] = _value(blocks[each][0], "version")
    used = {each: blocks[each] for each in sorted(reached)}
    for other, loss in _uv_elsewhere(tree, path, used):
        lock.elsewhere += (other,)
        lock.losses.append(loss)
    lock.from_source = tuple(_built_uv(used))
    lock.pythons += _requires(tree, table, project)
    return lock


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
                wanted = re.search(r"extra = \[([^\]]*)\]", match[2])
                names = re.findall(r'"([^"]+)"', wanted[1]) if wanted else ()
                waiting.append((match[1], frozenset(names)))
    return found


def _array(text: str, names: Iterable[str]) -> str:
    """Return the lines of some arrays of a table."""
    found = ""
    for name in names:
        match = re.search(
            rf"^{re.escape(name)} = \[(.*?)^\]|^{re.escape(name)} = \[(.*)\]$", text, re.M | re.S
        )
        found += (match[1] or match[2] or "") if match else ""
    return found


def _named(text: str) -> list[str]:
    return re.findall(r'\{ name = "([^"]+)"', text)


def _blocks(text: str) -> Iterator[str]:
    """Yield a lock's packages as TOML, so that only those are parsed that somebody asks about."""
    for part in text.split("\n[[package]]\n")[1:]:
        yield "[[package]]\n" + part.partition("\n[metadata]\n")[0]


def _value(block: str, key: str) -> str:
    match = re.search(rf'^{key} = "(.*)"$', block, re.MULTILINE)
    return match[1] if match else ""


def _check_uv(
    table: Mapping[str, Any], own: Mapping[str, Any], path: str, project: str, folder: str
) -> None:
    """Refuse a lock that was made before the project's dependencies were changed."""
    noted = own.get("metadata", {}).get("requires-dist", [])
    in_lock = {
        (canonicalize_name(each["name"]), _specifier(each.get("specifier", "")))
        for each in noted
        if "extra ==" not in each.get("marker", "")
    }
    bound = {
        canonicalize_name(name) for name in table.get("tool", {}).get("uv", {}).get("sources", {})
    }
    asked = {
        (canonicalize_name(each.name), each.specifier)
        for each in _asked(table.get("project", {}).get("dependencies", ()))
        if not each.url
    }
    if "dependencies" in table.get("project", {}).get("dynamic", ()):
        return
    lock_names = {name for name, _ in in_lock}
    for name, specifier in sorted(asked, key=lambda each: each[0]):
        if name not in lock_names:
            raise _stale(path, f"{name} of {project} isn't in it", "uv lock", folder)
        if name not in bound and (name, specifier) not in in_lock:
            raise _stale(path, f"it has {name} otherwise than {project}", "uv lock", folder)
    missing = {
        canonicalize_name(each.name)
        for each in _asked(table.get("project", {}).get("dependencies", ()))
    }
    for name in sorted(lock_names - missing):
        raise _stale(path, f"it has {name}, which {project} doesn't ask for", "uv lock", folder)
    _check_uv_groups(table, own, path, project, folder)


def _check_uv_groups(
    table: Mapping[str, Any], own: Mapping[str, Any], path: str, project: str, folder: str
) -> None:
    noted = own.get("metadata", {}).get("requires-dev", {})
    known = {canonicalize_name(name): entries for name, entries in noted.items()}
    for group, entries in table.get("dependency-groups", {}).items():
        in_lock = {
            canonicalize_name(each["name"]) for each in known.get(canonicalize_name(group), ())
        }
        asked = {canonicalize_name(each.name) for each in _asked(entries)}
        includes = any(isinstance(each, dict) for each in entries)
        for name in sorted(asked - in_lock):
            raise _stale(
                path, f"{name} of {project}'s group {group} isn't in it", "uv lock", folder
            )
        for name in sorted(in_lock - asked) if not includes else ():
            raise _stale(
                path,
                f"it has {name}, which {project}'s group {group} doesn't ask for",
                "uv lock",
                folder,
            )


def _asked(entries: Iterable[Any]) -> Iterator[Requirement]:
    for each in entries:
        if isinstance(each, str):
            try:
                yield Requirement(each)
            except InvalidRequirement:
                continue


def _specifier(text: str) -> SpecifierSet:
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        return SpecifierSet()


def _stale(path: str, why: str, command: str, folder: str) -> GangwayError:
    there = f" (in {folder})" if folder else ""
    return GangwayError(
        f"the lock doesn't match its project: {why}", where=path, fix=f"run: {command}{there}"
    )


def _siblings(tree: Tree, table: Mapping[str, Any], project: str, folder: str) -> Iterator[str]:
    """Yield the folders of packages in the repository that a project takes by path or workspace."""
    waiting, seen = [(project, table)], {project}
    members = {
        canonicalize_name(project_table(tree, each).get("project", {}).get("name", "")): each
        for each in tree.folders
        if each != project
        and tree.has(join(each, "pyproject.toml"))
        and _is_member(tree, folder, each)
    }
    while waiting:
        here, content = waiting.pop()
        sources = {
            **(project_table(tree, folder).get("tool", {}).get("uv", {}).get("sources", {})),
            **content.get("tool", {}).get("uv", {}).get("sources", {}),
        }
        wanted = {
            canonicalize_name(each.name)
            for each in _asked(content.get("project", {}).get("dependencies", ()))
        }
        for name, source in sources.items():
            if canonicalize_name(name) not in wanted or not isinstance(source, dict):
                continue
            other = join(here, source["path"]) if "path" in source else ""
            if source.get("workspace"):
                other = members.get(canonicalize_name(name), "")
            if other and other not in seen and other in tree.folders:
                seen.add(other)
                yield other
                waiting.append((other, project_table(tree, other)))


def _uv_elsewhere(
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


def _built_uv(blocks: Mapping[str, list[str]]) -> Iterator[str]:
    for name, every in blocks.items():
        whole = "".join(every)
        if 'source = { registry = "' in whole:
            files = re.findall(r'/([^/"]+\.whl)["#]', whole) + re.findall(r'"([^/"]+\.whl)"', whole)
            if not any(map(_is_for_linux, files)):
                yield name


def _is_for_linux(file: str) -> bool:
    platform = file.removesuffix(".whl").rpartition("-")[2]
    return platform == "any" or "manylinux" in platform or platform.startswith("linux")


# -- groups -----------------------------------------------------------------------------------------


def _groups(table: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """Return the groups for development and tests, and whether pytest is among all.

    An extra with pytest is one of them where no group has it.
    """
    groups = {
        name: {canonicalize_name(each.name) for each in _asked(_whole_group(table, name))}
        for name in table.get("dependency-groups", {})
    }
    old = table.get("tool", {}).get("uv", {}).get("dev-dependencies", ())
    if old:
        groups.setdefault("dev", set()).update(canonicalize_name(each.name) for each in _asked(old))
    wanted = [
        name
        for name, names in groups.items()
        if names & set(TESTERS) or _FOR_DEVELOPERS.fullmatch(name)
    ]
    main = {
        canonicalize_name(each.name)
        for each in _asked(table.get("project", {}).get("dependencies", ()))
    }
    testers = bool(main & set(TESTERS)) or any(groups[name] & set(TESTERS) for name in wanted)
    if not testers:
        for name, entries in table.get("project", {}).get("optional-dependencies", {}).items():
            names = {canonicalize_name(each.name) for each in _asked(entries)}
            if names & set(TESTERS):
                return (*wanted, name), True
    return tuple(wanted), testers


def _whole_group(table: Mapping[str, Any], name: str, depth: int = 0) -> Iterator[Any]:
    for each in table.get("dependency-groups", {}).get(name, ()):
        if isinstance(each, dict) and "include-group" in each and depth < 10:
            yield from _whole_group(table, each["include-group"], depth + 1)
        else:
            yield each


def _requires(tree: Tree, table: Mapping[str, Any], folder: str) -> Iterator[tuple[str, str]]:
    path = join(folder, "pyproject.toml")
    if requires := table.get("project", {}).get("requires-python"):
        yield str(requires), tree.line(path, "requires-python")
    python = table.get("tool", {}).get("poetry", {}).get("dependencies", {}).get("python")
    if isinstance(python, str):
        yield _from_poetry(python), tree.line(path, "python", python)


def _from_poetry(text: str) -> str:
    """Return Poetry's `^3.11` and `~3.11` as specifiers."""
    parts = []
    for part in re.split(r"\s*,\s*", text.strip()):
        match = re.fullmatch(r"([\^~])\s*(\d+)(?:\.(\d+))?(?:\.(\d+))?", part)
        if not match:
            parts.append(f"=={part}" if re.fullmatch(r"\d+\.\d+(\.\d+|\.\*)?", part) else part)
            continue
        sign, major, minor, patch = match[1], match[2], match[3] or "0", match[4]
        low = f"{major}.{minor}" + (f".{patch}" if patch else "")
        high = f"{int(major) + 1}" if sign == "^" else f"{major}.{int(minor) + 1}"
        parts.append(f">={low},<{high}")
    return ",".join(part for part in parts if part != "*")


# -- Poetry -----------------------------------------------------------------------------------------


def _poetry(tree: Tree, path: str) -> Lock:
    folder = parent(path)
    lock, table = Lock("poetry", path), project_table(tree, folder)
    text = tree.text(path)
    metadata = tomllib.loads("[metadata]" + text.rpartition("\n[metadata]")[2]).get("metadata", {})
    version = str(metadata.get("lock-version", "none"))
    match = re.fullmatch(r"2\.(\d+)", version)
    if not match or int(match[1]) < 1:
        raise GangwayError(
            f"its format is {version}: Poetry 2 writes 2.1, with the groups of each package",
            where=path,
            fix="run Poetry 2: poetry lock",
        )
    hashes = {poetry_hash(table, groups=groups) for groups in (True, False)}
    if metadata.get("content-hash") not in hashes:
        raise _stale(
            path, f"{join(folder, 'pyproject.toml')} was changed since", "poetry lock", folder
        )
    for block in _blocks(text):
        name = canonicalize_name(_value(block, "name"))
        lock.versions[name] = _value(block, "version")
        kind = re.search(r'^\[package\.source\]\n(?:.*\n)*?type = "(\w+)"', block, re.MULTILINE)
        if kind and kind[1] != "legacy":
            source = _value(block.partition("[package.source]")[2], "url")
            place = tree.line(path, f'name = "{_value(block, "name")}"')
            lock.losses.append(Loss(f"{name} comes from {source}", place, GIT_DO))
            lock.elsewhere += (name,)
        elif not any(map(_is_for_linux, re.findall(r'file = "([^"]+\.whl)"', block))):
            lock.from_source = (*lock.from_source, name)
    _poetry_asked(table, lock)
    lock.pythons += _requires(tree, table, folder)
    return lock


def _poetry_asked(table: Mapping[str, Any], lock: Lock) -> None:
    poetry = table.get("tool", {}).get("poetry", {})
    for name, asked in poetry.get("dependencies", {}).items():
        extras = asked.get("extras", ()) if isinstance(asked, dict) else ()
        lock.extras[canonicalize_name(name)] = frozenset(extras)
    for each in _asked(table.get("project", {}).get("dependencies", ())):
        lock.extras[canonicalize_name(each.name)] = frozenset(each.extras)
    groups = {
        name: {canonicalize_name(each) for each in group.get("dependencies", {})}
        for name, group in poetry.get("group", {}).items()
    }
    if old := poetry.get("dev-dependencies"):
        groups["dev"] = {canonicalize_name(each) for each in old}
    for name in table.get("dependency-groups", {}):
        asked_names = {canonicalize_name(each.name) for each in _asked(_whole_group(table, name))}
        groups[name] = groups.get(name, set()) | asked_names
    lock.groups = tuple(
        name
        for name, names in groups.items()
        if names & set(TESTERS) or _FOR_DEVELOPERS.fullmatch(name)
    )
    every = set(lock.extras).union(*(groups[name] for name in lock.groups))
    lock.testers = bool(every & set(TESTERS))


# What Poetry hashes of pyproject.toml; docker/poetry-requirements does the same in the image.
_PROJECT_KEYS = ("requires-python", "dependencies", "optional-dependencies")
_POETRY_KEYS = ("dependencies", "source", "extras", "dev-dependencies", "group")


def poetry_hash(table: Mapping[str, Any], *, groups: bool) -> str:
    """Return the `content-hash` of a pyproject.toml; `groups` counts those of PEP 735 in."""
    standard = table.get("project", {})
    content: dict[str, Any] = {
        "project": {key: standard[key] for key in _PROJECT_KEYS if key in standard},
        "dependency-groups": table.get("dependency-groups", {}) if groups else {},
    }
    content = {name: part for name, part in content.items() if part}
    own = table.get("tool", {}).get("poetry", {})
    if content:
        content["tool"] = {"poetry": {key: own[key] for key in _POETRY_KEYS if key in own}}
    else:
        content = {key: own.get(key) for key in _POETRY_KEYS if key in own or key != "group"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# -- Pipenv -----------------------------------------------------------------------------------------


def _pipenv(tree: Tree, path: str) -> Lock:
    folder, lock = parent(path), Lock("pipenv", path)
    pipfile = join(folder, "Pipfile")
    try:
        content = json.loads(tree.text(path))
        asked = tomllib.loads(tree.text(pipfile))
    except ValueError as error:
        raise GangwayError(f"cannot read it: {error}", where=path, fix="run: pipenv lock") from None
    noted = content.get("_meta", {}).get("hash", {}).get("sha256")
    if asked and asked.get("source") and noted != pipfile_hash(asked):
        raise _stale(path, f"{pipfile} was changed since", "pipenv lock", folder)
    for part in ("default", "develop"):
        for name, entry in content.get(part, {}).items():
            normal = canonicalize_name(name)
            version = entry.get("version", "").removeprefix("==")
            lock.versions[normal] = version
            lock.extras[normal] = frozenset(entry.get("extras", ()))
            if not version:
                source = str(
                    entry.get("git") or entry.get("path") or entry.get("file") or "elsewhere"
                )
                if source not in (".", "./"):
                    place = tree.line(path, f'"{name}"')
                    lock.losses.append(Loss(f"{normal} comes from {source}", place, GIT_DO))
                    lock.elsewhere += (normal,)
    if content.get("develop"):
        lock.groups = ("develop",)
    lock.testers = lock.has(*TESTERS)
    requires = asked.get("requires", {})
    if version := requires.get("python_full_version", requires.get("python_version")):
        lock.pythons.append((f"=={version}.*" if version.count(".") == 1 else f"=={version}",
                             tree.line(pipfile, "python_")))  # fmt: skip
    return lock


def pipfile_hash(pipfile: Mapping[str, Any]) -> str:
    """Return the hash that Pipenv notes of a Pipfile in its lock."""
    known = ("source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv")
    content: dict[str, Any] = {
        "_meta": {"sources": pipfile["source"], "requires": pipfile.get("requires", {})},
        "default": pipfile.get("packages", {}),
        "develop": pipfile.get("dev-packages", {}),
    }
    content.update((name, part) for name, part in pipfile.items() if name not in known)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


# -- requirements files -------------------------------------------------------------------------------


def _requirements_file(tree: Tree, project: str, installed: list[str]) -> str:
    """Return the file that production installs, nothing where there is none."""
    own = [each for each in installed if not _FILES_FOR_DEVELOPERS.search(each)]
    folders = [join(project, "requirements"), project]
    there = [
        join(folder, name)
        for folder in folders
        for name in tree.beside(folder)
        if (name.endswith((".txt", ".lock")) and folder != project) or _FILES.fullmatch(name)
    ]
    for each in own:
        if each in there or within(project, each):
            return each
    for name in _LIKELY:
        if join(project, name) in there:
            return join(project, name)
    rest = [each for each in there if not _FILES_FOR_DEVELOPERS.search(each)]
    return rest[0] if rest else there[0] if there else ""


def _requirements(tree: Tree, path: str, project: str) -> Lock:
    lock = Lock("requirements", path)
    every = list(pins(tree, path))
    if not [pin for pin in every if not pin.elsewhere]:
        # `-e .` alone: what is needed is in the project's own file.
        return _without(tree, project)
    for pin in every:
        lock.versions[pin.name] = pin.version
        lock.extras[pin.name] = pin.extras
        if folder := _in_repository(tree, pin):
            lock.beside += (folder,)
        elif pin.elsewhere and pin.name:
            lock.elsewhere += (pin.name,)
    lock.losses += list(_unlocked(tree, path, every))
    main = {pin.name for pin in every}
    lock.testers = bool(main & set(TESTERS))
    groups = []
    for other in _for_developers(tree, path, project):
        names = {pin.name for pin in pins(tree, other)}
        if names - main:
            groups.append(other)
            lock.testers = lock.testers or bool(names & set(TESTERS))
            lock.losses += list(
                _unlocked(tree, other, [pin for pin in pins(tree, other) if pin.name not in main])
            )
    lock.groups = tuple(groups)
    lock.pythons += _requires(tree, project_table(tree, project), project)
    return lock


def _for_developers(tree: Tree, path: str, project: str) -> Iterator[str]:
    folders = dict.fromkeys((parent(path), join(project, "requirements"), project))
    for folder in folders:
        for name in tree.beside(folder):
            other = join(folder, name)
            in_requirements = folder.endswith("requirements") and name.endswith(".txt")
            named = _FILES.fullmatch(name) or in_requirements
            if other != path and named and _FILES_FOR_DEVELOPERS.search(name):
                yield other


def _in_repository(tree: Tree, pin: Pin) -> str:
    """Return the folder of the repository that a line installs, nothing for any other line."""
    match = re.fullmatch(
        r"(?:(?:-e|--editable)[ =]*)?(\.{1,2}/[^\[\s]+|[\w-]+/[^\[\s]*)(?:\[.*\])?", pin.text
    )
    if not pin.elsewhere or not match:
        return ""
    folder = join(parent(pin.where.rpartition(":")[0]), match[1])
    return folder if folder in tree.folders else ""


def _unlocked(tree: Tree, path: str, every: Iterable[Pin]) -> Iterator[Loss]:
    loose = []
    for pin in every:
        if pin.elsewhere:
            own = re.fullmatch(r"(-e|--editable)?[ =]*\.(\[.*\])?/?", pin.text)
            if not own and not _in_repository(tree, pin):
                yield Loss(pin.text, pin.where, GIT_DO)
        elif not pin.version and not pin.hashed:
            loose.append(pin)
    if loose:
        names = ", ".join(pin.text for pin in loose[:5]) + (", ..." if len(loose) > 5 else "")
        yield Loss(
            f"not locked: {names}",
            loose[0].where,
            "each build may install other versions: lock them, for example with"
            f" `uv pip compile {path} -o {path.removesuffix('.txt')}.lock.txt --generate-hashes`,"
            " and name that file in API_LOCK",
        )


# -- no lock ------------------------------------------------------------------------------------------


def _without(tree: Tree, project: str) -> Lock:
    table, path = project_table(tree, project), join(project, "pyproject.toml")
    if table.get("project"):
        top = next(
            (each for each in ancestors(project) if _is_member(tree, each, project)), project
        )
        lock = Lock("uv", join(top, "uv.lock"), missing=True)
        if top != project:
            lock.package = canonicalize_name(table["project"].get("name", ""))
        for each in _asked(table["project"].get("dependencies", ())):
            lock.versions[canonicalize_name(each.name)] = ""
            lock.extras[canonicalize_name(each.name)] = frozenset(each.extras)
        lock.beside = tuple(_siblings(tree, table, project, top))
        lock.groups, lock.testers = _groups(table)
        for group in lock.groups:
            for each in _asked(_whole_group(table, group)):
                lock.versions.setdefault(canonicalize_name(each.name), "")
        lock.pythons += _requires(tree, table, project)
        return lock
    if table.get("tool", {}).get("poetry", {}).get("dependencies"):
        raise GangwayError("there is no poetry.lock beside it", where=path, fix="run: poetry lock")
    if tree.has(pipfile := join(project, "Pipfile")):
        raise GangwayError(
            "there is no Pipfile.lock beside it", where=pipfile, fix="run: pipenv lock"
        )
    for name in ("setup.py", "setup.cfg", "requirements.in"):
        if tree.has(other := join(project, name)):
            raise GangwayError(
                "nothing locks what it asks for",
                where=other,
                fix=f"run: uv pip compile {name} --generate-hashes -o requirements.txt"
                + (f" (in {project})" if project else ""),
            )
    raise GangwayError(
        "nothing says which libraries the app needs",
        where=project or ".",
        fix="add a requirements.txt, or a pyproject.toml with [project] dependencies",
    )
