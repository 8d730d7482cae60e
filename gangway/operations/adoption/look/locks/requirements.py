"""Requirements files as a lock: which of them production installs, and which developers do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.locks import pyproject
from gangway.operations.adoption.look.locks.lock import GIT_DO, TESTERS, Lock, stale
from gangway.operations.adoption.look.locks.pins import Pin, pins
from gangway.operations.adoption.look.tree import Tree, join, parent, within

_FILES_FOR_DEVELOPERS = re.compile(
    r"(^|[-_./])(dev|develop|development|tests?|testing|local)([-_.]|$)"
)
_FILES = re.compile(r"requirements[\w.-]*\.(txt|lock)|[\w-]+[._-]requirements\.txt")
_NOT_LOCKED = frozenset({"distribute", "pip", "setuptools", "wheel"})
# The likelier a file is what production installs, the further in front it is.
_LIKELY = (
    "requirements/production.txt", "requirements/prod.txt", "requirements-production.txt",
    "requirements-prod.txt", "requirements.prod.txt", "prod-requirements.txt",
    "requirements-lock.txt", "requirements.lock", "requirements.lock.txt", "requirements.txt",
    "requirements/main.txt", "requirements/base.txt", "requirements/requirements.txt",
    "requirements/common.txt", "requirements/default.txt",
)  # fmt: skip


def file_of(tree: Tree, project: str, installed: list[str]) -> str:
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
    return next(iter([*rest, *there]), "")


def read(tree: Tree, path: str, project: str) -> Lock | None:
    """Return a requirements file as a lock; None where it only names the project itself."""
    lock = Lock("requirements", path)
    every = list(pins(tree, path))
    if all(pin.elsewhere for pin in every):
        return None
    for pin in every:
        lock.versions[pin.name] = pin.version
        lock.extras[pin.name] = pin.extras
        if folder := _in_repository(tree, pin):
            lock.beside += (folder,)
        elif pin.elsewhere and pin.name:
            lock.elsewhere += (pin.name,)
    _check_source(tree, path, {pin.name for pin in every})
    lock.losses += _unlocked(tree, path, every)
    main = {pin.name for pin in every}
    for other in _for_developers(tree, path, project):
        more = [pin for pin in pins(tree, other) if pin.name not in main]
        if more:
            lock.groups += (other,)
            lock.losses += _unlocked(tree, other, more)
            main |= {pin.name for pin in more}
    lock.testers = bool(main & TESTERS)
    lock.pythons += pyproject.requires(tree, pyproject.table_of(tree, project), project)
    return lock


def _check_source(tree: Tree, path: str, locked: set[str]) -> None:
    """Refuse a file that was made from another, of the same name, which asks for more by now."""
    source = path.removesuffix(".txt") + ".in"
    if source == path or not tree.has(source):
        return
    tool = "pip-compile" if "pip-compile" in tree.text(path) else "uv pip compile"
    for pin in pins(tree, source):
        # What is for some machines only, and what pip-compile leaves out, needn't be there.
        if ";" not in pin.text and pin.name and pin.name not in locked | _NOT_LOCKED:
            why = f"{pin.text} of {source} isn't in it"
            raise stale(path, why, f"{tool} {source} -o {path}", "")


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
