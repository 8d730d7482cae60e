"""All that is found in a repository, put together: the facts about an app, and what is lost."""

from __future__ import annotations

import re
from pathlib import Path

from gangway.operations.adoption.found import Found, Question
from gangway.operations.adoption.look import (
    building,
    compose,
    lost,
    naming,
    outside,
    pythons,
    services,
    size,
    starts,
    stores,
    web,
)
from gangway.operations.adoption.look.app import App
from gangway.operations.adoption.look.gathered import Gathered
from gangway.operations.adoption.look.locks import pyproject
from gangway.operations.adoption.look.python import python_2_line
from gangway.operations.adoption.look.tree import Tree
from gangway.operations.adoption.look.wishes import Wishes

_QUESTIONS = 3


def look(root: Path, app: str | Path | None = None) -> Found:
    """Return what is in the repository at `root`; nothing is written, imported or run.

    `app` is the folder of the app as seen from there, where there are several. Raises GangwayError
    for no app, several apps, an app on Python 2, a lock that doesn't match its project, and a
    Python that there is no image for.
    """
    return found(App(Tree(root), str(app) if app is not None else None))


def found(app: App) -> Found:
    """Return all about an app; raises GangwayError as `look` does."""
    _refuse_python_2(app)
    wishes = Wishes(app)
    whole = Gathered(dict(app.place.facts), losses=list(app.entry.losses))
    modules = wishes.modules()
    whole.add(web.served(app, wishes))
    whole.add(outside.outside(app, wishes))
    whole.add(building.libraries(app))
    whole.add(building.build(app, wishes))
    whole.add(stores.migrated(app))
    whole.add(stores.handed(app, wishes))
    whole.add(modules)
    whole.add(_tests(app))
    whole.evidence += app.beside.evidence
    stay = services.stay(app.tree, app.services)
    for each in stay.foreign:
        where = next(other.where for other in app.services.foreign if other.name == each.name)
        whole.saw(f"the service {each.name} stays in its file", where)
    whole.losses += [*app.beside.losses, *app.services.losses, *stay.losses]
    whole.losses += [*lost.of_image(app), *lost.of_services(app, wishes)]
    whole.losses += size.losses(app.tree, app.place.source)
    name = _name(app)
    asked = [] if name else [Question("PROJECT", "What is the project to be called?", (), "app")]
    return Found(
        name=name or "app",
        about=_about(app),
        facts={key: value for key, value in whole.facts.items() if value},
        programs=tuple(app.beside.programs.values()),
        variables={key: value for key, value in wishes.sorted.variables.items() if value},
        secrets=wishes.sorted.secrets,
        foreign=tuple(stay.foreign),
        queue=wishes.queue,
        evidence=tuple(dict.fromkeys(whole.evidence)),
        losses=tuple(dict.fromkeys(whole.losses)),
        questions=tuple([*asked, *app.entry.questions][:_QUESTIONS]),
        lock_missing=app.lock.missing,
    )


def _refuse_python_2(app: App) -> None:
    for path in app.files:
        if line := python_2_line(app.sources[path]):
            raise pythons.python_2(f"{path}:{line}", "a statement that only Python 2 knows")


def _tests(app: App) -> Gathered:
    tests = app.tests
    result = Gathered({"TEST_COMMAND": tests.command, "TEST_PATHS": tests.paths})
    if tests.about:
        result.saw(f"tests by {tests.about}", tests.where)
    return result


def _name(app: App) -> str:
    """Return a name for the project; empty where nothing makes one."""
    tree = app.tree
    texts = [tree.text(path) for path in compose.compose_files(tree)]
    names = [name for text in texts for name in re.findall(r"(?m)^name:\s*[\"']?([\w.-]+)", text)]
    names.append(starts.values_for(tree, "").get("COMPOSE_PROJECT_NAME", ""))
    tables = [pyproject.table_of(tree, folder) for folder in (app.entry.project, "")]
    names += [str(table.get("project", {}).get("name", "")) for table in tables]
    return naming.choose(names, tree.root.resolve().name)


def _about(app: App) -> str:
    version = ".".join(app.lock.versions.get(app.framework.lower(), "").split(".")[:2])
    kind = "site" if app.framework == "Django" else "app"
    words = ["a", app.framework, version, kind]
    if app.celery or app.lock.has("celery"):
        words += ["with", "Celery"]
    elif app.lock.has("rq", "django-rq"):
        words += ["with", "RQ"]
    locked = "not locked yet" if app.lock.missing else f"locked by {app.lock.by}"
    return f"{' '.join(filter(None, words))}, {locked}"
