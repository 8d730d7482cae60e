"""A database for each git branch, and data of its own for each worktree (DATABASE_PER_BRANCH=1).

In a checkout, the branch on which it was first used has the plain POSTGRES_DB; any other has a
database of its own on the same server, a copy of that one, made by the first `up` there. The
checkout's layer says which it is, so that what is printed and pasted means the same one. A linked
worktree has a server of its own, as every checkout has: its first `up` copies the main one's files.
"""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.base.files import replace
from gangway.base.output import say
from gangway.operations import redis_keys
from gangway.operations.copies import server
from gangway.operations.copies.snapshots import human
from gangway.operations.project import Project, with_settings
from gangway.settings import checkout
from gangway.settings.environment import load

VARIABLE: Final = "DATABASE_PER_BRANCH"
NOTE: Final = "branch"
"""What a branch's database is noted as."""
_NAME, _FIRST = "POSTGRES_DB", "POSTGRES_FIRST_DB"
_SCRIPT: Final = "scripts/clone-cluster"
_ON: Final = ("1", "true", "yes", "on")


def settle(project: Project, start: Callable[[Project], None]) -> Project:
    """Return the project with the database of the branch at hand, which is made if need be.

    `start` starts the server alone. Raises GangwayError where that can't be, with what was there
    as it was.
    """
    if not _applies(project):
        if project.environment.kind == "dev" and project.environment.get(_FIRST):
            return with_settings(project, {_NAME: "", _FIRST: ""})
        return project
    branch, main = _branch(project), _main_worktree(project)
    if main is None:
        say(f"note: {VARIABLE} is on, and this is no git repository")
        return project
    state = _read(project)
    if main != project.root.resolve():
        _clone(project, main)
    if not branch:
        say("note: no branch is checked out; the database stays as it is")
        return project
    if "home" not in state:
        state["home"] = branch
        _write(project, state)
    first = project.environment.beneath[_NAME]
    wanted = first if branch == state["home"] else name_of(first, branch)
    if project.environment.get(_NAME) == wanted:
        return project
    if wanted != first:
        _copy(project, start, first, wanted, branch)
    state["switched"] = True
    _write(project, state)
    own = {_NAME: wanted, _FIRST: first} if wanted != first else {_NAME: "", _FIRST: ""}
    settled = with_settings(project, own)
    say(f"{branch} has the database {wanted}")
    return settled


def tidy(project: Project) -> None:
    """Once all is up with another database than before, forget what the apps cached of that one."""
    if project.environment.kind != "dev" or project.dry_run:
        return
    state = _read(project)
    if state.pop("switched", False):
        redis_keys.forget_cache(project)
        _write(project, state)


def forget(project: Project) -> None:
    """Go back to the plain database: the data is deleted, and with it that of all branches."""
    if project.environment.kind == "dev":
        _file(project).unlink(missing_ok=True)
        if project.environment.get(_FIRST):
            checkout.record(project.root, project.name, {_NAME: "", _FIRST: ""})


def gone(project: Project, found: server.Server) -> list[server.Database]:
    """Return the databases of branches that there aren't any more, but the one in use."""
    done = project.environment.runner.capture(
        ["git", "for-each-ref", "--format=%(refname:short)", "refs/heads"]
    )
    if done.status != 0:
        return []
    there = done.stdout.split()
    return [
        each
        for each in found.databases.values()
        if each.note.get("gangway") == NOTE
        and each.note.get("branch") not in there
        and each.name != found.main
    ]


def worktrees(project: Project) -> dict[str, str]:
    """Return the worktrees that have copied this repository's data: the project of each folder."""
    main = _main_worktree(project)
    return _registry(main, project.name) if main else {}


def forget_worktree(project: Project, folder: str) -> None:
    """Take one of them off that list."""
    if main := _main_worktree(project):
        known = _registry(main, project.name)
        known.pop(folder, None)
        replace(_registry_file(main, project.name), json.dumps(known, indent=2) + "\n")


def name_of(first: str, branch: str) -> str:
    """Return the name of a branch's database: the branch's, as far as a name allows."""
    plain = re.sub(r"[^a-z0-9]+", "_", branch.lower()).strip("_")
    name = f"{first}_{plain}"
    # Two branches may come to the same, and a name that is too long would be cut off.
    if plain != branch or len(name) > server.LONGEST:
        digest = f"{zlib.crc32(branch.encode()):08x}"[:6]
        name = f"{name[: server.LONGEST - 7]}_{digest}"
    return name


def _applies(project: Project) -> bool:
    env = project.environment
    on = env.get(VARIABLE).lower() in _ON
    if env.kind != "dev" or project.dry_run or not on:
        return False
    if server.SERVICE not in project.model.by_default() or _NAME not in env.beneath:
        return False
    said = env.variable(_NAME)
    if said and said.layer in ("command line", "shell", "local"):
        raise GangwayError(
            f"{VARIABLE} is on, and {_NAME}={said.value} says which database it is",
            where=said.origin,
            fix=f"leave one of them out; for once: -e {VARIABLE}=0",
        )
    return True


def _copy(
    project: Project, start: Callable[[Project], None], first: str, wanted: str, branch: str
) -> None:
    if not any(
        each.service == server.SERVICE and each.health == "healthy"
        for each in project.engine.containers()
    ):
        start(project)
    found = server.look(project)
    if wanted in found.databases or first not in found.databases:
        return
    began = time.monotonic()
    found.copy(first, wanted, {"gangway": NOTE, "branch": branch, "of": first})
    size = human(found.databases[first].size)
    say(f"copied {first} for {branch} ({size}, {time.monotonic() - began:.1f} s)")


def _clone(project: Project, main: Path) -> None:
    """Give a new worktree's server the files of the main one's."""
    env = project.environment
    source = load(main, env.name, engine=env.engine, images=env.images, shell=env.shell)
    began = time.monotonic()
    done = project.engine.clone(source, server.SERVICE, _SCRIPT)
    if done is None:
        return
    if done.status != 0:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        said = next((line for line in lines if line.startswith("clone-cluster: ")), lines[-1])
        raise GangwayError(
            f"the data of {main} can't be copied: {said.removeprefix('clone-cluster: ')}",
            fix=f"to begin with an empty database: -e {VARIABLE}=0",
        )
    known = _registry(main, env.name)
    known[str(project.root.resolve())] = env.get("COMPOSE_PROJECT_NAME")
    checkout.own_folder(main)
    replace(_registry_file(main, env.name), json.dumps(known, indent=2) + "\n")
    say(f"this worktree's data is a copy of {main}'s ({time.monotonic() - began:.1f} s)")


def _branch(project: Project) -> str:
    done = project.environment.runner.capture(["git", "symbolic-ref", "--quiet", "--short", "HEAD"])
    return done.stdout.strip()


def _main_worktree(project: Project) -> Path | None:
    done = project.environment.runner.capture(["git", "worktree", "list", "--porcelain"])
    first = done.stdout.partition("\n")[0]
    return Path(first.removeprefix("worktree ")).resolve() if done.status == 0 else None


def _read(project: Project) -> dict[str, Any]:
    return _json(_file(project))


def _write(project: Project, state: Mapping[str, Any]) -> None:
    replace(_file(project), json.dumps(state, indent=2) + "\n")


def _file(project: Project) -> Path:
    return checkout.state(project.root, f"{project.name}.branches.json")


def _registry(main: Path, environment: str) -> dict[str, str]:
    return _json(_registry_file(main, environment))


def _registry_file(main: Path, environment: str) -> Path:
    return main / checkout.DIRECTORY / f"{environment}.worktrees.json"


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
