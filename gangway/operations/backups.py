"""Backups of production's data, by the program in the service `backup` (docker/backup)."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from gangway.base import output
from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.operations import calls, image_builds, preflight
from gangway.operations.project import Project

SERVICE = "backup"
_DAMAGED = "not proven"


class Failed(GangwayError):
    """What was begun and went wrong."""

    status = 1


def make(project: Project) -> None:
    """Make a backup, prove it, copy it away and let old ones go.

    Raises GangwayError (status 2) where that can't be begun, Failed where any of it went wrong.
    """
    project = opened(project)
    if text := ask(project, "make", "--release", _release(project)):
        print(text)


def prove(project: Project, name: str) -> None:
    """Prove a backup again, the newest or one by its name, from its files as they are now."""
    if text := ask(opened(project), "prove", *([name] if name else [])):
        print(text)


def show(project: Project, *, as_json: bool = False) -> int:
    """List the backups, and say what is wrong with them: returns 1 if anything is."""
    text = ask(opened(project), "list", "--json", good=(0, 1))
    if not text:
        return 0
    known = json.loads(text)
    if as_json:
        print(text)
    else:
        print(output.table([_row(each) for each in known["backups"]], _HEADERS))
        for each in known["moments"]:
            since, until = (datetime.fromisoformat(each[key]) for key in ("since", "until"))
            print(f"any moment from {since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC")
    for finding in known["findings"]:
        say(f"backups: {finding}")
    return 1 if known["findings"] else 0


def opened(project: Project) -> Project:
    """Return the project once the engine answers and the program's image is there.

    Raises GangwayError where this environment has no service for it.
    """
    if SERVICE not in project.model.services:
        raise GangwayError(
            f"the files of {project.name} have no service {SERVICE}",
            fix="gangway update brings the newer docker-compose.prod.yml",
        )
    found = calls.answering(project)
    if not found.dry_run and not _runs(found):
        preflight.check_files(found, [SERVICE])
        image_builds.refresh(found, [SERVICE])
    return found


def ask(project: Project, *words: str, good: tuple[int, ...] = (0,)) -> str:
    """Have the program do what the words say and return what it prints; a dry run prints the call.

    Its complaints are this task's: raises GangwayError for what it refuses, Failed for what goes
    wrong; other statuses may be `good`.
    """
    call = _call(project)
    if not project.announce(*call, *words):
        return ""
    done = project.engine.capture(*call, *words)
    # What Compose says of the container that it makes is nobody's business.
    said = [line for line in done.stderr.splitlines() if not _COMPOSE.match(line)]
    wrong = next((line for line in reversed(said) if line.startswith(_OWN)), "")
    for line in said:
        if line != wrong or done.status in good:
            say(line)
    if done.status in good:
        return done.stdout.strip()
    kind = GangwayError if done.status == 2 else Failed
    message, _, fix = wrong.removeprefix(_OWN).removesuffix(")").rpartition(" (")
    raise kind(message or fix or f"the program ended with {done.status}", fix=message and fix)


_OWN = "backup: "
_COMPOSE = re.compile(r"\s*(Container|Network|Volume|Image) \S+ +[A-Z]|time=|\s*\[\+\]|\s*$")
_HEADERS = ("NAME", "AGE", "SIZE", "MIGRATION", "", "PROVEN")


def _call(project: Project) -> tuple[str, ...]:
    """Return the call that the program's words come after: in its container where one runs."""
    if not project.dry_run and _runs(project):
        return ("exec", "--no-TTY", SERVICE, SERVICE)
    # Nothing else is started or made anew for it.
    return ("run", "--rm", "--no-deps", "--no-TTY", SERVICE)


def _runs(project: Project) -> bool:
    """Say whether the service runs, and so has an image."""
    return any(
        each.service == SERVICE and each.state == "running" for each in project.engine.containers()
    )


def _release(project: Project) -> str:
    """Return the name of the release that runs, empty for none."""
    if project.dry_run:
        return "RELEASE"
    from gangway.operations import release_records

    known = release_records.load(project.engine.production.records)
    return known.current.name if known.current else ""


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    words = [
        word
        for word, holds in (("encrypted", each["encrypted"]), ("copied", each["copied"]))
        if holds
    ]
    proof = each["proof"] if each["proven"] else f"{_DAMAGED}: {each['proof']}"
    size = f"{each['size'] / 1e6:.1f} MB"
    return (each["name"], each["age"], size, each["migration"], " ".join(words), proof)
