"""A newer PostgreSQL: beside the old one, with all that this has; then in its place.

The old data is copied, and never touched: where anything goes wrong, the old server goes on with
it, and later on it is the way back.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from gangway.base.errors import GangwayError
from gangway.base.output import confirm, say
from gangway.base.process import interrupts_later
from gangway.engines import volumes
from gangway.engines.container import Container
from gangway.engines.databases import LEFT
from gangway.engines.releases import Target
from gangway.model.postgres_major import major_of, of_major
from gangway.operations import backups, majors, preflight, start
from gangway.operations.majors import SERVICE
from gangway.operations.project import Project, with_choices
from gangway.operations.release_records import Known, load
from gangway.operations.releases import build
from gangway.operations.rollout import deploy, transaction
from gangway.operations.rollout.transaction import How
from gangway.operations.start import StartOptions
from gangway.operations.upgrade import plan as plans
from gangway.operations.upgrade.plan import NAMES, Made, Settings
from gangway.settings import checkout, contract

TASK: Final = "upgrade-postgres"
PROGRAM: Final = "scripts/upgrade-postgres"
# Seconds that requests wait for the switch at the proxy before they are turned away.
_WAIT: Final = 30
# Takes writes again, and is no longer marked as left.
_GO_ON: Final = """
ALTER SYSTEM RESET default_transaction_read_only;
SELECT pg_reload_conf();
SELECT format('COPY (SELECT WHERE false) TO %L', current_setting('data_directory') || '/' || f)
FROM pg_ls_dir(current_setting('data_directory')) f WHERE f = :'left' \\gexec
"""


class Copied(NamedTuple):
    """What the program has copied and compared; writes ended at `since`, in Unix time."""

    databases: int
    tables: int
    rows: int
    since: float


def upgrade(project: Project, to: int, *, backup: bool) -> None:
    """Have PostgreSQL's data run on a newer major: that of the settings' image, or `to`.

    In production, a proven `backup` comes first. Raises GangwayError, with the old server serving
    as ever, when anything is wrong.
    """
    with project.changing(TASK):
        project, there = preflight.prepare(project, (SERVICE,), upgrade=True)
        # An engine that can't says so before anything is looked at.
        _beside(project, "")
        if project.dry_run:
            _show(project, to)
            return
        plan = plans.planned(project, to)
        old, new = _with(project, plan.old), _with(project, plan.new)
        argv = _beside(new, plan.new["POSTGRES_VOLUME"])
        made = Made(plan.old, plan.new, time.strftime("%Y-%m-%d %H:%M:%S"))
        with _alone(project) as known:
            _require_old(old, there)
            _require_images(new, old, known)
            say(f"{_shown(plan.old)}: PostgreSQL {plan.before} -> {plan.after}: {_shown(plan.new)}")
            if backup:
                _back_up(old, known)
            copied = _changed(old, new, argv, known, made)
            seconds = time.time() - copied.since
        say(
            f"{project.name} runs on PostgreSQL {plan.after}: {copied.databases} databases, "
            f"{copied.tables} tables and {copied.rows} rows, compared; "
            f"it took no writes for {seconds:.1f} s"
        )
        say(f"  the old data is in {majors.volume(old)}: invoke {project.name}.{TASK} --back")
        _tell_others(project, plan.new)
        if known:
            say(f"  the service {backups.SERVICE} has the old programs until {project.name}.deploy")


def back(project: Project, *, yes: bool) -> None:
    """Go back to the data from before the last upgrade, and to its PostgreSQL.

    Where none was made, but one cut short, the server takes writes again. Raises GangwayError.
    """
    with project.changing(TASK):
        project, _ = preflight.prepare(project, (SERVICE,), upgrade=True)
        made = plans.noted(project)
        if project.dry_run:
            project.announce("up", "--detach", "--no-deps", SERVICE)
            return
        if made is None:
            if not _goes_on(project):
                raise GangwayError(
                    f"no upgrade of {project.name} was made from this checkout",
                    fix=f"set {', '.join(NAMES)} as they were before it, then {project.name}.up",
                )
            say(f"{project.name} takes writes; there was no upgrade to go back from")
            return
        old, new = _with(project, made.old), _with(project, made.new)
        left = majors.volume(new)
        confirm(
            f"{project.name} goes back to its data of {made.when}, without what was written since",
            yes=yes,
        )
        with _alone(project) as known:
            _switch(old, known)
            _require_goes_on(old)
            _keep(project, old, None)
        say(f"{project.name} runs on {made.old['POSTGRES_IMAGE']} again, as of {made.when}")
        say(f"  what was written since is in the volume {left}")
        _tell_others(project, made.old)


def _changed(
    old: Project, new: Project, argv: Sequence[str], known: Known | None, made: Made
) -> Copied:
    """Copy by `argv`, compare and switch; whatever goes wrong leaves the old server as it was.

    What the switch leaves of itself where it is killed, both `up` and --back can go on from.
    """
    kept, before = checkout.Checkout(old.root).read(old.name), plans.noted(old)
    switching = False
    try:
        copied = _copy(old, new, argv)
        switching = True
        _keep(old, new, made)
        with _waiting(new):
            _switch(new, known)
    except BaseException as error:
        why = error.message if isinstance(error, GangwayError) else "interrupted"
        say(f"{old.name} stays on {old.environment.get('POSTGRES_IMAGE')}: {why}")
        with interrupts_later(), suppress(GangwayError):
            checkout.record(old.root, old.name, {name: kept.get(name, "") for name in NAMES})
            plans.note(old, before)
            majors.drop(old)
            if switching and old.environment.kind != "prod":
                # A deploy takes itself back.
                _switch(old, known)
            if not _goes_on(old):
                say(f"it may take no writes: invoke {old.name}.{TASK} --back has it do so")
            place = new.engine.production.place_of(majors.volume(new))
            volumes.remove(place, majors.volume(new))
        raise
    return copied


def _beside(new: Project, volume: str) -> list[str]:
    """Return the command that reads the program that copies; raises CannotDo."""
    return new.engine.beside(SERVICE, ["bash", "-s", SERVICE, volume])


def _copy(old: Project, new: Project, argv: Sequence[str]) -> Copied:
    """Run the program that copies, beside the old server; raises GangwayError where it fails."""
    # Only for the copy: the sooner it is done, the sooner there are writes again.
    quick = _with(new, {"POSTGRES_CPUS": "0"})
    say(f"$ {_plain(quick, argv)} <{PROGRAM}")
    program = (old.root / PROGRAM).read_text(encoding="utf-8")
    pipe = subprocess.PIPE
    with quick.environment.runner.start(argv, stdin=pipe, stdout=pipe) as running:
        said, _ = running.communicate(program)
    if running.returncode != 0:
        raise GangwayError(
            "the data was not copied: see the lines above",
            fix=f"{old.name} goes on as before; mend that, and try again",
        )
    databases, tables, rows, since = said.split()[-4:]
    return Copied(int(databases), int(tables), int(rows), float(since))


def _switch(project: Project, known: Known | None) -> None:
    """Have the settings' PostgreSQL run in place of what does."""
    if known is None or known.current is None:
        words = ("up", "--detach", "--no-deps", SERVICE)
        start.watched(project, StartOptions((SERVICE,)), *words)
        return
    release = build.build(project, images_of=known.current)
    one = frozenset({SERVICE})
    numbers = deploy.wanted_numbers(project, release)
    target = Target(release, numbers, anew=one, replace=one, only=one)
    now = load(project.engine.production.records)
    transaction.run(project, now, target, How(TASK, migrate=False))


@contextmanager
def _alone(project: Project) -> Iterator[Known | None]:
    """Keep other changes away from a production in the block, and yield what is known of it."""
    if project.environment.kind != "prod":
        yield None
        return
    with transaction.alone(project, TASK) as known:
        yield known


@contextmanager
def _waiting(project: Project) -> Iterator[None]:
    """Have requests wait at the proxy in the block, where there is one."""
    front = project.engine.production.front if project.environment.kind == "prod" else None
    try:
        if front:
            with suppress(GangwayError):
                front(("pause", str(_WAIT)))
        yield
    finally:
        if front:
            with suppress(GangwayError):
                front(("resume",))


def _require_old(old: Project, there: Sequence[Container]) -> None:
    """See to it that the old server runs: production's must, development's is started."""
    if any(each.service == SERVICE and each.state == "running" for each in there):
        return
    if old.environment.kind == "prod":
        image = old.environment.get("POSTGRES_IMAGE")
        raise GangwayError(
            f"{SERVICE} doesn't run, and the data is read from it",
            fix=f"invoke {old.name}.up -e POSTGRES_IMAGE={image}",
        )
    _switch(old, None)


def _require_images(new: Project, old: Project, known: Known | None) -> None:
    """Refuse a production whose release lacks a service of the model that it is to run with."""
    if known and known.current and not build.covers(new, known.current):
        image = old.environment.get("POSTGRES_IMAGE")
        raise GangwayError(
            f"{known.current.name} has no image of a service that there is now",
            fix=f"first, invoke {old.name}.deploy -e POSTGRES_IMAGE={image}",
        )


def _back_up(old: Project, known: Known | None) -> None:
    """Make and prove a backup of a production, by what its release has for that."""
    if known is None or known.current is None:
        return
    if backups.SERVICE in known.current.images:
        backups.make(old)
    else:
        say(f"note: {known.current.name} has no service {backups.SERVICE}, so no backup is made")


def _goes_on(project: Project) -> bool:
    """Have the server take writes again, if it doesn't; return whether it does."""
    user = project.environment.get("POSTGRES_USER")
    psql = ("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-v", f"left={LEFT}", "-U", user)
    words = ("exec", "--no-TTY", SERVICE, *psql, "-d", "postgres", "-f", "-")
    return project.engine.capture(*words, text=_GO_ON).status == 0


def _require_goes_on(project: Project) -> None:
    if not _goes_on(project):
        raise GangwayError(
            f"{SERVICE} still takes no writes",
            fix=f"invoke {project.name}.psql -- -c "
            "'ALTER SYSTEM RESET default_transaction_read_only' -c 'SELECT pg_reload_conf()'",
        )


def _keep(project: Project, now: Project, made: Made | None) -> None:
    """Write down what runs now, and what --back goes back from."""
    settings = {name: now.environment.get(name) for name in NAMES}
    plans.use(project, settings)
    plans.note(project, made)
    majors.keep(now, ())


def _tell_others(project: Project, settings: Settings) -> None:
    """Say what other checkouts need to go by, and what hides it here."""
    again = with_choices(project)
    name = project.name
    said = " ".join(f"{key}={value}" for key, value in settings.items() if value)
    say(f"  for other checkouts, in env/{name}.env: {said}")
    for key, value in settings.items():
        found = again.environment.variable(key)
        if found and found.value != value:
            other = value or "nothing"
            say(f"note: {found.origin} sets {key}={found.value}: change that to {other}")


def _with(project: Project, settings: Settings) -> Project:
    return with_choices(project, overrides=settings)


def _shown(settings: Settings) -> str:
    return f"{settings['POSTGRES_IMAGE']} on {settings['POSTGRES_VOLUME']}"


def _plain(project: Project, argv: Sequence[str]) -> str:
    known = contract.load(project.root)
    return project.environment.plain(argv, is_secret=known.is_secret)


def _show(project: Project, to: int) -> None:
    """Print what an upgrade comes down to; which volume is the old one, only an engine knows."""
    image = project.environment.get("POSTGRES_IMAGE")
    wanted = of_major(image, to) if to else image
    name = f"{majors.VOLUME}-{major_of(wanted) or 'NEW'}"
    new = _with(project, {"POSTGRES_IMAGE": wanted, "POSTGRES_VOLUME": name, "POSTGRES_DATA": ""})
    argv = _beside(new, name)
    print(f"{_plain(new, argv)} <{PROGRAM}")
    new.announce("up", "--detach", "--no-deps", SERVICE)
