"""What `invoke --list` shows; nothing below imports Invoke.

A repository's `tasks.py` is `ns = namespace(__file__)`.
"""

from __future__ import annotations

from pathlib import Path

from invoke import Collection
from invoke.main import program

from gangway.tasks import (
    cli,
    copies,
    database,
    develop,
    execute,
    inspect,
    lifecycle,
    production,
    repository,
    test,
)

EVERYWHERE = (
    lifecycle.up, lifecycle.down, inspect.ps, inspect.logs,
    execute.exec_, execute.shell, execute.run, lifecycle.restart,
    lifecycle.build, lifecycle.rebuild, inspect.config, inspect.env,
    execute.psql, execute.redis, execute.ratelimit, execute.cache,
    database.migrate, database.makemigration, database.downgrade, database.history, database.seed,
    lifecycle.reset, inspect.stats, inspect.urls, inspect.graph, lifecycle.scale,
)  # fmt: skip
"""The tasks of every environment, in the order of `invoke --list`."""

# fmt: off
BY_KIND = {
    "dev": (
        develop.debug, develop.profile, database.upgrade_postgres,
        copies.snapshot, copies.snapshots, copies.restore, copies.clean, copies.pull,
    ),
    "test": (test.run,),
    "prod": (
        production.init, production.up, production.restart, production.scale, production.reset,
        production.build, production.rebuild, production.releases, production.sbom,
        production.deploy, production.rollback, production.rotate,
        production.backup, production.backups, production.restore,
        production.publish, production.bundle, production.pause, production.resume,
        production.move, production.nodes, production.join, production.drain,
        production.tls, production.scan, database.upgrade_postgres,
    ),
}
# fmt: on
"""Those that only environments of one kind have, or have in a way of their own."""


def namespace(file: str) -> Collection:
    """Return the tasks of the repository whose `tasks.py` is this file."""
    root = Path(file).resolve().parent
    found = cli.Names()
    for each in cli.environments(root, EVERYWHERE, BY_KIND):
        found.add_collection(each)
    images = [cli.task(repository.offline, root)]
    found.add_collection(cli.collection("images", images, "Base images."))
    found.add_task(cli.task(repository.stacks, root))
    return cli.install(program, found, root)
