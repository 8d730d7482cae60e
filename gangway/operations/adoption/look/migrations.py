"""How an app's database is brought up to date, and what puts the first rows in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.django import packages_with_migrations
from gangway.operations.adoption.look.locks.lock import Lock
from gangway.operations.adoption.look.programs import Job, is_waiting, job, server, unwrapped
from gangway.operations.adoption.look.python import Sources, is_aside
from gangway.operations.adoption.look.shell import Command, commands
from gangway.operations.adoption.look.tree import Tree, ancestors, join, parent, seen_from, within

NOTHING = "true"
"""What stands for no command at all."""
_PRESTART = ("prestart.sh", "pre_start.sh", "pre-start.sh", "migrate.sh", "release.sh")
_SEEDS = (
    "initial_data.py",
    "seed.py",
    "seeds.py",
    "seed_data.py",
    "populate_db.py",
    "create_initial_data.py",
)


@dataclass
class Migrations:
    """The commands, and where they come from."""

    migrate: str = NOTHING
    plan: str = ""
    """The tool's own command, where what migrates is a script around it."""
    seed: str = NOTHING
    make: str = ""
    downgrade: str = ""
    history: str = ""
    imports: str = ""
    tool: str = ""
    where: str = ""
    seed_where: str = ""
    env: str = ""
    """Alembic's env.py, which imports the app's models."""
    losses: list[Loss] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, str]:
        """The variables of the stack's file."""
        found = {
            "MIGRATE_COMMAND": self.migrate,
            "SEED_COMMAND": self.seed,
            "DB_IMPORTS": self.imports,
        }
        tools = {
            "MIGRATE_PLAN_COMMAND": self.plan,
            "MAKEMIGRATION_COMMAND": self.make,
            "DOWNGRADE_COMMAND": self.downgrade,
            "HISTORY_COMMAND": self.history,
        }
        return {**found, **{name: value for name, value in tools.items() if value}}


def find(
    sources: Sources,
    *,
    source: str,
    workdir: str,
    lock: Lock,
    django: str | None,
    flask: str,
    started: Iterable[tuple[Job, str]],
) -> Migrations:
    """Return how the app's database is migrated.

    `source` and `workdir` are its folders, `django` the folder of manage.py, `flask` the target of
    a Flask app, `started` what containers run before the server today.
    """
    tree = sources.tree
    if django is not None:
        found = _django(sources, django)
    elif (
        flask
        and lock.has("flask-migrate", "flask-alembic")
        and (ini := _flask(tree, source, workdir))
    ):
        found = _flask_migrate(flask, ini, workdir)
    elif ini := _alembic(tree, source, workdir):
        found = _with_alembic(tree, ini, workdir)
    else:
        found = Migrations()
        _others(lock, found)
    _before(tree, found, source, workdir, started)
    _seed(sources, found, source, workdir, django)
    return found


def _django(sources: Sources, folder: str) -> Migrations:
    labels = packages_with_migrations(sources, folder)
    label = f"{labels[0]} " if len(labels) == 1 else ""
    return Migrations(
        migrate="python manage.py migrate --no-input",
        make="python manage.py makemigrations --name {name}",
        downgrade=f"python manage.py migrate {label}{{revision}}",
        history="python manage.py showmigrations",
        imports="django.core.management django.db.migrations.executor",
        tool="Django",
        where=join(folder, "manage.py"),
    )


def _alembic(tree: Tree, source: str, workdir: str) -> str:
    """Return the alembic.ini to take: in the working directory, above it, or below the source."""
    for folder in ancestors(workdir):
        if within(source, folder) and tree.has(join(folder, "alembic.ini")):
            return join(folder, "alembic.ini")
    found = [each for each in tree.named("alembic.ini", under=source) if not is_aside(each)]
    return found[0] if found else ""


def _with_alembic(tree: Tree, ini: str, workdir: str) -> Migrations:
    seen = seen_from(workdir, ini)
    option = "" if seen == "alembic.ini" else f" -c {seen}"
    found = Migrations(
        migrate=f"alembic{option} upgrade head",
        make=f"alembic{option} revision --autogenerate -m {{message}}",
        downgrade=f"alembic{option} downgrade {{revision}}",
        history=f"alembic{option} history --indicate-current",
        imports="alembic.config alembic.command",
        tool="Alembic",
        where=ini,
    )
    match = re.search(r"^script_location\s*=\s*(.+)$", tree.text(ini), re.MULTILINE)
    location = match[1].strip() if match else "alembic"
    here = parent(ini)
    folder = (
        join(here, location.replace("%(here)s/", ""))
        if "%(here)s" in location
        else join(workdir, location)
    )
    if not tree.has(join(folder, "env.py")):
        elsewhere = join(here, location)
        if tree.has(join(elsewhere, "env.py")) and here != workdir:
            found.losses.append(
                Loss(
                    f"script_location = {location} is seen from {here or 'the top folder'}",
                    tree.line(ini, "script_location"),
                    "write it as %(here)s/..., so that it holds from every working directory",
                )
            )
        folder = elsewhere
    found.env = join(folder, "env.py")
    _address(tree, ini, found)
    return found


def _address(tree: Tree, ini: str, found: Migrations) -> None:
    """Name a database's address that stands in alembic.ini and that env.py takes from there."""
    match = re.search(r"^sqlalchemy\.url\s*=\s*(\S+)", tree.text(ini), re.MULTILINE)
    if not match or match[1].startswith(("driver://", "%(")):
        return
    env = tree.text(found.env)
    if re.search(
        r"set_main_option|environ|getenv|settings|config\.get\(|create_(async_)?engine|url\s*=", env
    ):
        if (
            not re.search(r"get_main_option\(\s*[\"']sqlalchemy\.url", env)
            or "set_main_option" in env
        ):
            return
        if re.search(r"environ|getenv|settings", env):
            return
    found.losses.append(
        Loss(
            "the database's address stands in alembic.ini",
            tree.line(ini, "sqlalchemy.url"),
            'in env.py: config.set_main_option("sqlalchemy.url", os.environ["DATABASE_URL"])',
        )
    )


def _flask(tree: Tree, source: str, workdir: str) -> str:
    for folder in dict.fromkeys((workdir, source)):
        for name in ("migrations/alembic.ini", "migrations/env.py"):
            if tree.has(path := join(folder, name)):
                return path
    found = [
        each for each in tree.named("env.py", under=source) if parent(each).endswith("migrations")
    ]
    return found[0] if found else ""


def _flask_migrate(target: str, path: str, workdir: str) -> Migrations:
    app = target.removesuffix("()")
    folder = seen_from(workdir, parent(path))
    option = "" if folder == "migrations" else f" --directory {folder}"
    start = f"flask --app {app} db"
    return Migrations(
        migrate=f"{start} upgrade{option}",
        make=f"{start} migrate{option} -m {{message}}",
        downgrade=f"{start} downgrade{option} {{revision}}",
        history=f"{start} history{option} --indicate-current",
        imports="flask_migrate",
        tool="Flask-Migrate",
        where=path,
        env=join(parent(path), "env.py"),
    )


def _others(lock: Lock, found: Migrations) -> None:
    for package, tool, command in (
        ("aerich", "Aerich", "aerich upgrade"),
        ("piccolo", "Piccolo", "piccolo migrations forwards all"),
        ("yoyo-migrations", "yoyo", ""),
    ):
        if lock.has(package):
            found.tool, found.where = tool, lock.path
            if command:
                found.migrate = command
            else:
                found.losses.append(
                    Loss(
                        f"migrations by {tool}",
                        lock.path,
                        "say how they are run in MIGRATE_COMMAND",
                    )
                )


def _before(
    tree: Tree,
    found: Migrations,
    source: str,
    workdir: str,
    started: Iterable[tuple[Job, str]],
) -> None:
    """Take a script that prepares the database today, or the commands of the entrypoint."""
    for folder in dict.fromkeys((workdir, source)):
        for name in _PRESTART:
            for path in (
                join(folder, "scripts", name),
                join(folder, name),
                join(folder, "bin", name),
            ):
                if tree.has(path) and _prepares(tree, path):
                    found.plan = found.migrate if found.migrate != NOTHING else ""
                    found.migrate = f"bash {seen_from(workdir, path)}"
                    found.where = path
                    return
    extra = []
    for each, where in started:
        if each.command.perhaps:
            continue
        if each.kind == "seed" and each.command.text not in extra:
            extra.append(each.command.text)
            found.seed_where = where
        elif each.kind == "migrate" and found.migrate == NOTHING:
            found.migrate, found.where = each.command.text, where
    if extra:
        # What is run at every start today goes with the migrations: production needs it, too.
        parts = [part for part in (found.migrate, *extra) if part != NOTHING]
        found.migrate = " && ".join(parts)


def _prepares(tree: Tree, path: str) -> bool:
    """Say whether a script migrates, and starts no server at its end."""
    migrates = False
    for command in commands(tree.text(path)):
        for each in unwrapped(command):
            if server(each):
                return False
            known = job(each)
            migrates = migrates or bool(known and known.kind == "migrate")
    return migrates


def understood(every: Iterable[tuple[Command, str]]) -> Iterable[tuple[Command, str]]:
    """Yield those commands of a start that nothing here stands for."""
    for command, where in every:
        known = job(command)
        if server(command) or is_waiting(command) or (known and known.kind != "python"):
            continue
        yield command, where


def _seed(
    sources: Sources, found: Migrations, source: str, workdir: str, django: str | None
) -> None:
    tree = sources.tree
    if django is not None:
        for path in tree.below(django):
            match = re.search(
                r"/management/commands/((?:seed|populate_db|load_initial|load_demo|loaddemo|create_demo|initial_data|demo_data)\w*)\.py$",
                path,
            )
            if match and not is_aside(path):
                found.seed, found.seed_where = f"python manage.py {match[1]}", path
                return
        return
    text = found.migrate + " ".join(
        tree.text(join(workdir, word)) for word in found.migrate.split() if word.endswith(".sh")
    )
    for path in tree.named(*_SEEDS, under=source):
        if is_aside(path) or path not in sources.files or "__main__" not in tree.text(path):
            continue
        name = path.rpartition("/")[2].removesuffix(".py")
        if name in text:
            return
        found.seed, found.seed_where = f"python {seen_from(workdir, path)}", path
        return
