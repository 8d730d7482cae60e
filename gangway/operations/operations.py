"""What is done with a stack that is there: look at it, reach into it, take it down."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from gangway.base import output
from gangway.base.errors import GangwayError
from gangway.model.model import Model
from gangway.operations import calls, project_name
from gangway.operations.project import Project, confirm, say

_ALL = ("--profile", "*")
_CLEAR_LINE = "\x1b[2K"
_SCHEMES = {5432: "postgresql", 6379: "redis"}


class LogWish(NamedTuple):
    """Which log lines: `since` and `tail` as docker takes them."""

    services: tuple[str, ...] = ()
    follow: bool = False
    since: str = ""
    tail: str = ""


def down(project: Project, *, volumes: bool, yes: bool) -> int:
    """Stop and remove the containers and networks; with `volumes` the data too, if confirmed."""
    with project.changing("down"):
        project = calls.answering(project)
        if volumes and not project.dry_run:
            names = project.model.volumes()
            if names:
                confirm(f"this deletes the data in {', '.join(names)}", yes=yes)
        status = take_down(project, *(["--volumes"] if volumes else []))
        if volumes and status == 0 and not project.dry_run:
            project_name.drop(project)
        return status


def take_down(project: Project, *flags: str) -> int:
    """Remove the containers and networks; the caller holds the lock and has asked what to ask."""
    tail = ("down", "--remove-orphans", *flags)
    if not project.announce(project.command(*_ALL, *tail)):
        return 0
    began = time.monotonic()
    # Compose redraws its lines on a terminal; elsewhere a line for each step says too much.
    quiet = () if sys.stderr.isatty() else ("--progress", "quiet")
    status = calls.call(project, *_ALL, *quiet, *tail)
    if status == 0:
        say(f"{project.name} is down ({time.monotonic() - began:.1f} s)")
    return status


def ps(project: Project) -> int:
    """List every container of the stack with its state."""
    return calls.run(project, *_ALL, "ps", "--all")


def logs(project: Project, wish: LogWish) -> int:
    """Show log lines of the named services, or of all."""
    calls.check_services(project, wish.services)
    flags = ["--follow"] if wish.follow else []
    if wish.since:
        flags += ["--since", wish.since]
    if wish.tail:
        flags += ["--tail", wish.tail]
    words = (*_ALL, "logs", *flags, *wish.services)
    if sys.stdout.isatty() or project.native:
        return calls.run(project, *words)
    project = calls.answering(project)
    argv = project.command(*words)
    return _without_codes(project, argv) if project.announce(argv) else 0


def _without_codes(project: Project, argv: Sequence[str]) -> int:
    """Pass lines on without the "clear line" that Compose up to 2.26 begins each with."""
    with project.runner.start(argv, stdout=subprocess.PIPE) as program:
        try:
            for line in program.stdout or ():
                print(line.removeprefix(_CLEAR_LINE), end="", flush=True)
        except BrokenPipeError:
            # Whoever read has seen enough (`| head`); Python itself must not write there again.
            program.terminate()
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
    return program.returncode


def exec_(project: Project, service: str, command: Sequence[str]) -> int:
    """Run a command in a service's running container."""
    calls.check_services(project, [service])
    if not command:
        raise GangwayError(
            "no command to run", fix=f"invoke {project.name}.exec {service} -- ls -l"
        )
    return calls.run(project, "exec", *no_terminal(), service, *command)


def shell(project: Project, services: Sequence[str]) -> int:
    """Open bash, or sh where there is none, in the running container of one service, or of api."""
    if len(services) > 1:
        raise GangwayError("one shell at a time", fix=f"invoke {project.name}.shell {services[0]}")
    service = services[0] if services else "api"
    calls.check_services(project, [service])
    start = "command -v bash >/dev/null && exec bash || exec sh"
    return calls.run(project, "exec", *no_terminal(), service, "sh", "-c", start)


def run(project: Project, service: str, command: Sequence[str]) -> int:
    """Run a command in a new container of a service, removed when it ends."""
    calls.check_services(project, [service])
    return calls.run(project, "run", "--rm", *no_terminal(), service, *command)


def config(project: Project, flags: Sequence[str]) -> int:
    """Print the merged model as Compose sees it, once the variables keep to the contract."""
    from gangway.settings import contract, contract_check

    contract_check.require(project.environment, contract.load(project.root), secrets=False)
    return calls.run(project, "config", *flags, needs_engine=False)


def stats(project: Project, services: Sequence[str], *, follow: bool) -> int:
    """Show what the containers use of processor, memory, network and disk."""
    calls.check_services(project, services)
    return calls.run(project, "stats", *([] if follow else ["--no-stream"]), *services)


def psql(project: Project, arguments: Sequence[str]) -> int:
    """Open psql on the stack's database, as its owner."""
    return calls.run(project,
        "exec", *no_terminal(), "postgres",
        "psql", "-U", project.environment.get("POSTGRES_USER"),
        "-d", project.environment.get("POSTGRES_DB"), *arguments,
    )  # fmt: skip


def redis(project: Project, arguments: Sequence[str]) -> int:
    """Open redis-cli on the stack's Redis; the password stays out of the process list."""
    login = (
        "password=${REDIS_PASSWORD:-}\n"
        '[ -z "${REDIS_PASSWORD_FILE:-}" ] || password=$(cat "$REDIS_PASSWORD_FILE")\n'
        '[ -z "$password" ] || export REDISCLI_AUTH="$password"\n'
        'exec "$@"'
    )
    client = _redis_client(project) if project.native else ["redis-cli"]
    return calls.run(
        project, "exec", *no_terminal(), "redis", "sh", "-c", login, "sh", *client, *arguments
    )


def _redis_client(project: Project) -> list[str]:
    """Return how to call this machine's own client: Valkey's wheel has the server alone."""
    for name in ("redis-cli", "valkey-cli"):
        if shutil.which(name):
            return [name, "-h", "127.0.0.1", "-p", project.environment.get("REDIS_PORT")]
    raise GangwayError(
        "there is no redis-cli and no valkey-cli on this machine",
        fix="install one (Debian, Ubuntu: apt install redis-tools)",
    )


def one_off(project: Project, *command: str) -> int:
    """Run a database command in a new container of `migrate`, once the database answers."""
    return calls.run(project, "run", "--rm", *no_terminal(), "migrate", *command)


def migration_tool(project: Project, variable: str, **values: str) -> int:
    """Run the command that a variable of the stack names, with `{key}` in its words replaced."""
    from gangway.settings import contract

    spec = contract.load(project.root).variables[variable]
    text = project.environment.get(variable) or spec.default_for(project.environment.kind) or ""
    words = shlex.split(text)
    for key, value in values.items():
        words = [word.replace(f"{{{key}}}", value) for word in words]
    return one_off(project, "wait-for-db", "--", *words)


def scale(project: Project, wishes: Sequence[str]) -> dict[str, str]:
    """Return the variables (API_REPLICAS) for wishes such as `api=3`; refuse impossible ones."""
    from gangway.settings import contract

    known = contract.load(project.root).variables
    kept: dict[str, str] = {}
    for wish in wishes:
        service, equals, number = wish.partition("=")
        if not equals or not number.isdecimal():
            raise GangwayError(
                f"{wish!r} is not SERVICE=NUMBER", fix=f"invoke {project.name}.scale api=3"
            )
        calls.check_services(project, [service])
        port = next((p for p in project.model.published() if p.service == service), None)
        if port and int(number) > 1:
            raise GangwayError(
                f"{service} publishes port {port.port}, which only one container can have",
                where=f"{project.name}.scale",
                fix="use an environment that doesn't publish its port, such as production",
            )
        variable = f"{service.upper().replace('-', '_')}_REPLICAS"
        if variable not in known:
            can = [name.removesuffix("_REPLICAS").lower() for name in known if "_REPLICAS" in name]
            raise GangwayError(
                f"{service} can't be scaled: there is no variable {variable}",
                fix=f"these can: {', '.join(can)}; docs/stacks.md shows how to add one",
            )
        kept[variable] = number
    if not kept:
        raise GangwayError("nothing to scale", fix=f"invoke {project.name}.scale api=3")
    return kept


def urls(model: Model, services: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return (service, URL) for every published port of what these, or all, start."""
    found = []
    started = model.wanted(services)
    for port in model.published():
        if port.service not in started:
            continue
        host = "127.0.0.1" if port.host in ("0.0.0.0", "::") else port.host
        scheme = _SCHEMES.get(port.target, "http")
        found.append((port.service, f"{scheme}://{host}:{port.port}"))
    return found


def show_urls(project: Project, services: Sequence[str] = ()) -> None:
    """Print the table of the URLs of these services, or of all, on standard output."""
    print(output.table(urls(project.model, services)))


def show_environment(project: Project) -> None:
    """Print every variable with its value and the layer it came from, secrets masked."""
    from gangway.settings import contract, reference

    rows = reference.table(project.environment, contract.load(project.root))
    print(output.table(rows, ("NAME", "VALUE", "FROM")))
    say(f"\nthe same, for Compose: {project.plain(project.command('config'))}")


def no_terminal() -> list[str]:
    """Return Compose's flag for a command whose input or output is no terminal."""
    return [] if sys.stdin.isatty() and sys.stdout.isatty() else ["--no-TTY"]
