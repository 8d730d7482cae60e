"""All that is found in a repository, put together: the facts about an app, and what is lost."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from gangway.operations.adoption.found import Found, Loss, Program, Question
from gangway.operations.adoption.look import (
    assets,
    compose,
    django,
    entry,
    envfiles,
    handing,
    health,
    locks,
    migrations,
    naming,
    place,
    programs,
    pythons,
    routes,
    services,
    size,
    starts,
    testing,
    workers,
)
from gangway.operations.adoption.look.libraries import Needs, needs
from gangway.operations.adoption.look.python import Source, Sources, python_2_line
from gangway.operations.adoption.look.reads import Read, environment_read, reads
from gangway.operations.adoption.look.static import Static, build_environment, static_files
from gangway.operations.adoption.look.starts import Start, Starts
from gangway.operations.adoption.look.tree import Tree, ancestors, join, parent, seen_from, within
from gangway.operations.adoption.look.values import Values

_KINDS = ("dev", "test", "prod")
# What libraries read by themselves.
_LIBRARIES = re.compile(
    r"(DJANGO|FLASK|CELERY|SENTRY|AWS|OTEL|GOOGLE|AZURE|HTTPS?|NO|SSL|REQUESTS|SQLALCHEMY|MPL)_"
)
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
_CONNECTS = r"(?i)engine\(|connect\(|database|db_ur|sqlalchemy|\bdsn\b|db\s*="
_WRITES = (
    "where the app writes there, name the folder in API_MEDIA: one volume, in every environment"
)
_UNUSED_BY_US = (
    "cap_add",
    "devices",
    "extra_hosts",
    "ipc",
    "network_mode",
    "pid",
    "privileged",
    "ulimits",
)


def look(root: Path, *, app: str | None = None) -> Found:
    """Return what is in the repository at `root`; nothing is written, imported or run.

    `app` is the folder of the app, where there are several. Raises GangwayError for no app, several
    apps, an app on Python 2, a lock that doesn't match its project, and a Python without an image.
    """
    return _Look(Tree(root), app).found()


class _Look:
    """One look at one repository, each part found when another asks for it."""

    def __init__(self, tree: Tree, app: str | None) -> None:
        self.tree, self.app = tree, app
        self.sources = Sources(tree)
        self.losses: list[Loss] = []
        self.evidence: list[tuple[str, str]] = []

    # -- the app ------------------------------------------------------------------------------------

    @cached_property
    def compose_services(self) -> list[compose.Service]:
        """The services of all Compose files, one that an override changes as the override leaves it."""
        found: list[compose.Service] = []
        for path in compose.compose_files(self.tree):
            values = starts.values_for(self.tree, parent(path))
            found += compose.load(self.tree, path, values)[0]
        return list(_overridden(found))

    @cached_property
    def starts(self) -> Starts:
        return starts.read(self.tree, self.compose_services)

    @cached_property
    def entry(self) -> entry.Entry:
        servings = []
        for start in self.starts.every:
            if start.server:
                known, where = start.server
                servings.append(
                    entry.Serving(self._named_target(known, start), where, start.folder)
                )
        return entry.choose(self.sources, servings, self.app, self._fastapi)

    def _named_target(self, server: programs.Server, start: Start) -> programs.Server:
        """Put in what a server takes from FLASK_APP, or from Django's settings."""
        if server.target or server.program not in ("flask", "manage.py", "fastapi"):
            return server
        target = ""
        if server.program == "flask" and start.image:
            target = start.image.environment.get("FLASK_APP", ("", ""))[0]
        if server.program == "fastapi":
            target = self._fastapi
        if not target:
            return server
        return programs.Server(server.program, target, server.interface, server.port)

    @cached_property
    def _fastapi(self) -> str:
        """The entry point that a pyproject.toml tells FastAPI's command line."""
        for path in self.tree.named("pyproject.toml"):
            table = locks.project_table(self.tree, parent(path)).get("tool", {}).get("fastapi", {})
            if named := table.get("entrypoint"):
                return str(named)
        return ""

    @cached_property
    def manage(self) -> str | None:
        """The folder of manage.py, for a Django app."""
        if self.entry.application.framework != "Django":
            return None
        return self.entry.root

    @cached_property
    def near(self) -> list[compose.Service]:
        """The services of the Compose files that are about this app: above it, in it, beside it."""
        project = self.entry.project
        folders = {
            *ancestors(project),
            *(join(each, name) for each in ancestors(project) for name in _DEPLOYS),
        }
        return [
            each
            for each in self.compose_services
            if each.folder in folders or (project and within(project, each.folder))
        ]

    @cached_property
    def services(self) -> services.Services:
        monitors = {
            (start.service.name, start.service.file)
            for start in self.starts.every
            if start.service and any(job.kind == "flower" for job, _ in start.jobs)
        }
        return services.sort(
            self.tree,
            self.near,
            self.starts.dockerfiles,
            holds=self._holds_app,
            monitors=monitors,
        )

    def _holds_app(self, service: compose.Service) -> bool:
        """Say whether a service runs from an image with the app in it, or with it mounted."""
        path = self.entry.application.path
        name = service.dockerfile or ""
        if re.search(r"(^|/|\.)(docs?)(/|\.|$)", name):
            return False
        image = self.starts.images.get(name)
        if image and image.holds(path):
            return True
        mounts = [source for source, _ in service.mounts if source.startswith(".")]
        return any(within(join(service.folder, source), path) for source in mounts)

    @cached_property
    def image(self) -> Any:
        return starts.image_for(self.starts, self.entry.project, self.services.own)

    @cached_property
    def lock(self) -> locks.Lock:
        installed = self.image.requirements if self.image else []
        return locks.find(self.tree, self.entry.project, installed)

    @cached_property
    def assets(self) -> assets.Assets:
        built = self.image.assets if self.image else []
        return assets.find(self.tree, self.entry.project, built, others=())

    @cached_property
    def place(self) -> place.Place:
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
    def own_starts(self) -> list[Start]:
        """What is started of the app itself."""
        own = {(each.name, each.file) for each in self.services.own}
        found = []
        for start in self.starts.every:
            if start.service:
                if (start.service.name, start.service.file) in own:
                    found.append(start)
            elif start.image is None or start.image is self.image:
                found.append(start)
        # What production starts comes first, and what only development starts last.
        return sorted(
            found, key=lambda each: (starts.rank(each.where.rpartition(":")[0])[:2], not each.name)
        )

    # -- Django ---------------------------------------------------------------------------------------

    @cached_property
    def site(self) -> django.Site | None:
        if self.manage is None:
            return None
        given: dict[str, str] = {}
        for each in self.given.get("DJANGO_SETTINGS_MODULE", ()):
            # A Dockerfile has production's, an example and a Compose file development's.
            is_image = bool(self.image) and each.where.startswith(f"{self.image.path}:")
            general = ("prod",) if is_image else ("dev", "test")
            for kind in [each.kind] if each.kind else general:
                given.setdefault(kind, each.value)
        if self.tests_settings:
            given["test"] = self.tests_settings
        return django.site(self.sources, self.manage, self.place.roots, given)

    @cached_property
    def tests_settings(self) -> str:
        found = testing.find(
            self.tree,
            source=self.place.source,
            workdir=self.place.workdir,
            lock=self.lock,
            django=self.manage,
        )
        return found.settings

    def settings(self, kind: str) -> django.Settings | None:
        """Return Django's settings in a kind of environment."""
        return self._settings.get(kind)

    @cached_property
    def _settings(self) -> dict[str, django.Settings | None]:
        site = self.site
        if site is None:
            return {}
        return {
            kind: django.settings_of(self.sources, site, kind, self.sorted.environment(kind))
            for kind in _KINDS
        }

    # -- the sources ----------------------------------------------------------------------------------

    @cached_property
    def files(self) -> frozenset[str]:
        """The Python files that the app is made of."""
        inside = [each for each in self.sources.files if within(self.place.source, each)]
        if self.manage is not None:
            return frozenset(
                each for each in inside if within(self.manage, each) and not _is_server_config(each)
            )
        begin = [self.entry.application.path, self.migrations_env, *self._jobs_files()]
        reached = self.sources.reached(filter(None, begin), self.place.roots)
        package = parent(self.entry.application.path)
        if package == self.entry.root:
            return reached
        top = join(self.entry.root, seen_from(self.entry.root, package).partition("/")[0])
        return reached | frozenset(each for each in inside if within(top, each))

    def _jobs_files(self) -> Iterator[str]:
        """Yield the files that the app's other programs begin with."""
        for start in self.own_starts:
            for job, _ in start.jobs:
                words = job.command.words
                for word in (job.app, *words[1:3]):
                    module = word.partition(":")[0]
                    path = self.sources.module_file(self.place.roots, module) if module else None
                    if path is None and "." in module:
                        path = self.sources.module_file(self.place.roots, module.rpartition(".")[0])
                    if path:
                        yield path
                    elif self.tree.has(script := join(self.place.workdir, word)) and word.endswith(
                        ".py"
                    ):
                        yield script

    @cached_property
    def migrations_env(self) -> str:
        """Alembic's env.py."""
        for path in self.tree.named("env.py", under=self.place.source):
            if "alembic" in self.tree.text(path) or "migrat" in path:
                return path
        return ""

    @cached_property
    def reads(self) -> dict[str, list[Read]]:
        found: dict[str, list[Read]] = {}
        words = r"environ|getenv|\benv\b|\bconfig\b|BaseSettings|get_env|env_var|dj_database_url"
        for source in self.sources.saying(words, sorted(self.files)):
            if _is_server_config(source.path):
                continue
            for read in reads(source):
                found.setdefault(read.name, []).append(read)
        return found

    @cached_property
    def values(self) -> Values:
        return Values(self.sources, self.place.roots, {})

    @cached_property
    def given(self) -> dict[str, list[handing.Given]]:
        """Every value that some file has for a variable of the app."""
        return dict(self._given())

    def _given(self) -> Mapping[str, list[handing.Given]]:
        found: dict[str, list[handing.Given]] = {}

        def add(name: str, value: str, where: str, kind: str, *, private: bool = False) -> None:
            found.setdefault(name, []).append(handing.Given(value, where, kind, private))

        named: list[str] = []
        for service in self.services.own:
            kind = _compose_kind(service.file)
            named += service.env_files
            for name, value in service.environment.items():
                add(name, value, self.tree.line(service.file, f"{name}"), kind)
        interpolated = self._interpolated()
        folders = list(dict.fromkeys((self.entry.project, self.entry.root, "")))
        for path in envfiles.env_files(self.tree, folders, named):
            for each in envfiles.settings(self.tree, path):
                # What is only Compose's to put into its file isn't the app's.
                if each.name in interpolated and each.name not in self._read_names:
                    continue
                add(each.name, each.value, each.where, each.kind, private=each.private)
        if self.image:
            for name, (value, where) in self.image.environment.items():
                if name in self.reads or _LIBRARIES.match(name):
                    add(name, value, where, "")
        return found

    @cached_property
    def _read_names(self) -> frozenset[str]:
        return frozenset(self.reads)

    def _interpolated(self) -> frozenset[str]:
        text = "".join(self.tree.text(path) for path in compose.compose_files(self.tree))
        return frozenset(re.findall(r"\$\{?([A-Za-z_]\w*)", text))

    @cached_property
    def sorted(self) -> handing.Sorted:
        defaults: dict[str, str] = {}
        for name, every in self.reads.items():
            for read in every:
                source = self.sources[read.path]
                value = self.values.of(read.default, source) if read.default is not None else None
                if isinstance(value, str) and value:
                    defaults.setdefault(name, value)
        texts = [self.tree.text(path) for path in self.files]
        around = handing.Surroundings(
            reads=self.reads,
            defaults=defaults,
            given=self.given,
            hosts=self.services.hosts,
            own=frozenset(each.name for each in self.services.own if _serves(each, self.starts)),
            lock=self.lock,
            queue=self.queue,
            asynchronous=any("create_async_engine" in text for text in texts),
            rewrites=any(re.search(r"replace\([^)]*postgres", text) for text in texts),
            signing=frozenset(self._signing()),
        )
        return handing.sort(around)

    def _signing(self) -> Iterator[str]:
        """Yield the variables that SECRET_KEY is read from."""
        for source in self.sources.saying(r"SECRET_KEY|secret_key", sorted(self.files)):
            for node in source.nodes:
                if not isinstance(node, ast.Assign) or len(node.targets) != 1:
                    continue
                target = ast.unparse(node.targets[0])
                if target == "SECRET_KEY" or re.search(
                    r"\.secret_key$|\.config\[.SECRET_KEY.\]$", target
                ):
                    for inner in ast.walk(node.value):
                        if read := environment_read(inner, source):
                            yield read.name

    # -- beside the web service -------------------------------------------------------------------------

    @cached_property
    def celery(self) -> workers.Celery | None:
        files = [each for each in self.sources.files if within(self.place.source, each)]
        return workers.celery_app(self.sources, files, self.entry.root)

    @cached_property
    def programs(self) -> list[Program]:
        jobs = [
            (start.name or job.kind, job, where)
            for start in self.own_starts
            if start.name and not start.server
            for job, where in start.jobs
        ]
        files = [each for each in self.sources.files if within(self.place.source, each)]
        found, evidence = workers.programs(
            jobs,
            self.celery,
            schedule=workers.has_schedule(self.sources, files, self.lock),
            in_database=workers.scheduler_in_database(self.sources, files),
            lock=self.lock,
            django=self.manage is not None,
            arq=workers.worker_settings(self.sources, files, self.entry.root)
            if self.lock.has("arq")
            else "",
        )
        self.evidence += evidence
        return found

    @cached_property
    def queue(self) -> bool:
        brokers = [
            each.value
            for name in ("CELERY_BROKER_URL", "BROKER_URL", "CELERY_BROKER")
            for each in self.given.get(name, ())
            if each.value
        ]
        return workers.keeps_queue(self.lock, self.programs, brokers[0] if brokers else "")

    # -- all of it --------------------------------------------------------------------------------------

    def found(self) -> Found:
        """Put everything together."""
        self._refuse_python_2()
        facts = dict(self.place.facts)
        application = self.entry.application
        facts["API_INTERFACE"] = self._interface()
        facts["API_TARGET"] = self.entry.target
        self.evidence.append((f"entry point {self.entry.target}", application.where))
        facts.update(self._port())
        facts.update(self._libraries())
        found = self._migrations()
        facts.update(found.facts)
        tests = self._tests()
        facts.update({"TEST_COMMAND": tests.command, "TEST_PATHS": tests.paths})
        self._django_variables()
        facts.update(self._static(found))
        facts.update(self._health())
        facts.update(self._handed())
        foreign, losses = services.stay(self.tree, self.services)
        for each in foreign:
            self.evidence.append((f"the service {each.name} stays in its file", f"{each.file}:1"))
        self.losses += [*self.entry.losses, *self.services.losses, *losses, *self.lock.losses]
        self.losses += [
            *self.assets.losses,
            *self.sorted.losses,
            *self._image_losses(),
            *self._unusual(),
        ]
        self.losses += size.losses(self.tree, self.place.source)
        self.evidence += [*self.assets.evidence, *self.sorted.evidence]
        name, questions = self._name()
        return Found(
            name=name,
            about=self._about(),
            facts={key: value for key, value in facts.items() if value},
            programs=tuple(self.programs),
            variables={key: value for key, value in self.sorted.variables.items() if value},
            secrets=self.sorted.secrets,
            foreign=tuple(foreign),
            queue=self.queue,
            evidence=tuple(dict.fromkeys(self.evidence)),
            losses=tuple(dict.fromkeys(self.losses)),
            questions=tuple([*questions, *self.entry.questions][:3]),
            lock_missing=self.lock.missing,
        )

    def _refuse_python_2(self) -> None:
        for path in sorted(self.files):
            if line := python_2_line(self.sources[path]):
                raise pythons.python_2(f"{path}:{line}", "a statement that only Python 2 knows")

    def _interface(self) -> str:
        if self.entry.application.framework == "Django":
            return self.entry.application.interface
        said = self.entry.serving.server.interface if self.entry.serving else ""
        # FastAPI behind a plain gunicorn would not work today either.
        return (
            self.entry.application.interface
            if said == "wsgi"
            else said or self.entry.application.interface
        )

    def _port(self) -> dict[str, str]:
        port, where = 8000, ""
        for start in reversed(self.own_starts):
            known = start.server
            if known and known[0].port and known[0].program not in ("flask", "manage.py"):
                port, where = known[0].port, known[1]
        if self.image and self.image.port:
            port, where = self.image.port
        if port < 1024:
            self.losses.append(
                Loss(
                    f"port {port}",
                    where,
                    "containers don't run as root: it is 8000 here, nginx has the port outside",
                )
            )
            port = 8000
        if where:
            self.evidence.append((f"port {port}", where))
        return {"API_PORT": str(port)}

    def _libraries(self) -> dict[str, str]:
        lock = self.lock
        pins = [self.image.python] if self.image and self.image.python else []
        pins = [pin for pin in pins if re.match(r"\d+\.\d+", pin[0])]
        pins += pythons.pinned(self.tree, self.entry.project)
        python = pythons.choose(pins, lock.pythons)
        self.losses += python.losses
        self.evidence.append((f"Python {python.version}", python.where or "the default"))
        state = "to be locked by uv" if lock.missing else f"locked by {lock.by}"
        shown = join(parent(lock.path), "pyproject.toml") if lock.missing else lock.path
        self.evidence.append((state, shown))
        wanted: Needs = needs(lock, self.image, self.tree)
        self.losses += wanted.losses
        return {
            "PYTHON_VERSION": python.version,
            "API_LOCK": lock.path,
            "API_PACKAGE": lock.package,
            "API_GROUPS": " ".join(lock.groups),
            "API_FROM_SOURCE": " ".join(wanted.from_source),
            "API_BUILD_PACKAGES": " ".join(wanted.build),
            "API_RUN_PACKAGES": " ".join(wanted.run),
        }

    def _migrations(self) -> migrations.Migrations:
        application = self.entry.application
        started = [
            pair
            for start in self.own_starts
            for pair in start.jobs
            if start.server or not start.name or start.service
            if pair[0].kind in ("migrate", "seed")
        ]
        found = migrations.find(
            self.sources,
            source=self.place.source,
            workdir=self.place.workdir,
            lock=self.lock,
            django=self.manage,
            flask=self.entry.target if application.framework == "Flask" else "",
            started=started,
        )
        self.losses += found.losses
        if found.tool or found.where:
            self.evidence.append(
                (
                    f"migrations{f' by {found.tool}' if found.tool else ''}: {found.migrate}",
                    found.where,
                )
            )
        if found.seed != migrations.NOTHING:
            self.evidence.append((f"first rows: {found.seed}", found.seed_where))
        return found

    def _tests(self) -> testing.Tests:
        found = testing.find(
            self.tree,
            source=self.place.source,
            workdir=self.place.workdir,
            lock=self.lock,
            django=self.manage,
        )
        if found.about:
            self.evidence.append((f"tests by {found.about}", found.where))
        return found

    def _django_variables(self) -> None:
        site, result = self.site, self.sorted
        if site is None or not site.differ:
            return
        modules = dict(site.settings)
        if len(set(modules.values())) == 1:
            result.variables[""]["DJANGO_SETTINGS_MODULE"] = modules["dev"]
        else:
            for kind, module in modules.items():
                result.variables[kind]["DJANGO_SETTINGS_MODULE"] = module
        for kind, module in modules.items():
            self.evidence.append(
                (
                    f"settings in {kind}: {module}",
                    site.places.get(module, join(site.folder, "manage.py")),
                )
            )

    def _static(self, found: migrations.Migrations) -> dict[str, str]:
        site, production = self.site, self.settings("prod")
        steps = list(self.image.steps) if self.image else []
        for start in self.own_starts:
            steps += [(job.command, where) for job, where in start.jobs if job.kind == "collect"]
        result: Static = static_files(self.tree, self.place, production, steps)
        if result.command:
            module = site.settings["prod"] if site and site.differ else ""
            environment = build_environment(
                self.reads,
                self.files,
                self.sorted,
                result,
                module,
                self.lock,
                self._settings_files(),
            )
            result.facts["API_BUILD_ENV"] = environment
        if self.assets.found:
            result.facts["API_ASSETS"] = seen_from(self.place.source, self.assets.folder) or "."
            result.facts["API_ASSETS_COMMAND"] = self.assets.command
        self.evidence += result.evidence
        self.losses += result.losses
        return result.facts

    def _settings_files(self) -> frozenset[str]:
        """The files of the settings that count in production; all of the app's without Django."""
        if self.site is None:
            return self.files
        module = self.site.settings["prod"]
        path = self.site.places.get(module)
        others = {each for name, each in self.site.places.items() if name != module}
        reached = self.sources.reached([path], self.place.roots) if path else frozenset()
        return (self.files - frozenset(others)) | reached

    def _health(self) -> dict[str, str]:
        asked = []
        for start in self.own_starts:
            if start.service and start.server and start.service.healthcheck:
                asked.append((start.service.healthcheck, start.service.where))
        if self.image and self.image.healthcheck:
            asked.append(self.image.healthcheck)
        production = self.settings("prod")
        if self.manage is not None:
            found = health.choose(self._urls(production), asked)
            kinds = [each for each in map(self.settings, _KINDS) if each]
            found = health.for_django(
                found, kinds, hosts_are_set="ALLOWED_HOSTS" in " ".join(self.given)
            )
        else:
            web = routes.Web(self.sources, self.values, sorted(self.files))
            found = health.choose(web.routes(), asked)
            self._guards(found)
        self.losses += found.losses
        if found.where:
            self.evidence.append((f"health at {found.path}", found.where))
        if found.path == "tcp":
            return {"API_HEALTH": "tcp"}
        return {
            "API_HEALTH": found.path,
            "API_HEALTH_HOST": found.host,
            "API_HEALTH_SCHEME": found.scheme,
        }

    def _urls(self, production: django.Settings | None) -> list[routes.Route]:
        if production is None:
            return []
        root = production.get("ROOT_URLCONF")
        if not isinstance(root, str):
            return []
        middleware = " ".join(django.listed(production.get("MIDDLEWARE")))
        if re.search(r"LoginRequired", middleware):
            return []
        closed = not routes.anonymous(production.get("REST_FRAMEWORK"))
        values = Values(self.sources, self.place.roots, production.values.environment)
        return routes.Urls(self.sources, values, closed=closed).routes(root)

    def _guards(self, found: health.Health) -> None:
        """Take into account what Starlette's middleware asks of a request."""
        for source in self.sources.saying(
            r"TrustedHostMiddleware|HTTPSRedirectMiddleware|force_https|Talisman",
            sorted(self.files),
        ):
            for call in source.calls():
                text = _call_text(call)
                if "TrustedHostMiddleware" in text:
                    hosts = self.values.of(_keyword(call, "allowed_hosts"), source)
                    if django.allows(hosts, "localhost", debug=False) is False:
                        names = [each.lstrip("*.") for each in django.listed(hosts)]
                        found.host = names[0] if names else ""
                elif "HTTPSRedirectMiddleware" in text or "Talisman(" in text:
                    found.scheme = "https"

    def _handed(self) -> dict[str, str]:
        result = self.sorted
        words = list(result.words)
        if any(re.match(r"rq\b", each.command) for each in self.programs):
            words.append("RQ_REDIS_URL={broker_url}")
            result.password = True
        if self.lock.has("redis", "aioredis", "django-redis", "arq", "rq") and not result.password:
            self.losses.append(
                Loss(
                    "the app is told no password of Redis",
                    self._redis_place(),
                    "Redis has one here: leave the files secrets/*/redis_password empty,"
                    " or let the app read REDIS_URL",
                )
            )
        self._hard_coded()
        return {"API_READS": " ".join(dict.fromkeys(words))}

    def _redis_place(self) -> str:
        for source in self.sources.saying(r"Redis\(|redis://|from_url", sorted(self.files)):
            match = re.search(r"Redis\(|redis://|from_url", source.text)
            if match:
                return f"{source.path}:{source.text.count(chr(10), 0, match.start()) + 1}"
        return self.lock.path

    def _hard_coded(self) -> None:
        """Name addresses of databases that stand in the code itself."""
        defaults = {
            read.where
            for every in self.reads.values()
            for read in every
            if read.default is not None
        }
        words = r"[\"'](?:postgres(?:ql)?|mysql)(?:\+\w+)?://[^\"'{}]+@[^\"'{}]+[\"']|[\"']sqlite(?:\+\w+)?:///[^\"']*[\"']"
        for source in self.sources.saying(words, sorted(self.files)):
            for match in re.finditer(words, source.text):
                line = source.text.count("\n", 0, match.start()) + 1
                before = source.text.splitlines()[max(line - 3, 0) : line]
                is_default = f"{source.path}:{line}" in defaults or re.search(
                    r"environ|getenv|env\(|config\(", "".join(before)
                )
                if (
                    is_default
                    or before[-1].lstrip().startswith("#")
                    or not re.search(_CONNECTS, "".join(before))
                    or self._in_settings(source, line)
                ):
                    continue
                self.losses.append(
                    Loss(
                        f"the address of a database in the code: {match[0]}",
                        f"{source.path}:{line}",
                        'let the code read it: os.environ["DATABASE_URL"], which API_READS hands over',
                    )
                )

    def _in_settings(self, source: Source, line: int) -> bool:
        """Say whether a line is a field of a settings class, which a variable sets."""
        return any(
            read.where == f"{source.path}:{line}" for every in self.reads.values() for read in every
        )

    def _image_losses(self) -> Iterator[Loss]:
        image = self.image
        if image is None:
            return
        yield from image.losses
        built = {step.text for step, _ in image.steps}
        for command, where in migrations.understood(self._before_server()):
            if command.text in built:
                continue
            yield Loss(
                f"{command.text} at every start",
                where,
                "do it in MIGRATE_COMMAND, which runs once before the app starts, or in API_BUILD_COMMAND",
            )
        for start in self.own_starts:
            known = start.server
            if known and known[0].program == "gunicorn":
                command = next(each for each, _ in start.commands if programs.server(each))
                words = list(command.words)
                for option in ("-c", "--config"):
                    if option in words[:-1] and not words[words.index(option) + 1].endswith(
                        "gunicorn.conf.py"
                    ):
                        yield Loss(
                            f"gunicorn's configuration {words[words.index(option) + 1]}",
                            known[1],
                            "Gangway's own is taken: call the file gunicorn.conf.py, in the working directory, for yours",
                        )

    def _before_server(self) -> Iterator[Any]:
        """Yield what containers with a server do besides serving."""
        for start in self.own_starts:
            if start.server and (start.image is self.image or start.image is None):
                yield from start.commands
                return

    def _unusual(self) -> Iterator[Loss]:
        """Yield what the app's services have in Compose that nothing here stands for."""
        seen: set[tuple[str, str]] = set()
        for target, where in self.image.volumes if self.image else ():
            if not self._is_media(target):
                yield Loss(f"the volume {target}", where, _WRITES)
        for service in self.services.own:
            for key in _UNUSED_BY_US:
                if service.content.get(key) and (service.name, key) not in seen:
                    seen.add((service.name, key))
                    yield Loss(
                        f"{key} of {service.name}",
                        service.where,
                        "add it to the stack's compose.yml",
                    )
            for volume in service.volumes:
                target = next((there for source, there in service.mounts if source == volume), "")
                if ("", target) not in seen and not re.search(
                    r"node_modules|\.venv|venv|cache", target
                ):
                    seen.add(("", target))
                    if not self._is_media(target):
                        yield Loss(
                            f"the volume {volume} at {target} of {service.name}",
                            service.where,
                            _WRITES,
                        )

    def _is_media(self, target: str) -> bool:
        """Say whether a folder of a container is one of uploads or static files, or in one."""
        production = self.settings("prod")
        if production is None:
            return False
        known = {
            str(production.get(name)).rpartition("/")[2] for name in ("MEDIA_ROOT", "STATIC_ROOT")
        }
        return not known.isdisjoint(target.strip("/").split("/"))

    def _name(self) -> tuple[str, list[Question]]:
        names = []
        for path in compose.compose_files(self.tree):
            match = re.search(r"(?m)^name:\s*[\"']?([\w.-]+)", self.tree.text(path))
            if match:
                names.append(match[1])
        for each in starts.values_for(self.tree, "").items():
            if each[0] == "COMPOSE_PROJECT_NAME":
                names.append(each[1])
        for folder in dict.fromkeys((self.entry.project, "")):
            names.append(
                str(locks.project_table(self.tree, folder).get("project", {}).get("name", ""))
            )
        name = naming.choose(names, self.tree.root.resolve().name)
        if name:
            return name, []
        question = Question("PROJECT", "What is the project to be called?", (), "app")
        return "app", [question]

    def _about(self) -> str:
        framework = self.entry.application.framework
        version = self.lock.versions.get(framework.lower(), "")
        short = ".".join(version.split(".")[:2])
        kind = "site" if framework == "Django" else "app"
        text = f"a {framework} {short} {kind}" if short else f"a {framework} {kind}"
        beside = []
        if self.celery or self.lock.has("celery"):
            beside.append("Celery")
        elif self.lock.has("rq", "django-rq"):
            beside.append("RQ")
        with_text = f" with {' and '.join(beside)}" if beside else ""
        locked = "not locked yet" if self.lock.missing else f"locked by {self.lock.by}"
        return f"{text}{with_text}, {locked}"


def _overridden(every: Iterable[compose.Service]) -> Iterator[compose.Service]:
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
            yield compose.Service(service.name, service.file, service.line, content, service.values)


def _compose_kind(path: str) -> str:
    name = path.rpartition("/")[2]
    return "dev" if "override" in name else envfiles.kind_of(name)


def _serves(service: compose.Service, every: Starts) -> bool:
    return any(start.service is service and start.server for start in every.every)


def _is_server_config(path: str) -> bool:
    """Say whether a file configures a server that isn't used here."""
    return bool(re.search(r"(^|/)(gunicorn|hypercorn|uvicorn|uwsgi)[\w.-]*\.py$", path))


def _call_text(call: Any) -> str:
    return ast.unparse(call.func) + "(" + ", ".join(ast.unparse(each) for each in call.args)


def _keyword(call: Any, name: str) -> Any:
    return next((each.value for each in call.keywords if each.arg == name), None)
