"""Gangway's tasks: `invoke --list` shows them, `invoke --help dev.up` explains one.

Each function below is a task of every environment: dev.up, test.up, prod.up, staging.up, and so on
for each file in env/. What they do is in the package `gangway`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated as A
from typing import Any

from invoke import Collection
from invoke.main import program

from gangway.operations.session import Session
from gangway.tasks import cli
from gangway.tasks.cli import Option, Yes

ROOT = Path(__file__).resolve().parent

# What stands after `--`.
After = Sequence[str]
Service = A[str, Option("service")]
Services = A[str, Option("services; all where none is named")]


def up(
    session: Session,
    *services: Services,
    build: A[bool, Option("build the images first", "b")] = False,
    watch: A[bool, Option("stay, and rebuild or sync as files change", "w")] = False,
    ports: A[str, Option("auto: move to free ports where these are taken", "p")] = "",
    timeout: A[float, Option("give up after this many seconds; 0: once nothing happens")] = 0.0,
) -> int | None:
    """Start the stack; returns when every service is healthy, and lists the URLs."""
    from gangway.operations import lifecycle

    return lifecycle.up(session, services, build=build, watch=watch, ports=ports, timeout=timeout)


def down(
    session: Session,
    volumes: A[bool, Option("delete the data too; asks first")] = False,
    yes: Yes = False,
) -> int:
    """Stop and remove the stack; the data stays unless --volumes."""
    from gangway.operations import operations

    return operations.down(session, volumes=volumes, yes=yes)


def ps(session: Session) -> int:
    """List the containers with their state and health."""
    from gangway.operations import operations

    return operations.ps(session)


def logs(
    session: Session,
    *services: Services,
    follow: A[bool, Option("go on showing new lines", "f")] = False,
    since: A[str, Option("from a time (2026-01-31T12:00:00) or an age (10m)")] = "",
    tail: A[str, Option("this many last lines of each service")] = "",
) -> int:
    """Show the logs of all services, or of those named."""
    from gangway.operations import operations

    return operations.logs(session, operations.LogWish(services, follow, since, tail))


def exec_(session: Session, service: Service, *, after: After) -> int:
    """Run what stands after -- in a running container: dev.exec api -- ls -l."""
    from gangway.operations import operations

    return operations.exec_(session, service, after)


def shell(session: Session, *service: A[str, Option("service; api where none is named")]) -> int:
    """Open a shell in a running container (api unless named)."""
    from gangway.operations import operations

    return operations.shell(session, service)


def run(session: Session, service: Service, *, after: After) -> int:
    """Run what stands after -- in a new container that is removed afterwards."""
    from gangway.operations import operations

    return operations.run(session, service, after)


def restart(session: Session, *services: Services) -> None:
    """Restart all services, or those named; returns when they are healthy again."""
    from gangway.operations import lifecycle

    lifecycle.restart(session, services)


def build(
    session: Session,
    *services: Services,
    no_cache: A[bool, Option("build every layer anew")] = False,
) -> None:
    """Build the images of all services, or of those named."""
    from gangway.operations import lifecycle

    lifecycle.build(session, services, no_cache=no_cache)


def rebuild(session: Session, service: Service) -> None:
    """Build the image of one service without the cache, and run the service from it."""
    from gangway.operations import lifecycle

    lifecycle.rebuild(session, service)


def config(session: Session, *, after: After) -> int:
    """Print the merged Compose model; options after -- go to `docker compose config`."""
    from gangway.operations import operations

    return operations.config(session, after)


def env(session: Session) -> None:
    """Show every variable with its value and where that comes from; secrets are masked."""
    from gangway.operations import operations

    operations.show_environment(session)


def psql(session: Session, *, after: After) -> int:
    """Open psql on the database; options after -- go to psql."""
    from gangway.operations import operations

    return operations.psql(session, after)


def redis(session: Session, *, after: After) -> int:
    """Open redis-cli; a command after -- is run instead."""
    from gangway.operations import operations

    return operations.redis(session, after)


def ratelimit(
    session: Session, reset: A[bool, Option("delete them: refused clients may come back")] = False
) -> int:
    """Count the rate limit's keys in Redis; --reset deletes them."""
    from gangway.operations import redis_keys

    return redis_keys.ratelimit(session, reset=reset)


def cache(session: Session, flush: A[bool, Option("delete them; queued jobs stay")] = False) -> int:
    """Count the cache's keys in Redis; --flush deletes them and nothing else."""
    from gangway.operations import redis_keys

    return redis_keys.cache(session, flush=flush)


def migrate(session: Session) -> int:
    """Bring the database to the newest migration."""
    from gangway.operations import operations

    return operations.one_off(session, "migrate")


def makemigration(session: Session, message: A[str, Option("what the migration does", "m")]) -> int:
    """Write a new migration from what the models have and the database lacks."""
    from gangway.operations import operations

    alembic = ["alembic", "revision", "--autogenerate", "-m", message]
    return operations.one_off(session, "wait-for-db", "--", *alembic)


def downgrade(
    session: Session, to: A[str, Option("revision to go back to; -1 is one step")] = "-1"
) -> int:
    """Take the newest migration back, or all down to a revision."""
    from gangway.operations import operations

    return operations.one_off(session, "wait-for-db", "--", "alembic", "downgrade", to)


def history(session: Session) -> int:
    """List the migrations, the current one marked."""
    from gangway.operations import operations

    return operations.one_off(
        session, "wait-for-db", "--", "alembic", "history", "--indicate-current"
    )


def seed(session: Session) -> int:
    """Put the example data into the database; safe to repeat."""
    from gangway.operations import operations

    return operations.one_off(session, "seed")


def reset(session: Session, yes: Yes = False) -> int | None:
    """Delete the database's data, then start again with an empty one; asks first."""
    from gangway.operations import lifecycle

    return lifecycle.reset(session, yes=yes)


def stats(
    session: Session,
    *services: Services,
    follow: A[bool, Option("go on showing", "f")] = False,
) -> int:
    """Show what the containers use of processor, memory, network and disk."""
    from gangway.operations import operations

    return operations.stats(session, services, follow=follow)


def urls(session: Session) -> None:
    """List the URLs that the environment publishes."""
    from gangway.operations import operations

    operations.show_urls(session)


def graph(
    session: Session,
    mermaid: A[str, Option("write the Mermaid text to this file", "m")] = "",
    svg: A[str, Option("write the SVG to this file instead of .gangway/graph/")] = "",
) -> None:
    """Draw the stack: services, what waits for what, ports, networks, volumes."""
    from gangway.operations.graph import pictures

    pictures.graph(session, mermaid_file=mermaid, svg_file=svg)


def scale(
    session: Session, *services: A[str, Option("SERVICE=NUMBER, such as api=3")]
) -> int | None:
    """Run several containers of a service: prod.scale api=3."""
    from gangway.operations import lifecycle

    return lifecycle.scale(session, services)


def debug(
    session: Session,
    service: Service,
    wait: A[bool, Option("start the program only once a debugger has attached", "w")] = False,
    off: A[bool, Option("restart it without the debugger")] = False,
    ports: A[str, Option("auto: move to free ports where these are taken", "p")] = "",
) -> None:
    """Let a debugger attach to a Python service, on port 5678; it reconnects after each reload."""
    from gangway.operations import debug, lifecycle

    wish = debug.Wish(service, wait=wait, off=off, auto_ports=lifecycle.auto_ports(ports))
    debug.debug(session, wish)


def profile(
    session: Session,
    service: Service,
    seconds: A[int, Option("how long to look")] = 10,
) -> None:
    """Record what a running Python service does, as a flame graph (an SVG)."""
    from gangway.operations import profiling

    profiling.profile(session, service, seconds=seconds)


def test_run(
    session: Session,
    *paths: A[str, Option("test files or folders; all where none is named")],
    expression: A[str, Option("only tests whose names match, as pytest's -k", "k")] = "",
    cov: A[bool, Option("measure coverage")] = False,
    keep: A[bool, Option("leave the stack up afterwards")] = False,
    after: After,
) -> int:
    """Run the apps' tests in a throw-away copy; what stands after -- goes to pytest."""
    from gangway.operations import testing

    return testing.run(session, testing.Wish(paths, expression, cov, keep, tuple(after)))


def init(session: Session) -> None:
    """Make production's secrets, strong and readable by nobody else; keeps those there are."""
    from gangway.operations import lifecycle

    lifecycle.init(session)


def scan(session: Session) -> int:
    """Look for known weaknesses: Dockerfiles, the model, locked packages and images."""
    from gangway.operations import scan as scanning

    return scanning.scan(session)


def offline(
    force: A[bool, Option("build even what is up to date")] = False,
    also: A[str, Option("one that is only built on demand: langflow")] = "",
) -> None:
    """Build the base images from Debian and PyPI packages, where no registry answers."""
    from gangway.operations import lifecycle

    lifecycle.offline_images(ROOT, force=force, also=also.split())


def stacks() -> None:
    """List the stacks: what each runs, where, and on which ports."""
    from gangway.operations import stacks

    print(stacks.show(stacks.load(ROOT)))


EVERYWHERE: list[Callable[..., Any]] = [
    up, down, ps, logs, exec_, shell, run, restart, build, rebuild, config, env, psql, redis,
    ratelimit, cache, migrate, makemigration, downgrade, history, seed, reset, stats, urls, graph,
    scale,
]  # fmt: skip
BY_KIND: dict[str, list[Callable[..., Any]]] = {
    "dev": [debug, profile],
    "test": [cli.named("run", test_run)],
    "prod": [init, scan],
}

ns = Collection(*cli.environments(ROOT, EVERYWHERE, BY_KIND))
ns.add_collection(cli.collection("images", [cli.task(offline)], "Base images."))
ns.add_task(cli.task(stacks))
ns = cli.install(program, ns)
