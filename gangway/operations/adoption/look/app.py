"""The app in a repository: its entry point, its folders, its lock, its image, its services."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property

from gangway.operations.adoption.look import (
    assets,
    compose,
    entry,
    place,
    services,
    starts,
    testing,
    workers,
)
from gangway.operations.adoption.look.assets import Assets
from gangway.operations.adoption.look.compose import Service
from gangway.operations.adoption.look.entry import Entry, Serving
from gangway.operations.adoption.look.image import Image
from gangway.operations.adoption.look.locks import finding, pyproject
from gangway.operations.adoption.look.locks.lock import Lock
from gangway.operations.adoption.look.place import Place
from gangway.operations.adoption.look.programs import Server
from gangway.operations.adoption.look.python import Sources
from gangway.operations.adoption.look.services import Services
from gangway.operations.adoption.look.starts import Start, Starts
from gangway.operations.adoption.look.testing import Tests
from gangway.operations.adoption.look.tree import Tree, ancestors, join, parent, seen_from, within
from gangway.operations.adoption.look.workers import Beside

# Folders beside an app that its Compose files are kept in.
_DEPLOYS = (
    "docker",
    "deploy",
    "deployment",
    "compose",
    "infra",
    ".docker",
    "docker-compose",
    "ops",
)


class App:
    """The app of a repository, each part of it found when somebody asks for it.

    `chosen` is the folder that the user named, where there are several apps.
    """

    def __init__(self, tree: Tree, chosen: str | None = None) -> None:
        self.tree, self.chosen = tree, chosen
        self.sources = Sources(tree)

    # -- what there is in the repository --------------------------------------------------------

    @cached_property
    def all_services(self) -> list[Service]:
        """The services of all Compose files, each as its file and the base leave it."""
        found: list[Service] = []
        for path in compose.compose_files(self.tree):
            values = starts.values_for(self.tree, parent(path))
            found += compose.load(self.tree, path, values)[0]
        return list(_overridden(found))

    @cached_property
    def starts(self) -> Starts:
        """All that is started today, of any app."""
        return starts.read(self.tree, self.all_services)

    @cached_property
    def entry(self) -> Entry:
        """The application to serve; see `entry.choose` for the errors."""
        servings = [
            Serving(self._with_target(known[0], start), known[1], start.folder)
            for start in self.starts.every
            if (known := start.server)
        ]
        return entry.choose(self.sources, servings, self.chosen, self._of_fastapi)

    def _with_target(self, server: Server, start: Start) -> Server:
        """Put in what a server takes from FLASK_APP, or from pyproject.toml."""
        if server.target:
            return server
        if server.program == "flask" and start.image:
            return replace(server, target=start.image.environment.get("FLASK_APP", ("", ""))[0])
        return replace(server, target=self._of_fastapi) if server.program == "fastapi" else server

    @cached_property
    def _of_fastapi(self) -> str:
        """The entry point that a pyproject.toml tells FastAPI's command line."""
        for path in self.tree.named("pyproject.toml"):
            tools = pyproject.table_of(self.tree, parent(path)).get("tool", {})
            if named := tools.get("fastapi", {}).get("entrypoint"):
                return str(named)
        return ""

    # -- where it is ----------------------------------------------------------------------------

    @property
    def framework(self) -> str:
        """The framework: `Django`, `FastAPI`."""
        return self.entry.application.framework

    @property
    def manage(self) -> str | None:
        """The folder of manage.py, None for what isn't Django."""
        return self.entry.root if self.framework == "Django" else None

    @cached_property
    def lock(self) -> Lock:
        """Its lock; see `finding.find` for the errors."""
        installed = self.image.requirements if self.image else []
        return finding.find(self.tree, self.entry.project, installed)

    @cached_property
    def assets(self) -> Assets:
        """What Node builds into it."""
        return assets.find(self.tree, self.entry.project, self.image.assets if self.image else [])

    @cached_property
    def place(self) -> Place:
        """Its folders."""
        return place.find(
            self.tree,
            project=self.entry.project,
            root=self.entry.root,
            manage=self.manage,
            image=self.image,
            beside=self.lock.beside,
            assets=self.assets.folder if self.assets.found else None,
        )

    @cached_property
    def inside(self) -> tuple[str, ...]:
        """The Python files in its folder, those of its other programs among them."""
        source = self.place.source
        return tuple(each for each in self.sources.files if within(source, each))

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The Python files that it is made of: those that its programs come to import."""
        if (manage := self.manage) is not None:
            # Django finds apps, commands and templates' tags by itself.
            return tuple(each for each in self.inside if within(manage, each))
        begin = [self.entry.application.path, self.migrations_env, *self._begun()]
        reached = self.sources.reached(filter(None, begin), self.place.roots)
        package = parent(self.entry.application.path)
        if package != self.entry.root:
            first = seen_from(self.entry.root, package).partition("/")[0]
            top = join(self.entry.root, first)
            reached |= {each for each in self.inside if within(top, each)}
        return tuple(sorted(reached))

    @cached_property
    def migrations_env(self) -> str:
        """Alembic's env.py, nothing where there is none."""
        for path in self.tree.named("env.py", under=self.place.source):
            if "alembic" in self.tree.text(path) or "migrat" in path:
                return path
        return ""

    def _begun(self) -> Iterator[str]:
        """Yield the files that its other programs begin with."""
        for start in self.own:
            for job, _ in start.jobs:
                for word in (job.app, *job.command.words[1:3]):
                    module = word.partition(":")[0]
                    for name in (module, module.rpartition(".")[0]):
                        if name and (path := self.sources.module_file(self.place.roots, name)):
                            yield path
                    if word.endswith(".py"):
                        yield join(self.place.workdir, word)

    # -- what is started of it ------------------------------------------------------------------

    @cached_property
    def services(self) -> Services:
        """The services that are about it, sorted."""
        project = self.entry.project
        above = list(ancestors(project))
        folders = {*above, *(join(each, name) for each in above for name in _DEPLOYS)}
        near = [
            each
            for each in self.all_services
            if each.folder in folders or (project and within(project, each.folder))
        ]
        monitors = {
            (start.service.name, start.service.file)
            for start in self.starts.every
            if start.service and any(job.kind == "flower" for job, _ in start.jobs)
        }
        texts = self.starts.dockerfiles
        return services.sort(self.tree, near, texts, holds=self._is_in, monitors=monitors)

    def _is_in(self, service: Service) -> bool:
        """Say whether the app is in a service's image, or mounted there."""
        path, name = self.entry.application.path, service.dockerfile or ""
        if re.search(r"(^|/|\.)(docs?)(/|\.|$)", name):
            return False
        image = self.starts.images.get(name)
        if image and image.holds(path):
            return True
        mounts = [source for source, _ in service.mounts if source.startswith(".")]
        return any(within(join(service.folder, source), path) for source in mounts)

    @cached_property
    def image(self) -> Image | None:
        """What the Dockerfile of its production says."""
        return starts.image_for(self.starts, self.entry.project, self.services.own)

    @cached_property
    def own(self) -> list[Start]:
        """What is started of it: what production starts first, development's last."""
        mine = {(each.name, each.file) for each in self.services.own}
        found = [
            start
            for start in self.starts.every
            if (start.service and (start.service.name, start.service.file) in mine)
            or (not start.service and (start.image is None or start.image is self.image))
        ]
        return sorted(
            found, key=lambda each: (starts.rank(each.where.rpartition(":")[0])[:2], not each.name)
        )

    @cached_property
    def celery(self) -> workers.Celery | None:
        """Its instance of Celery."""
        return workers.celery_app(self.sources, self.inside, self.entry.root)

    @cached_property
    def beside(self) -> Beside:
        """What runs beside the web service."""
        sources, inside = self.sources, self.inside
        jobs = [
            (start.name, job, where)
            for start in self.own
            if start.name and not start.server
            for job, where in start.jobs
        ]
        in_database = workers.scheduler_in_database(sources, inside)
        found = workers.started(jobs, in_database=in_database)
        schedule = workers.schedule(sources, inside)
        workers.made_up(found, self.celery, schedule, in_database=in_database)
        arq = self.lock.has("arq") and workers.worker_settings(sources, inside, self.entry.root)
        workers.of_library(found, self.lock, arq or "", django=self.manage is not None)
        return found

    @cached_property
    def tests(self) -> Tests:
        """How its tests are run."""
        return testing.find(
            self.tree,
            source=self.place.source,
            workdir=self.place.workdir,
            lock=self.lock,
            django=self.manage,
        )


def _overridden(every: Iterable[Service]) -> Iterator[Service]:
    """Yield services, those of a later file with what the base says of them put in.

    What is neither built nor has an image then is no service of its own.
    """
    known = list(every)
    bases = {(each.folder, each.name): each for each in known if compose.is_base(each.file)}
    for service in known:
        base = bases.get((service.folder, service.name), service)
        content = service.content
        if base is not service:
            content = compose.merged(base.content, content)
        if content.get("image") or content.get("build"):
            yield replace(service, content=content)
