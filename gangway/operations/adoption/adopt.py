"""`gangway adopt`: what there is to write into somebody's repository, and when there is nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from gangway.base.errors import Finding, FindingsError, GangwayError, unknown
from gangway.operations.adoption import git, ignored, stack, starter, theirs
from gangway.operations.adoption.found import Found, Loss
from gangway.operations.adoption.git import Repository
from gangway.operations.adoption.look import naming
from gangway.operations.adoption.stack import Stack
from gangway.operations.adoption.starter import File, Names
from gangway.settings import contract
from gangway.settings.environment import DEFAULT_STACK

NAME: Final = "PROJECT"
"""The fact that is the project's name."""

# As Compose has a project's name, and the engine an image's, which begins with it.
_NAME: Final = re.compile(r"[a-z0-9]+((_|__|-+)[a-z0-9]+)*")
_COMPOSE_FILES: Final = ("docker-compose*.y*ml", "compose*.y*ml")
# What is there in many repositories, and stays as it is beside Gangway's own.
_KEPT: Final = (
    "Dockerfile", ".dockerignore", ".gitignore", "tasks.py", "noxfile.py", "Makefile", "justfile",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """All that an adoption comes to, before anything is written.

    `files` are what is written, by path; of these, `locked` are Gangway's, which an update brings
    anew. `kept` are the user's own files that are worked beside.
    """

    repository: Repository
    found: Found
    names: Names
    files: Mapping[str, File]
    locked: frozenset[str]
    kept: tuple[str, ...]

    @property
    def root(self) -> Path:
        """The repository's top folder."""
        return self.repository.root


def opened(folder: Path) -> Repository:
    """Return the repository whose top `folder` is, fit to be adopted.

    Raises GangwayError for any other folder, for what isn't committed, and for an adopted one.
    """
    if not folder.is_dir():
        raise GangwayError(f"{folder} is not a folder")
    repository = git.repository(folder)
    if repository.prefix:
        below = repository.prefix.rstrip("/")
        top = os.path.relpath(folder.resolve().parents[below.count("/")])
        raise GangwayError(
            f"{folder} is a part of a repository, and Gangway's files go to its top",
            fix=f"gangway adopt {top} --app {below}",
        )
    if (folder / starter.LOCK).exists():
        raise GangwayError(
            "Gangway is in this repository already",
            where=starter.LOCK,
            fix="gangway update brings a newer one",
        )
    if changed := repository.uncommitted():
        shown = ", ".join(changed[:8]) + (", …" if len(changed) > 8 else "")
        raise GangwayError(
            f"not committed: {shown}",
            fix="commit it, or git stash --include-untracked: what Gangway writes is to be one "
            "commit that can be taken back",
        )
    return repository


def check_name(name: str) -> None:
    """Raise GangwayError for a name that no Compose project, or no stack of a user's, can have."""
    if _NAME.fullmatch(name) and name != DEFAULT_STACK:
        return
    why = "is Gangway's own word" if name == DEFAULT_STACK else "is no name for a Compose project"
    raise GangwayError(
        f"{name!r} {why}: small letters and digits, with - or _ between them",
        fix=f"--name {proposed(name)}",
    )


def proposed(name: str) -> str:
    """Return a name that a project can have, as much like this one as possible."""
    return naming.valid(name) or "app"


def with_facts(found: Found, given: Mapping[str, str], *, named: bool) -> Found:
    """Return what was found with facts of the user's own; what they answer isn't asked.

    `named` says whether the name is the user's own, too.

    Raises GangwayError for a variable that is no fact.
    """
    known = _specs()
    for name in given:
        if name not in known:
            raise unknown("fact", name, sorted(known))
    answered = {*given, NAME} if named else set(given)
    return replace(
        found,
        facts={**found.facts, **given},
        questions=tuple(each for each in found.questions if each.fact not in answered),
    )


def planned(repository: Repository, found: Found, ci: str = "") -> Plan:
    """Return what there is to write for what was found, and for a CI of `starter.CI`.

    Raises GangwayError, with all that is wrong at once, for a fact that can't be, and where files
    of the user's are in the way.
    """
    check_name(found.name)
    root = repository.root
    names = Names(
        found.name,
        starter.OTHER_COMPOSE if _compose_files(root) else starter.DOCKER_COMPOSE,
        starter.OTHER_TASKS if _has_tasks(root) else starter.TASKS,
        ci,
    )
    ours = starter.files(names)
    settings = stack.facts(found)
    tracked = repository.tracked()
    foreign = theirs.read(root, found.foreign, theirs.env_values(root, tracked))
    own = Stack(found, names, foreign, _specs(ours))
    dockerignore, left_out, losses = _dockerignore(repository, settings, names)
    files = {
        **ours,
        ignored.FILE: File(dockerignore),
        **{
            path: File(text)
            for path, text in {**own.files(), **dict(_secrets(own.given.secrets))}.items()
        },
    }
    # What follows from a wrong one is wrong, too.
    wrong = list(_wrong_facts({name: settings.get(name, "") for name in found.facts}))
    findings = [*(wrong or _wrong_facts(settings)), *_in_the_way(root, files)]
    if findings:
        raise FindingsError(findings)
    losses += tuple(loss for each in foreign.values() for loss in each.losses)
    losses += _untracked(repository, files)
    # What is left out of images needs no advice to leave it out.
    kept = (loss for loss in found.losses if not _is_below(loss.where, left_out))
    found = replace(found, losses=(*kept, *losses))
    return Plan(repository, found, names, files, frozenset(ours), tuple(_kept(root)))


def _specs(files: Mapping[str, File] | None = None) -> Mapping[str, contract.Spec]:
    texts = {contract.OWN.name: contract.OWN.read_text(encoding="utf-8")}
    if files:
        texts[contract.FILE] = files[contract.FILE].text
    return contract.described(texts).variables


def _wrong_facts(settings: Mapping[str, str]) -> Iterator[Finding]:
    known = _specs()
    for name, value in settings.items():
        if name in known and (fault := known[name].fault(value)):
            meaning = f"{known[name].meaning[:1].lower()}{known[name].meaning[1:]}"
            yield Finding(f"{name}: {value!r} {fault}", None, f"-e {name}=… ({meaning})")


def _secrets(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        for environment in ("dev", "test"):
            path = f"secrets/{environment}/{name.lower()}"
            yield path, f"{value}\n" if value else ""


def _is_below(place: str, folders: Iterable[str]) -> bool:
    path = PurePosixPath(place)
    return place.endswith("/") and any(path.is_relative_to(folder) for folder in folders)


def _dockerignore(
    repository: Repository, settings: Mapping[str, str], names: Names
) -> tuple[str, list[str], tuple[Loss, ...]]:
    """Return what doesn't go into the app's image: the list, the folders, and what to say of it."""
    source = settings["API_SOURCE"]
    entries = [name.rstrip("/") for name in repository.ignored()]
    tops = [name for name in entries if PurePosixPath(name).parent == PurePosixPath(source)]
    folders = [name.rstrip("/") for name in repository.ignored() if name.endswith("/")]
    skipped = list(dict.fromkeys([*folders, *tops]))
    big = ignored.big_folders(repository.root, source, skipped)
    locks = [settings.get("API_LOCK", source), *_paths(settings)]
    losses = tuple(
        Loss(
            f"{each.size // 1_000_000} MB of data",
            each.path,
            f"it isn't put into images; if the app needs it there, take it out of {ignored.FILE}",
        )
        for each in big
    )
    left_out = [*skipped, *(each.path for each in big)]
    return ignored.text(source, locks, skipped, big, names), left_out, losses


def _paths(settings: Mapping[str, str]) -> Iterator[str]:
    """Yield the requirements files among the groups and extras."""
    for name in ("API_GROUPS", "API_EXTRAS"):
        yield from (word for word in settings.get(name, "").split() if "." in word)


def _compose_files(root: Path) -> list[str]:
    return sorted({path.name for pattern in _COMPOSE_FILES for path in root.glob(pattern)})


def _has_tasks(root: Path) -> bool:
    return (root / "tasks.py").exists() or (root / "tasks" / "__init__.py").exists()


def _kept(root: Path) -> Iterator[str]:
    yield from _compose_files(root)
    yield from (name for name in _KEPT if (root / name).exists())


def _in_the_way(root: Path, files: Iterable[str]) -> Iterator[Finding]:
    """Yield what is where a file of Gangway's belongs."""
    fix = "rename it, or have Gangway in a repository of its own"
    if (root / "env" / "pyvenv.cfg").exists():
        what = "it is a virtual environment, and Gangway's settings go to env/"
        yield Finding(what, "env", "make it anew as .venv, and delete env/")
        return
    blocked: set[str] = set()
    for path in files:
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            there = root / parent
            if there.is_symlink() or (there.exists() and not there.is_dir()):
                blocked.add(str(parent))
                break
        else:
            if os.path.lexists(root / path):
                blocked.add(path)
    for path in sorted(blocked):
        what = "there is one already" if path in files else "files of Gangway's go to that folder"
        yield Finding(what, path, fix)


def _untracked(repository: Repository, files: Iterable[str]) -> tuple[Loss, ...]:
    """Return the rules by which git would ignore files of Gangway's."""
    rules: dict[str, list[str]] = {}
    for path, where in repository.ignoring(files).items():
        rules.setdefault(where, []).append(path)
    return tuple(
        Loss(
            f"git ignores {_some(paths)}",
            where,
            "Gangway adds them all the same; add what you put beside them with git add --force",
        )
        for where, paths in rules.items()
    )


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return paths[0] + more
