"""The web applications that the sources make: instances, factories, Django's asgi and wsgi."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gangway.operations.adoption.look.python import Source, Sources, name_of, outside, text_of
from gangway.operations.adoption.look.tree import Tree, ancestors, join, parent

_CLASSES = {
    "fastapi.FastAPI": "FastAPI",
    "starlette.applications.Starlette": "Starlette",
    "flask.Flask": "Flask",
    "quart.Quart": "Quart",
    "litestar.Litestar": "Litestar",
    "dash.Dash": "Dash",
    "connexion.FlaskApp": "Flask",
    "flask_openapi3.OpenAPI": "Flask",
    "apiflask.APIFlask": "Flask",
    "django.core.asgi.get_asgi_application": "Django",
    "django.core.wsgi.get_wsgi_application": "Django",
    "channels.routing.ProtocolTypeRouter": "Django",
}
ASGI = frozenset({"FastAPI", "Starlette", "Quart", "Litestar"})
# What a file that makes an application says.
_WORDS = (
    r"FastAPI|Starlette|Flask|Quart|Litestar|Dash\(|dash\.|get_[aw]sgi_application"
    r"|(create|make|build|get|init)_(app|application)\b|ProtocolTypeRouter"
)
_SETTINGS = "DJANGO_SETTINGS_MODULE"
_MAIN_FILES = ("main", "app", "asgi", "wsgi", "server", "application", "run", "__init__", "api")
# What nobody makes for another purpose.
_SERVED_FILES = ("asgi", "wsgi")
_MAIN_NAMES = ("app", "application", "server", "api")


@dataclass(frozen=True)
class Application:
    """Something that a server can serve."""

    framework: str
    path: str
    name: str
    line: int
    factory: bool = False
    interface: str = "wsgi"

    @property
    def where(self) -> str:
        """The place that makes it."""
        return f"{self.path}:{self.line}"

    @property
    def attribute(self) -> str:
        """What stands behind the colon of a target."""
        return f"{self.name}()" if self.factory else self.name


def applications(sources: Sources) -> list[Application]:
    """Return every application of the repository's own code."""
    files = list(sources.saying(_WORDS))
    factories = [each for source in files for each in _factories(source)]
    names = "|".join(sorted({re.escape(each.name) for each in factories}))
    # A module may say nothing of a framework but the name of the function that makes the app.
    users = sources.saying(rf"(?m)^\w+\s*=\s*(?:\w+\.)*(?:{names})\(") if names else ()
    every = dict.fromkeys([*files, *users])
    found = [each for source in every for each in _instances(source, factories)]
    return found + [each for each in factories if each.factory]


def managers(sources: Sources) -> list[str]:
    """Return the folders with a manage.py of Django, the nearest first."""
    return [
        parent(path)
        for path in sources.tree.named("manage.py")
        if path in sources.files and "DJANGO_SETTINGS_MODULE" in sources.tree.text(path)
    ]


def framework_of(node: ast.AST, source: Source) -> str:
    """Return the framework whose application a call makes, nothing for any other."""
    if not isinstance(node, ast.Call):
        return ""
    return _class(node.func, source)


def _class(node: ast.AST, source: Source, depth: int = 0) -> str:
    """Return the framework of a class, or of one that is built on it in the same module."""
    origin = source.origin(node)
    if origin in _CLASSES:
        return _CLASSES[origin]
    last = origin.rpartition(".")[2]
    for statement in source.module.body:
        if isinstance(statement, ast.ClassDef) and statement.name == origin and depth < 5:
            found = (_class(base, source, depth + 1) for base in statement.bases)
            return next((each for each in found if each), "")
    # `import fastapi`, or a re-export of the same name.
    for known, framework in _CLASSES.items():
        if known.rpartition(".")[2] == last and known.partition(".")[0] in source.text:
            return framework
    return ""


def _instances(source: Source, factories: list[Application]) -> Iterator[Application]:
    made: dict[str, str] = {}
    for name, value in source.assigned():
        framework = framework_of(value, source)
        if not framework and isinstance(value, ast.Call):
            framework = _from_factory(value, source, factories)
        if framework:
            made.setdefault(name, framework)
            if framework != "Dash":
                yield _application(framework, source, name, value)
        elif (
            isinstance(value, ast.Attribute)
            and value.attr == "server"
            and made.get(name_of(value.value)) == "Dash"
        ):
            yield _application("Dash", source, name, value)
    for name, framework in made.items():
        # A Dash app without a name for its server is served by its attribute.
        servers = [value for _, value in source.assigned() if name_of(value) == f"{name}.server"]
        if framework == "Dash" and not servers:
            line = next(value for each, value in source.assigned() if each == name)
            yield _application("Dash", source, f"{name}.server", line)


def _application(framework: str, source: Source, name: str, node: ast.AST) -> Application:
    interface = "asgi" if framework in ASGI or _is_async(node, source) else "wsgi"
    line = int(getattr(node, "lineno", 1))
    return Application(framework, source.path, name, line, interface=interface)


def _is_async(node: ast.AST, source: Source) -> bool:
    if not isinstance(node, ast.Call):
        return False
    origin = source.origin(node.func)
    return "asgi" in origin.lower() or origin.endswith("ProtocolTypeRouter")


def _from_factory(call: ast.Call, source: Source, factories: list[Application]) -> str:
    name = name_of(call.func)
    if not name:
        return ""
    last = name.rpartition(".")[2]
    imported = {each.local for each in source.imports} | {""}
    for factory in factories:
        here = factory.path == source.path and "." not in name
        if factory.name == last and (here or name.partition(".")[0] in imported):
            return factory.framework
    return ""


def _factories(source: Source) -> Iterator[Application]:
    for statement in outside(source.module.body):
        if not isinstance(statement, ast.FunctionDef):
            continue
        framework = _returned(statement, source)
        if framework and framework != "Django":
            found = Application(framework, source.path, statement.name, statement.lineno)
            interface = "asgi" if framework in ASGI else "wsgi"
            yield replace(found, factory=_needs_nothing(statement), interface=interface)


def _returned(function: ast.FunctionDef, source: Source) -> str:
    made: dict[str, str] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if framework := framework_of(node.value, source):
                made.update((name_of(target), framework) for target in targets)
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value:
            value = node.value
            if framework := framework_of(value, source) or made.get(name_of(value), ""):
                return framework
            if isinstance(value, ast.Attribute) and made.get(name_of(value.value)) == "Dash":
                return "Dash"
    return ""


def _needs_nothing(function: ast.FunctionDef) -> bool:
    places = function.args.posonlyargs + function.args.args
    needed = len(places) - len(function.args.defaults)
    return not needed and all(default is not None for default in function.args.kw_defaults)


def rank(application: Application) -> tuple[int, ...]:
    """Return how likely an application is the one to serve: the smallest is the likeliest."""
    file = application.path.rpartition("/")[2].removesuffix(".py")
    return (
        application.factory,
        re.search(r"celery|worker|task|manage|cli|shell|script", file) is not None,
        file not in _SERVED_FILES,
        application.name.partition(".")[0] not in _MAIN_NAMES,
        application.path.count("/"),
        _place(_MAIN_FILES, file),
        _place(_MAIN_NAMES, application.name),
    )


def _place(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else len(names)


def mounted(sources: Sources, every: list[Application]) -> set[tuple[str, str]]:
    """Return the applications, as path and name, that another one has mounted in it."""
    inner: set[tuple[str, str]] = set()
    names = {each.name for each in every}
    for source in sources.saying(r"\.mount\(|Mount\(|WSGIMiddleware|DispatcherMiddleware"):
        for call in source.calls():
            if name_of(call.func).rpartition(".")[2] not in (
                "mount",
                "Mount",
                "WSGIMiddleware",
                "DispatcherMiddleware",
            ):
                continue
            for node in [*call.args[1:], *(each.value for each in call.keywords)]:
                name = name_of(node)
                if name in names:
                    inner.add((source.path, name))
                for each in source.imports:
                    if each.local == name.partition(".")[0] and name:
                        inner |= {
                            (app.path, app.name)
                            for app in every
                            if app.name == (each.name or name.rpartition(".")[2])
                            and app.path != source.path
                        }
    return inner


def project_folder(tree: Tree, root: str) -> str:
    """Return the folder that an app's files are in: the nearest with a lock or the like."""
    for pattern in (_PROJECT, "manage\\.py|Dockerfile"):
        for folder in ancestors(root):
            if any(re.fullmatch(pattern, name) for name in tree.beside(folder)):
                return folder
            if join(folder, "requirements") in tree.folders and pattern == _PROJECT:
                return folder
    return ""


_PROJECT = (
    r"pyproject\.toml|setup\.(py|cfg)|Pipfile|uv\.lock|poetry\.lock"
    r"|requirements[\w.-]*\.(txt|in|lock)|[\w-]+[._-]requirements\.txt"
)


def settings_named(source: Source) -> str:
    """Return the settings module that a file of Django's sets where nobody else has."""
    for call in source.calls():
        is_default = name_of(call.func).endswith("environ.setdefault") and len(call.args) == 2
        if is_default and text_of(call.args[0]) == _SETTINGS:
            return text_of(call.args[1]) or ""
    for node in source.nodes:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Subscript) and text_of(target.slice) == _SETTINGS:
            return text_of(getattr(node, "value", None)) or ""
    return ""
