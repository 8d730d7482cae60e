"""What an app reads of its environment, what it is given today, and what becomes of that."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from gangway.operations.adoption.look import compose, django, envfiles, handing, workers
from gangway.operations.adoption.look.app import App
from gangway.operations.adoption.look.django import Settings, Site
from gangway.operations.adoption.look.gathered import Gathered
from gangway.operations.adoption.look.handing import Sorted, Surroundings
from gangway.operations.adoption.look.plain_values import KINDS, Given
from gangway.operations.adoption.look.reads import Read, environment_read, reads
from gangway.operations.adoption.look.tree import join
from gangway.operations.adoption.look.values import Values

_READING = r"environ|getenv|\benv\b|\bconfig\b|BaseSettings|get_env|env_var|dj_database_url"
# What libraries read by themselves.
_LIBRARIES = re.compile(
    r"(DJANGO|FLASK|CELERY|SENTRY|AWS|OTEL|GOOGLE|AZURE|HTTPS?|NO|SSL|REQUESTS|SQLALCHEMY|MPL)_"
)
_SETTINGS = "DJANGO_SETTINGS_MODULE"
_SIGNING = re.compile(r"SECRET_KEY|.*\.secret_key|.*\.config\[.SECRET_KEY.\]")


class Wishes:
    """The variables of an app, each part found when somebody asks for it."""

    def __init__(self, app: App) -> None:
        self.app = app

    @cached_property
    def reads(self) -> dict[str, list[Read]]:
        """Every place of the app that reads a variable, by name."""
        found: dict[str, list[Read]] = {}
        files = [path for path in self.app.files if not _is_server_config(path)]
        for source in self.app.sources.saying(_READING, files):
            for read in reads(source):
                found.setdefault(read.name, []).append(read)
        return found

    @cached_property
    def values(self) -> Values:
        """What the app's names are where no variable is set."""
        return Values(self.app.sources, self.app.place.roots, {})

    @cached_property
    def given(self) -> Mapping[str, list[Given]]:
        """Every value that some file has for a variable of the app."""
        found: dict[str, list[Given]] = {}
        for name, given in [*self._of_compose(), *self._of_files(), *self._of_image()]:
            found.setdefault(name, []).append(given)
        return found

    def _of_compose(self) -> Iterator[tuple[str, Given]]:
        for service in self.app.services.own:
            kind = _kind(service.file)
            for name, value in service.environment.items():
                yield name, Given(value, self.app.tree.line(service.file, name), kind)

    def _of_files(self) -> Iterator[tuple[str, Given]]:
        tree, entry = self.app.tree, self.app.entry
        named = [path for service in self.app.services.own for path in service.env_files]
        text = "".join(tree.text(path) for path in compose.compose_files(tree))
        only_compose = set(re.findall(r"\$\{?([A-Za-z_]\w*)", text)) - set(self.reads)
        folders = dict.fromkeys((entry.project, entry.root, ""))
        for path in envfiles.env_files(tree, folders, named):
            for each in envfiles.settings(tree, path):
                # What is only Compose's to put into its file isn't the app's.
                if each.name not in only_compose:
                    yield each.name, Given(each.value, each.where, each.kind, each.private)

    def _of_image(self) -> Iterator[tuple[str, Given]]:
        image = self.app.image
        for name, (value, where) in image.environment.items() if image else ():
            if name in self.reads or _LIBRARIES.match(name):
                yield name, Given(value, where)

    @cached_property
    def queue(self) -> bool:
        """Whether the app keeps a queue in Redis."""
        names = ("CELERY_BROKER_URL", "BROKER_URL", "CELERY_BROKER")
        brokers = [each.value for name in names for each in self.given.get(name, ()) if each.value]
        return workers.keeps_queue(self.app.lock, self.app.beside.lines, next(iter(brokers), ""))

    @cached_property
    def sorted(self) -> Sorted:
        """What becomes of each variable; Django's settings module isn't among them."""
        texts = [self.app.tree.text(path) for path in self.app.files]
        own = [start.service.name for start in self.app.own if start.service and start.server]
        return handing.sort(
            Surroundings(
                reads=self.reads,
                defaults=dict(self._defaults()),
                given=self.given,
                hosts=self.app.services.hosts,
                own=frozenset(own),
                lock=self.app.lock,
                queue=self.queue,
                asynchronous=any("create_async_engine" in text for text in texts),
                rewrites=any(re.search(r"replace\([^)]*postgres", text) for text in texts),
                signing=frozenset(self._signing()),
            )
        )

    def _defaults(self) -> Iterator[tuple[str, str]]:
        for name, every in self.reads.items():
            for read in every:
                value = self.values.default(read)
                if isinstance(value, str) and value:
                    yield name, value
                    break

    def _signing(self) -> Iterator[str]:
        """Yield the variables that the framework's secret key is read from."""
        for source in self.app.sources.saying(r"SECRET_KEY|secret_key", self.app.files):
            for node in source.nodes:
                if isinstance(node, ast.Assign) and any(
                    _SIGNING.fullmatch(ast.unparse(target)) for target in node.targets
                ):
                    found = [environment_read(each, source) for each in ast.walk(node.value)]
                    yield from (read.name for read in found if read)

    # -- Django -----------------------------------------------------------------------------------

    @cached_property
    def site(self) -> Site | None:
        """Its settings modules, None for what isn't Django."""
        app = self.app
        if app.manage is None:
            return None
        given: dict[str, str] = {"test": app.tests.settings} if app.tests.settings else {}
        for each in self.given.get(_SETTINGS, ()):
            # A Dockerfile has production's, an example and a Compose file development's.
            is_image = app.image is not None and each.where.startswith(f"{app.image.path}:")
            general = ("prod",) if is_image else ("dev", "test")
            for kind in (each.kind,) if each.kind else general:
                given.setdefault(kind, each.value)
        return django.site(app.sources, app.manage, app.place.roots, given)

    @cached_property
    def settings(self) -> dict[str, Settings]:
        """Django's settings, by the kind of environment."""
        if (site := self.site) is None:
            return {}
        found = {
            kind: django.settings_of(self.app.sources, site, kind, self.sorted.environment(kind))
            for kind in KINDS
        }
        return {kind: each for kind, each in found.items() if each}

    def modules(self) -> Gathered:
        """Add the settings modules to the variables; return where they were found."""
        found, site = Gathered(), self.site
        if site is None or not site.differ:
            return found
        variables = self.sorted.variables
        if len(set(site.settings.values())) == 1:
            variables[""][_SETTINGS] = site.settings["dev"]
        else:
            for kind, module in site.settings.items():
                variables[kind][_SETTINGS] = module
        for kind, module in site.settings.items():
            where = site.places.get(module, join(site.folder, "manage.py"))
            found.saw(f"settings in {kind}: {module}", where)
        return found


def _kind(path: str) -> str:
    name = path.rpartition("/")[2]
    return "dev" if "override" in name else envfiles.kind_of(name)


def _is_server_config(path: str) -> bool:
    """Say whether a file configures a server that isn't used here."""
    return bool(re.search(r"(^|/)(gunicorn|hypercorn|uvicorn|uwsgi)[\w.-]*\.py$", path))
