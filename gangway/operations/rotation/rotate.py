"""Which secret is whose, and how it is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gangway.base.errors import GangwayError, unknown
from gangway.base.output import say
from gangway.base.process import Completed
from gangway.operations import calls
from gangway.operations.project import Project
from gangway.operations.redis_keys import TOOL
from gangway.operations.rollout import moving
from gangway.operations.rollout.moving import Change, Move
from gangway.operations.rotation import steps
from gangway.operations.rotation.steps import Files
from gangway.operations.rotation.stores import Postgres, Redis
from gangway.settings import contract
from gangway.settings.checkout import PREVIOUS

_DATABASE = "postgres"
_ELSEWHERE = (
    "there, make a second login with the rights of the first; put its address in the file that "
    "DATABASE_URL_FILE names; invoke {name}.up moves the apps; then take the first one's login away"
)


def rotate(project: Project, name: str, *, forget_old: bool = False) -> None:
    """Make a new secret, and bring everybody to it who reads it, with the old one good until then.

    `forget_old` changes nothing but that what was signed with the old one is good no more. A
    rotation that was cut short goes on. Raises GangwayError, with apps that work, when a step
    fails.
    """
    env = project.environment
    names = contract.load(project.root).secret_files(env.stack)
    theirs = env.get("DATABASE_URL") or env.get("DATABASE_URL_FILE", "/dev/null") != "/dev/null"
    if name in ("database_url", "postgres_password") and (theirs or name not in names):
        raise GangwayError(
            "the database is somebody else's, and so is its password",
            fix=_ELSEWHERE.format(name=project.name),
        )
    if name not in names:
        raise unknown("secret", name, names)
    files = Files(project.root / env.get("SECRETS_DIR") / name)
    signs = name + PREVIOUS in (project.model.raw.get("secrets") or {})
    if forget_old and not (signs and files.has_previous):
        raise GangwayError(f"no other {name} is good than the one that there is")
    if project.dry_run:
        print(f"# would {'forget the old' if forget_old else 'make a new'} {name}, and move apps")
        return
    begun = False
    with moving.moving(project, "rotate") as apps:

        def move(why: str, change: Change | None) -> None:
            nonlocal begun
            begun = True
            apps(why, change)

        try:
            _rotate(project, name, files, move, signs=signs, forget_old=forget_old)
        except BaseException:
            if begun:
                say(f"the apps work as before; invoke {project.name}.rotate {name} goes on with it")
            raise
    say(f"{name} is the new one" if not forget_old else f"no other {name} is good by now")


def _rotate(
    project: Project, name: str, files: Files, move: Move, *, signs: bool, forget_old: bool
) -> None:
    env = project.environment
    if forget_old:
        steps.forget(files, move)
    elif _DATABASE in served_by(project, name, "POSTGRES_PASSWORD_FILE"):
        ask = _Inside(project, _DATABASE)
        store = Postgres(ask, env.get("POSTGRES_USER"), env.get("POSTGRES_DB"))
        steps.database(store, files, move)
    elif services := list(served_by(project, name, "REDIS_PASSWORD_FILE")):
        for service in services:
            project.engine.production.refuse_new_secret(service)
        stores = [Redis(_Inside(project, service), service) for service in services]
        steps.caches(stores, files, move)
    elif signs:
        steps.key(files, move)
        say(f"what was signed with the old one is good until --forget, or the next {name}")
    else:
        say(f"note: the apps know one {name} at a time")
        steps.alone(files, move)


class _Inside:
    """Runs commands in the container of a data store."""

    def __init__(self, project: Project, service: str) -> None:
        self._project = calls.answering(project)
        self._service = service

    def __call__(self, words: Sequence[str], text: str) -> Completed:
        call = ("exec", "--no-TTY", self._service, *words)
        return self._project.engine.capture(*call, text=text)


def served_by(project: Project, name: str, variable: str) -> Iterator[str]:
    """Yield the data stores whose password a secret is."""
    for service, entry in project.model.services.items():
        targets = {_target(each) for each in entry.get("secrets") or () if each["source"] == name}
        is_store = service == _DATABASE or entry.get("entrypoint") == list(TOOL)
        if is_store and (entry.get("environment") or {}).get(variable) in targets:
            yield service


def _target(entry: dict[str, Any]) -> str:
    target = str(entry.get("target") or entry["source"])
    return target if target.startswith("/") else f"/run/secrets/{target}"
