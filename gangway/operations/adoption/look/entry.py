"""Which application is the one to serve, and from which folder it is imported."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from gangway.base.errors import GangwayError
from gangway.operations.adoption.found import Loss, Question
from gangway.operations.adoption.look import apps
from gangway.operations.adoption.look.apps import Application
from gangway.operations.adoption.look.programs import Server
from gangway.operations.adoption.look.python import Sources, module_name, python_2_line
from gangway.operations.adoption.look.pythons import python_2
from gangway.operations.adoption.look.tree import Tree, ancestors, join, within


@dataclass(frozen=True)
class Serving:
    """A server that somebody starts: what it serves, where that is said, from which folder."""

    server: Server
    where: str
    folder: str = ""
    """The folder of the repository that its module is looked for from, where that is known."""


@dataclass
class Entry:
    """The application to serve."""

    application: Application
    root: str
    """The folder that it is imported from."""
    project: str
    """The folder with its lock."""
    serving: Serving | None = None
    """The server that is started for it today."""
    losses: list[Loss] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    @property
    def target(self) -> str:
        """The target for a server: `config.wsgi:application`."""
        module = module_name(self.application.path, self.root)
        return f"{module}:{self.application.attribute}"


def choose(
    sources: Sources, servings: Iterable[Serving], app: str | None, named: str = ""
) -> Entry:
    """Choose the application: of the folder `app`, where the user names one.

    `named` is the entry point that FastAPI's own command line is told.

    Raises GangwayError for no application, for two in folders of their own, and for Python 2.
    """
    tree, started = sources.tree, list(servings)
    every = apps.applications(sources)
    inner = apps.mounted(sources, every)
    found = [each for each in every if (each.path, each.name) not in inner]
    if app is not None:
        folder = join(app)
        found = [each for each in found if within(folder, each.path)]
    if not found:
        raise _none(sources, app)
    groups: dict[str, list[Application]] = {}
    for each in found:
        groups.setdefault(_home(sources, each), []).append(each)
    matches = [
        (serving, each) for serving in started for each in found if _fits(tree, serving, each)
    ]
    home = _group(groups, {_home(sources, each) for _, each in matches})
    entry = _entry(
        sources, groups[home], [pair for pair in matches if pair[1] in groups[home]], named
    )
    for other, others in groups.items():
        if other != home:
            entry.losses.append(
                Loss(
                    f"another app: {others[0].framework} in {other or 'the top folder'}",
                    others[0].where,
                    "one app is adopted at a time; `gangway add service` adds it as a container",
                )
            )
    return entry


def _home(sources: Sources, application: Application) -> str:
    """Return the folder of an application's project."""
    folders = [each for each in apps.managers(sources) if within(each, application.path)]
    if application.framework == "Django" and folders:
        return apps.project_folder(sources.tree, max(folders, key=len))
    return apps.project_folder(sources.tree, sources.import_root(application.path))


def _group(groups: dict[str, list[Application]], served: set[str]) -> str:
    if len(groups) == 1:
        return next(iter(groups))
    if len(served) == 1:
        return next(iter(served))
    if len(groups) == 2 and "" in groups and not served:
        # A script at the top beside the one real project isn't another app.
        other = next(each for each in groups if each)
        if not {each.name for each in groups[""]} & {"app", "application", "server"}:
            return other
    raise _several(groups)


def _several(groups: dict[str, list[Application]]) -> GangwayError:
    """Return the error for apps in several folders, of which none is likelier than another."""
    names = [
        f"{each[0].framework} in {home or '.'} ({each[0].where})" for home, each in groups.items()
    ]
    homes = [home or "." for home in groups]
    return GangwayError(
        f"there are {_number(len(names))} apps: {'; '.join(names)}",
        fix=f"choose one: gangway adopt --app {homes[0]}, or --app {homes[1]}",
    )


def _number(count: int) -> str:
    return {2: "two", 3: "three", 4: "four"}.get(count, str(count))


def _none(sources: Sources, app: str | None) -> GangwayError:
    for source in sources.saying(r"(?m)^\s*(print\s+[\"'\w%]|except\s+[\w.]+\s*,)"):
        if line := python_2_line(source):
            return python_2(f"{source.path}:{line}", "a statement that only Python 2 knows")
    managers = apps.managers(sources)
    if managers:
        return GangwayError(
            "a Django project without asgi.py and wsgi.py: there is nothing to serve",
            where=join(managers[0], "manage.py"),
            fix="add the wsgi.py that django-admin startproject makes",
        )
    where = f" in {app}" if app is not None else ""
    return GangwayError(
        f"no app found{where}: nothing makes a FastAPI, Starlette, Flask, Dash or Django app",
        where=app,
        fix="run it in the folder of the repository that has the app, or start anew: gangway new",
    )


def _fits(tree: Tree, serving: Serving, application: Application) -> bool:
    """Say whether a server serves an application: its module's path ends like the target."""
    target = serving.server.target
    if not target:
        # Django's own server says nothing.
        is_site = serving.server.program == "manage.py" and application.framework == "Django"
        return is_site and within(serving.folder, application.path)
    module, _, attribute = target.partition(":")
    if attribute and attribute.removesuffix("()").partition("(")[0] != application.name:
        return False
    if module.endswith(".py") or "/" in module:
        wanted = join(module)
    else:
        wanted = module.replace(".", "/") + ".py"
    path = application.path
    if path == wanted or path.endswith(f"/{wanted}"):
        return True
    package = wanted.removesuffix(".py")
    if path == f"{package}/__init__.py" or path.endswith(f"/{package}/__init__.py"):
        return True
    # A package that takes the application in from one of its modules.
    for folder in ancestors(serving.folder):
        init = join(folder, package, "__init__.py")
        if tree.has(init) and within(join(folder, package), path):
            return bool(re.search(rf"import\b.*\b{re.escape(application.name)}\b", tree.text(init)))
    return False


def _entry(
    sources: Sources,
    found: list[Application],
    matches: list[tuple[Serving, Application]],
    named: str,
) -> Entry:
    questions: list[Question] = []
    serving: Serving | None = None
    if matches:
        serving, chosen = matches[0]
    elif named and (same := [each for each in found if _fits_name(each, named)]):
        chosen = same[0]
    else:
        found = sorted(found, key=lambda each: (apps.rank(each), each.path))
        chosen = _djangos(sources, found) or found[0]
        questions = _asked(sources, [each for each in found if each.framework != "Django"], chosen)
    if serving and not serving.server.target:
        # It says where, and not what.
        chosen, serving = _djangos(sources, found) or chosen, None
    if serving:
        root = _root(chosen, serving)
    elif chosen.framework == "Django":
        folders = [each for each in apps.managers(sources) if within(each, chosen.path)]
        root = max(folders, key=len) if folders else sources.import_root(chosen.path)
    else:
        root = sources.import_root(chosen.path)
    return Entry(chosen, root, _home(sources, chosen), serving, questions=questions)


def _fits_name(application: Application, target: str) -> bool:
    module, _, attribute = target.partition(":")
    path = module.replace(".", "/") + ".py"
    return application.path.endswith(path) and (not attribute or attribute == application.name)


def _root(application: Application, serving: Serving) -> str:
    module = serving.server.target.partition(":")[0]
    wanted = join(module) if "/" in module or module.endswith(".py") else module.replace(".", "/")
    path = application.path.removesuffix(".py").removesuffix("/__init__")
    wanted = wanted.removesuffix(".py")
    if path == wanted or path.endswith(f"/{wanted}"):
        return path[: len(path) - len(wanted)].rstrip("/")
    # The target is a package that takes it in.
    head = wanted.partition("/")[0]
    parts = path.split("/")
    return "/".join(parts[: parts.index(head)]) if head in parts else ""


def _djangos(sources: Sources, found: list[Application]) -> Application | None:
    """Return Django's asgi where something of the site needs it, else its wsgi."""
    django = [each for each in found if each.framework == "Django"]
    if not django:
        return None
    asgi = [each for each in django if each.interface == "asgi"]
    wsgi = [each for each in django if each.interface == "wsgi"]
    needs = any(True for _ in sources.saying(r"ASGI_APPLICATION\s*=|ProtocolTypeRouter\("))
    return (asgi if (needs and asgi) or not wsgi else wsgi)[0]


def _asked(sources: Sources, found: list[Application], chosen: Application) -> list[Question]:
    """Ask where two applications are equally likely.

    Raises GangwayError where they are imported from folders of their own: a target isn't enough.
    """
    equal = [each for each in found if apps.rank(each) == apps.rank(chosen)]
    if len(equal) < 2 or chosen not in equal:
        return []
    roots: dict[str, list[Application]] = {}
    for each in equal:
        roots.setdefault(sources.import_root(each.path), []).append(each)
    if len(roots) > 1:
        raise _several(roots)
    targets = [
        f"{module_name(each.path, sources.import_root(each.path))}:{each.attribute}"
        for each in equal
    ]
    return [
        Question("API_TARGET", "Which application is to be served?", tuple(targets), targets[0])
    ]
