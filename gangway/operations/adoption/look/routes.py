"""The GET routes of an app with their whole paths: FastAPI, Starlette, Flask, Django."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gangway.operations.adoption.look.apps import framework_of
from gangway.operations.adoption.look.python import Source, Sources, argument, name_of, text_of
from gangway.operations.adoption.look.values import UNKNOWN, Values

_GUARDS = re.compile(
    r"login_required|permission|auth|jwt|token|current_user|superuser|api_key|security|credentials|protected"
    r"|staff_member|roles_|verify|require_|requires",
    re.IGNORECASE,
)
_ROUTERS = frozenset({"APIRouter", "Blueprint", "APIBlueprint"})
_APPS = ("FastAPI", "Flask", "Starlette", "Quart")
_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_NEEDS_NOTHING = re.compile(r"Request|Response|BackgroundTasks|WebSocket|Session")


@dataclass(frozen=True)
class Route:
    """One path that a GET may ask for."""

    path: str
    where: str
    open: bool
    """Whether it can be told that it answers an anonymous GET with 200."""
    touches: bool = False
    """Whether it asks a database or a cache."""


@dataclass
class _Router:
    prefix: str = ""
    guarded: bool = False
    is_app: bool = False
    routes: list[Route] = field(default_factory=list)
    children: list[tuple[tuple[str, str], str | None, bool]] = field(default_factory=list)
    """Key, prefix (None: its own counts), guarded."""


Key = tuple[str, str]


class Web:
    """The routes of FastAPI, Starlette and Flask in some files."""

    def __init__(self, sources: Sources, values: Values, files: Iterable[str]) -> None:
        self.sources, self.values = sources, values
        self.routers: dict[Key, _Router] = {}
        found = list(
            sources.saying(
                r"\b(APIRouter|Blueprint|FastAPI|Flask|Starlette|Quart|APIBlueprint|Route|include_router"
                r"|register_blueprint|add_url_rule|add_api_route|add_resource)\b|@\w+\.(get|route)\(",
                files,
            )
        )
        for source in found:
            self._define(source)
        self.unknown: list[tuple[_Router, str, bool]] = []
        for source in found:
            self._fill(source)
        self._adopt()

    def _adopt(self) -> None:
        """Give the routers that nobody includes to an app that includes one it is handed."""
        known = {key for router in self.routers.values() for key, _, _ in router.children}
        for parent, prefix, guarded in self.unknown[:1]:
            for key, router in self.routers.items():
                if key not in known and not router.is_app:
                    parent.children.append((key, prefix + router.prefix, guarded))

    def routes(self) -> list[Route]:
        """Return the routes with their whole paths, as far as they are reached from an app."""
        found: list[Route] = []
        children = {key for router in self.routers.values() for key, _, _ in router.children}
        for key, router in self.routers.items():
            if router.is_app and key not in children:
                found += self._walk(key, router.prefix, guarded=False, seen=())
        return found

    def _walk(
        self, key: Key, prefix: str, *, guarded: bool, seen: tuple[Key, ...]
    ) -> Iterator[Route]:
        router = self.routers.get(key)
        if router is None or key in seen:
            return
        shut = guarded or router.guarded
        for route in router.routes:
            path = f"{prefix}{route.path}" or "/"
            yield Route(path, route.where, route.open and not shut, route.touches)
        for child, given, child_shut in router.children:
            other = self.routers.get(child)
            if other is None:
                continue
            # FastAPI puts a router's own prefix behind the given one, Flask takes the given one.
            below = given if given is not None else other.prefix
            yield from self._walk(
                child, f"{prefix}{below}", guarded=shut or child_shut, seen=(*seen, key)
            )

    def _value(self, node: ast.AST | None, source: Source) -> str:
        value = self.values.of(node, source) if node is not None else ""
        return value if isinstance(value, str) else "" if value is UNKNOWN else str(value)

    # -- routers ----------------------------------------------------------------------------------

    def _define(self, source: Source) -> None:
        for node in source.nodes:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(
                node.value, ast.Call
            ):
                continue
            call = node.value
            last = source.origin(call.func).rpartition(".")[2]
            framework = framework_of(call, source)
            if framework not in _APPS and last not in _ROUTERS:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            router = _Router(is_app=framework in _APPS)
            router.prefix = self._value(argument(call, None, "prefix", "url_prefix"), source)
            router.guarded = _guarded(argument(call, None, "dependencies"))
            for target in targets:
                if name := name_of(target):
                    self.routers[source.path, name] = router
            routes = argument(call, None, "routes")
            if isinstance(routes, ast.Name):
                routes = dict(source.assigned()).get(routes.id)
            if isinstance(routes, ast.List):
                self._starlette(routes, source, router, "")

    def _starlette(self, routes: ast.List, source: Source, router: _Router, prefix: str) -> None:
        for each in routes.elts:
            if not isinstance(each, ast.Call):
                continue
            kind = source.origin(each.func).rpartition(".")[2]
            path = prefix + self._value(argument(each, 0, "path"), source)
            if kind == "Route":
                methods = argument(each, None, "methods")
                if _gets(methods):
                    function = self._function(argument(each, 1, "endpoint"), source)
                    router.routes.append(_route(path, source.where(each), function, []))
            elif kind == "Mount":
                inner = argument(each, None, "routes")
                if isinstance(inner, ast.List):
                    self._starlette(inner, source, router, path)

    def _key(self, node: ast.AST | None, source: Source) -> Key | None:
        """Return the router that an expression stands for."""
        name = name_of(node)
        if not name:
            return None
        if (source.path, name) in self.routers:
            return source.path, name
        head, _, rest = name.partition(".")
        for each in source.imports:
            if each.local != head:
                continue
            found = self.sources.imported(source, self.values.roots, each)
            if not found:
                continue
            path, inner = found
            whole = ".".join(part for part in (inner, rest) if part)
            key = path, whole
            if key in self.routers:
                return key
            # Imported by a package from the module that makes it.
            if (again := self._key_in(path, whole)) is not None:
                return again
        return None

    def _key_in(self, path: str, name: str, depth: int = 0) -> Key | None:
        source = self.sources[path]
        head, _, rest = name.partition(".")
        for each in source.imports:
            if each.local == head and depth < 5:
                found = self.sources.imported(source, self.values.roots, each)
                if found:
                    key = found[0], ".".join(part for part in (found[1], rest) if part)
                    return key if key in self.routers else self._key_in(*key, depth + 1)
        return None

    # -- what is in them --------------------------------------------------------------------------

    def _fill(self, source: Source) -> None:
        app = self._app_of(source)
        for node in source.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for decorator in node.decorator_list:
                    self._decorated(decorator, node, source, app)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                self._called(node, node.func, source, app)

    def _app_of(self, source: Source) -> Key:
        """Return the key for what isn't a router: the app that a function of the module gets."""
        for (path, name), router in self.routers.items():
            if path == source.path and router.is_app:
                return path, name
        apps = [key for key, router in self.routers.items() if router.is_app]
        return apps[0] if len(apps) == 1 else (source.path, "app")

    def _router(self, node: ast.AST, source: Source, app: Key) -> _Router | None:
        key = self._key(node, source)
        if key is None:
            # An argument: `def register(app): app.register_blueprint(...)`.
            if not isinstance(node, ast.Name) or not re.search(r"app|server|api", node.id):
                return None
            key = app
        return self.routers.get(key)

    def _decorated(
        self,
        decorator: ast.expr,
        function: ast.FunctionDef | ast.AsyncFunctionDef,
        source: Source,
        app: Key,
    ) -> None:
        if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
            return
        method = decorator.func.attr
        if method not in ("get", "route", "api_route"):
            return
        if method != "get" and not _gets(argument(decorator, None, "methods")):
            return
        router = self._router(decorator.func.value, source, app)
        path = argument(decorator, 0, "path", "rule")
        if router is None or path is None:
            return
        others = [each for each in function.decorator_list if each is not decorator]
        route = _route(self._value(path, source), source.where(function), function, others)
        if _guarded(argument(decorator, None, "dependencies")) or _other_status(decorator):
            route = Route(route.path, route.where, open=False)
        router.routes.append(route)

    def _called(self, call: ast.Call, function: ast.Attribute, source: Source, app: Key) -> None:
        method = function.attr
        if method in ("include_router", "register_blueprint", "mount"):
            router = self._router(function.value, source, app)
            child_node = argument(call, 1 if method == "mount" else 0, "router", "blueprint", "app")
            child = self._key(child_node, source)
            if router is None:
                return
            given = argument(call, 0 if method == "mount" else None, "prefix", "url_prefix", "path")
            prefix = self._value(given, source) if given is not None else None
            guarded = _guarded(argument(call, None, "dependencies"))
            if child is None:
                if method != "mount":
                    self.unknown.append((router, prefix or "", guarded))
                return
            if method == "include_router":
                prefix = (prefix or "") + self.routers[child].prefix
            router.children.append((child, prefix, guarded))
        elif method in ("add_url_rule", "add_api_route", "add_route"):
            router = self._router(function.value, source, app)
            place = {"add_url_rule": 2}.get(method, 1)
            view = argument(call, place, "view_func", "endpoint", "route")
            if router is None or not _gets(argument(call, None, "methods")):
                return
            path = self._value(argument(call, 0, "rule", "path"), source)
            router.routes.append(_route(path, source.where(call), self._function(view, source), []))
        elif method == "add_resource" and len(call.args) > 1:
            self._resource(call, source, app)

    def _resource(self, call: ast.Call, source: Source, app: Key) -> None:
        """Flask-RESTful: a class with a method `get`."""
        owner = self.routers.get(app)
        found = self._function(call.args[0], source)
        if owner is None or not isinstance(found, ast.ClassDef):
            return
        for get in found.body:
            if isinstance(get, ast.FunctionDef) and get.name == "get":
                path = self._value(call.args[1], source)
                owner.routes.append(_route(path, source.where(get), get, found.decorator_list))

    def _function(self, node: ast.AST | None, source: Source) -> ast.AST | None:
        found = definition(self.sources, self.values.roots, node, source)
        return found[0] if found else None


def definition(
    sources: Sources, roots: Iterable[str], node: ast.AST | None, source: Source
) -> tuple[ast.AST, Source] | None:
    """Return the function or class that a name stands for, and where it is."""
    if isinstance(node, ast.Lambda):
        return node, source
    name = name_of(node)
    for statement in source.nodes if name else ():
        if isinstance(statement, _DEFINITIONS) and statement.name == name:
            return statement, source
    head, _, rest = name.partition(".")
    for each in source.imports if name else ():
        found = sources.imported(source, roots, each) if each.local == head else None
        if found:
            inner = ".".join(part for part in (found[1], rest) if part)
            other = sources[found[0]]
            if inner and other.path != source.path:
                return definition(sources, roots, ast.parse(inner, mode="eval").body, other)
    return None


def _gets(methods: ast.expr | None) -> bool:
    if methods is None:
        return True
    if isinstance(methods, ast.List | ast.Tuple | ast.Set):
        return any((text_of(each) or "").upper() == "GET" for each in methods.elts)
    return False


def _guarded(dependencies: ast.expr | None) -> bool:
    """Say whether a router asks something of a request before it comes to its routes."""
    if isinstance(dependencies, ast.List | ast.Tuple):
        return bool(dependencies.elts)
    return dependencies is not None


def _other_status(decorator: ast.Call) -> bool:
    status = argument(decorator, None, "status_code")
    if status is None:
        return False
    if isinstance(status, ast.Constant):
        return status.value != 200
    return not name_of(status).endswith("HTTP_200_OK")


def _route(
    path: str, where: str, function: ast.AST | None, decorators: Iterable[ast.expr]
) -> Route:
    return Route(path, where, is_open(function, decorators, path), touches(function))


def is_open(
    function: ast.AST | None,
    decorators: Iterable[ast.expr],
    path: str,
    *,
    django: bool = False,
) -> bool:
    """Say whether a view answers an anonymous GET with 200, as far as its code tells it."""
    if function is None or re.search(r"[{<]", path):
        return False
    if any(_GUARDS.search(ast.unparse(each)) for each in decorators):
        return False
    if isinstance(function, ast.Lambda):
        return not _answers_otherwise(function.body)
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    if not django and not all(_is_given(*each) for each in _parameters(function)):
        return False
    # What it comes to where nothing is amiss.
    last = (node for node in ast.walk(function.body[-1]) if isinstance(node, ast.Return))
    return not any(_answers_otherwise(node.value) for node in last if node.value)


def _parameters(
    function: ast.FunctionDef | ast.AsyncFunctionDef,
) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    places = function.args.posonlyargs + function.args.args
    missing: list[ast.expr | None] = [None] * (len(places) - len(function.args.defaults))
    yield from zip(places, [*missing, *function.args.defaults], strict=True)
    yield from zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)


def _is_given(place: ast.arg, default: ast.expr | None) -> bool:
    """Say whether a view's parameter asks nothing of who makes the request."""
    annotation = ast.unparse(place.annotation) if place.annotation else ""
    given = f"{annotation} {ast.unparse(default) if default else ''}"
    if re.search(r"\b(Depends|Security)\b|Dep$", given.strip()):
        return not _GUARDS.search(f"{given} {place.arg}")
    has_value = default is not None or place.arg in ("self", "request", "cls")
    return has_value or _NEEDS_NOTHING.search(annotation) is not None


def _answers_otherwise(value: ast.AST) -> bool:
    """Say whether what is returned is a redirect or another status than 200."""
    if isinstance(value, ast.Tuple) and len(value.elts) > 1:
        status = value.elts[1]
        return isinstance(status, ast.Constant) and status.value not in (200, None)
    if not isinstance(value, ast.Call):
        return False
    name = name_of(value.func).rpartition(".")[2]
    if re.search(r"redirect|abort|NotFound|Forbidden|BadRequest", name, re.IGNORECASE):
        return True
    given = argument(value, None, "status", "status_code")
    return isinstance(given, ast.Constant) and given.value != 200


_TOUCHES = re.compile(
    r"\.(execute|ping|ensure_connection|cursor|scalars?|query|objects)\b|\b(session|get_db|database)\b",
    re.IGNORECASE,
)


def touches(function: ast.AST | None) -> bool:
    """Say whether a view asks a data store."""
    if function is None:
        return False
    # Its own name says nothing.
    text = re.sub(r"\b(def|class) \w+", "", ast.unparse(function))
    return _TOUCHES.search(text) is not None


# -- Django ---------------------------------------------------------------------------------------


class Urls:
    """The routes of a Django project, from its root urlconf down."""

    def __init__(self, sources: Sources, values: Values, *, closed: bool) -> None:
        self.sources, self.values = sources, values
        self.closed = closed
        """Whether Django REST framework lets nobody in unless a view says so."""

    def routes(self, module: str) -> list[Route]:
        """Return the routes of a urlconf by its dotted name."""
        path = self.sources.module_file(self.values.roots, module)
        return list(self._file(path, "/", ())) if path else []

    def _file(self, path: str, prefix: str, seen: tuple[str, ...]) -> Iterator[Route]:
        if path in seen:
            return
        source = self.sources[path]
        for node in source.nodes:
            names, value = _assigned_to(node)
            if "urlpatterns" in names and value is not None:
                yield from self._patterns(value, source, prefix, (*seen, path))

    def _patterns(
        self, value: ast.AST, source: Source, prefix: str, seen: tuple[str, ...]
    ) -> Iterator[Route]:
        if isinstance(value, ast.BinOp):
            yield from self._patterns(value.left, source, prefix, seen)
            yield from self._patterns(value.right, source, prefix, seen)
        elif isinstance(value, ast.List | ast.Tuple):
            for each in value.elts:
                inner = each.value if isinstance(each, ast.Starred) else each
                if isinstance(inner, ast.Call):
                    yield from self._pattern(inner, source, prefix, seen)
        elif isinstance(value, ast.Name) and value.id != "urlpatterns":
            for name, other in source.assigned():
                if name == value.id:
                    yield from self._patterns(other, source, prefix, seen)

    def _pattern(
        self, call: ast.Call, source: Source, prefix: str, seen: tuple[str, ...]
    ) -> Iterator[Route]:
        kind = source.origin(call.func).rpartition(".")[2]
        if kind not in ("path", "re_path", "url") or len(call.args) < 2:
            return
        given = self.values.of(call.args[0], source)
        if not isinstance(given, str):
            return
        text = _from_pattern(given) if kind != "path" else given
        view = call.args[1]
        if isinstance(view, ast.Call) and name_of(view.func).rpartition(".")[2] == "include":
            yield from self._included(view, source, f"{prefix}{text}", seen)
            return
        yield Route(
            f"{prefix}{text}",
            source.where(call),
            not re.search(r"[<(\[*+?]", text) and self._is_open(view, source, text),
            self._touches(view, source),
        )

    def _included(
        self, call: ast.Call, source: Source, prefix: str, seen: tuple[str, ...]
    ) -> Iterator[Route]:
        first = call.args[0] if call.args else None
        if isinstance(first, ast.Tuple) and first.elts:
            first = first.elts[0]
        if (module := text_of(first)) is not None:
            path = self.sources.module_file(self.values.roots, module)
            if path:
                yield from self._file(path, prefix, seen)
            elif module == "health_check.urls":
                yield Route(prefix, source.where(call), open=True, touches=True)
        elif isinstance(first, ast.List | ast.Name):
            yield from self._patterns(first, source, prefix, seen)

    def _is_open(self, view: ast.AST, source: Source, path: str) -> bool:
        if isinstance(view, ast.Call):
            # SomeView.as_view(), or a decorator around a view.
            function = view.func
            if isinstance(function, ast.Attribute) and function.attr == "as_view":
                return self._class_is_open(function.value, source)
            plain = view.args and not _GUARDS.search(ast.unparse(function))
            return bool(plain) and self._is_open(view.args[0], source, path)
        found = definition(self.sources, self.values.roots, view, source)
        if not found or isinstance(found[0], ast.ClassDef):
            return False
        decorators = list(getattr(found[0], "decorator_list", ()))
        names = [ast.unparse(each) for each in decorators]
        if any("api_view" in name for name in names):
            if not self._lets_in([name for name in names if "permission_classes" in name]):
                return False
            decorators = [each for each in decorators if "permission" not in ast.unparse(each)]
        return is_open(found[0], decorators, path, django=True)

    def _class_is_open(self, node: ast.AST, source: Source) -> bool:
        found = definition(self.sources, self.values.roots, node, source)
        if not found or not isinstance(found[0], ast.ClassDef):
            return not found and source.origin(node).endswith("generic.TemplateView")
        view, where = found[0], found[1]
        bases = " ".join(where.origin(base) for base in view.bases)
        if _GUARDS.search(bases) or "Mixin" in bases:
            return False
        if "rest_framework" in bases and not self._lets_in(_permissions(view)):
            return False
        for statement in view.body:
            if isinstance(statement, _DEFINITIONS) and statement.name == "get":
                return is_open(statement, statement.decorator_list, "", django=True)
        return "TemplateView" in bases

    def _lets_in(self, permissions: list[str]) -> bool:
        """Say whether a view of Django REST framework lets anybody in by its own permissions."""
        if not permissions:
            return not self.closed
        return all("AllowAny" in each or each.endswith("[]") for each in permissions)

    def _touches(self, view: ast.AST, source: Source) -> bool:
        if isinstance(view, ast.Call) and isinstance(view.func, ast.Attribute):
            view = view.func.value
        found = definition(self.sources, self.values.roots, view, source)
        return touches(found[0]) if found else False


def _assigned_to(node: ast.AST) -> tuple[list[str], ast.expr | None]:
    if isinstance(node, ast.Assign):
        return [name_of(target) for target in node.targets], node.value
    if isinstance(node, ast.AugAssign | ast.AnnAssign):
        return [name_of(node.target)], node.value
    return [], None


def _permissions(view: ast.ClassDef) -> list[str]:
    found = []
    for statement in view.body:
        names, value = _assigned_to(statement)
        if "permission_classes" in names and value is not None:
            found.append(ast.unparse(value))
    return found


def _from_pattern(pattern: str) -> str:
    """Return a plain regular expression as the path that it matches."""
    text = pattern.removeprefix("^").removesuffix("$").removesuffix(r"\Z")
    return re.sub(r"/\?$", "/", re.sub(r"\\(.)", r"\1", text))


def anonymous(settings: Any) -> bool:
    """Say whether Django REST framework lets anybody in by these settings."""
    if not isinstance(settings, dict):
        return True
    classes = settings.get("DEFAULT_PERMISSION_CLASSES")
    if not isinstance(classes, list | tuple) or not classes:
        return True
    return any("AllowAny" in str(each) for each in classes)
