"""What an expression of a module comes to, as far as that can be told without running it."""

from __future__ import annotations

import ast
import os.path
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from gangway.operations.adoption.look.python import (
    Source,
    Sources,
    imports_of,
    text_of,
)
from gangway.operations.adoption.look.reads import Read, environment_read

REPOSITORY = "/repository"
"""Where the repository is, for the paths that a module makes from its `__file__`."""


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        return False


UNKNOWN: Any = _Unknown()
"""What can't be told."""

Scope = dict[str, Any]
_HOPS = 10
_TRUE = frozenset({"1", "true", "yes", "y", "on", "t", "ok"})
_TO_BOOL = ("strtobool", "str_to_bool", "str2bool")
_PATHS = frozenset({"pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath", "environ.Path"})
_TEXT = frozenset(
    {
        "strip", "lstrip", "rstrip", "lower", "upper", "removesuffix", "removeprefix", "replace",
        "split",
    }
)  # fmt: skip
_MAKE: Mapping[str, Callable[[Any], Any]] = {
    "str": str, "int": int, "list": list, "tuple": list, "set": list, "bool": bool,
}  # fmt: skip


class Values:
    """The values of modules' names, from their assignments in order.

    `environment` is what the variables are; one that isn't there has what the code says then.
    """

    def __init__(
        self, sources: Sources, roots: Iterable[str], environment: Mapping[str, str]
    ) -> None:
        self.sources = sources
        self.roots = tuple(roots)
        self.environment = environment
        self._scopes: dict[str, Scope] = {}

    def scope(self, path: str) -> Scope:
        """Return what a module's names are at its end; what can't be told is UNKNOWN."""
        if path not in self._scopes:
            # An import in a circle sees what is there so far.
            scope = self._scopes[path] = {"__file__": f"{REPOSITORY}/{path}"}
            source = self.sources[path]
            self._run(source.module.body, source, scope)
        return self._scopes[path]

    def of(self, node: ast.AST | None, source: Source, scope: Scope | None = None) -> Any:
        """Return what an expression of a module is, UNKNOWN where that can't be told."""
        known = self.scope(source.path) if scope is None else scope
        try:
            return _Expression(self, source, known).value(node)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ):
            return UNKNOWN

    def variable(self, read: Read, source: Source, scope: Scope) -> Any:
        """Return what a read of the environment gives."""
        if read.name in self.environment:
            return _cast(self.environment[read.name], read.kind)
        return UNKNOWN if read.is_required else self.of(read.default, source, scope)

    def default(self, read: Read) -> Any:
        """Return what a variable is where nothing sets it, UNKNOWN where that can't be told."""
        source = self.sources[read.path]
        scope = self.scope(read.path)
        owner = scope.get(read.owner)
        if isinstance(owner, _Attributes):
            # A field's default may be made of the fields before it.
            scope = {**scope, **owner.names}
        return self.of(read.default, source, scope)

    def _run(self, body: Iterable[ast.stmt], source: Source, scope: Scope) -> None:
        for statement in body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self._import(statement, source, scope)
            elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
                self._set(statement, source, scope)
            elif isinstance(statement, ast.If):
                self._branch(statement, source, scope)
            elif isinstance(statement, ast.Try | ast.With):
                self._run(statement.body, source, scope)
            elif isinstance(statement, ast.ClassDef):
                inner = dict(scope)
                self._run(statement.body, source, inner)
                scope[statement.name] = _Attributes(inner)

    def _set(
        self, statement: ast.Assign | ast.AnnAssign | ast.AugAssign, source: Source, scope: Scope
    ) -> None:
        if statement.value is None:
            return
        value = self.of(statement.value, source, scope)
        if isinstance(statement, ast.AugAssign):
            _add(statement, value, scope)
            return
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            _assign(target, value, scope)

    def _branch(self, statement: ast.If, source: Source, scope: Scope) -> None:
        test = self.of(statement.test, source, scope)
        if test is not UNKNOWN:
            self._run(statement.body if test else statement.orelse, source, scope)
            return
        # Either may be; what is written first is the more usual case, and what is known counts.
        for body in (statement.orelse, statement.body):
            before = dict(scope)
            self._run(body, source, scope)
            for name, value in before.items():
                if scope.get(name) is UNKNOWN:
                    scope[name] = value

    def _import(self, statement: ast.stmt, source: Source, scope: Scope) -> None:
        for each in imports_of([statement]):
            found = self.sources.imported(source, self.roots, each)
            if not found:
                continue
            path, name = found
            if name == "*":
                there = self.scope(path).items()
                scope.update((key, value) for key, value in there if not key.startswith("_"))
            elif name:
                scope[each.local] = _Later(self, path, name)
            elif each.local:
                scope[each.local] = _Module(self, path)


class _Attributes:
    """A class, or what was made of one: its names are its attributes."""

    def __init__(self, names: Scope) -> None:
        self.names = names

    def get(self, name: str) -> Any:
        return resolved(self.names.get(name, UNKNOWN))


class _Module:
    """A module as a value: its names are looked up when they are asked for."""

    def __init__(self, values: Values, path: str) -> None:
        self.values, self.path = values, path

    def get(self, name: str) -> Any:
        return resolved(self.values.scope(self.path).get(name, UNKNOWN))


class _Later:
    """A name of another module, which is looked at when the name is asked for."""

    def __init__(self, values: Values, path: str, name: str) -> None:
        self.values, self.path, self.name = values, path, name


def resolved(value: Any) -> Any:
    """Return a name's value, that of another module's name looked up."""
    for _ in range(_HOPS):
        if not isinstance(value, _Later):
            return value
        value = value.values.scope(value.path).get(value.name, UNKNOWN)
    return UNKNOWN


def _assign(target: ast.expr, value: Any, scope: Scope) -> None:
    if isinstance(target, ast.Name):
        scope[target.id] = value
    elif isinstance(target, ast.Tuple | ast.List):
        for number, each in enumerate(target.elts):
            known = isinstance(value, list) and number < len(value)
            _assign(each, value[number] if known else UNKNOWN, scope)
    elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
        whole, key = resolved(scope.get(target.value.id)), text_of(target.slice)
        if isinstance(whole, dict) and key is not None:
            whole[key] = value


def _add(statement: ast.AugAssign, value: Any, scope: Scope) -> None:
    if not isinstance(statement.target, ast.Name):
        return
    before = resolved(scope.get(statement.target.id, UNKNOWN))
    same = type(before) is type(value) and isinstance(before, str | list | int)
    if same and isinstance(statement.op, ast.Add):
        scope[statement.target.id] = before + value
    elif not isinstance(before, list):
        scope[statement.target.id] = UNKNOWN


def _cast(text: str, kind: str) -> Any:
    if kind == "bool":
        return text.strip().lower() in _TRUE
    if kind == "int":
        return int(text) if text.strip().isdecimal() else UNKNOWN
    if kind in ("list", "tuple"):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


class _Expression:
    """Works an expression out in a module's scope."""

    def __init__(self, values: Values, source: Source, scope: Scope) -> None:
        self.values, self.source, self.scope = values, source, scope

    def value(self, node: ast.AST | None) -> Any:
        if node is None:
            return UNKNOWN
        if read := environment_read(node, self.source):
            return self.values.variable(read, self.source, self.scope)
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        return method(node) if method else UNKNOWN

    def _every(self, nodes: Iterable[ast.AST]) -> Any:
        found: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                inner = self.value(node.value)
                if inner is UNKNOWN:
                    continue
                found += inner
            else:
                found.append(self.value(node))
        return found

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        return resolved(self.scope.get(node.id, UNKNOWN))

    def _namedexpr(self, node: ast.NamedExpr) -> Any:
        value = self.value(node.value)
        _assign(node.target, value, self.scope)
        return value

    def _attribute(self, node: ast.Attribute) -> Any:
        if self.source.origin(node) == "os.environ":
            return dict(self.values.environment)
        whole = self.value(node.value)
        if isinstance(whole, PurePosixPath):
            return {"parent": whole.parent, "parents": whole.parents, "name": whole.name}.get(
                node.attr, UNKNOWN
            )
        return whole.get(node.attr) if isinstance(whole, _Attributes | _Module) else UNKNOWN

    def _list(self, node: ast.List | ast.Tuple | ast.Set) -> Any:
        return self._every(node.elts)

    _tuple = _set = _list

    def _dict(self, node: ast.Dict) -> Any:
        found: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            known = self.value(key)
            if key is None:
                inner = self.value(value)
                found.update(inner if isinstance(inner, dict) else {})
            elif known is not UNKNOWN:
                found[known] = self.value(value)
        return found

    def _joinedstr(self, node: ast.JoinedStr) -> Any:
        parts = [
            self.value(part.value if isinstance(part, ast.FormattedValue) else part)
            for part in node.values
        ]
        return UNKNOWN if UNKNOWN in parts else "".join(str(part) for part in parts)

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if left is UNKNOWN or right is UNKNOWN:
            known = right if left is UNKNOWN else left
            # A list of which a part is known.
            return known if isinstance(known, list) and isinstance(node.op, ast.Add) else UNKNOWN
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Div):
            return left / right
        if isinstance(node.op, ast.Mult):
            return left * right if isinstance(left, int) and isinstance(right, int) else UNKNOWN
        if isinstance(node.op, ast.Sub) and isinstance(left, PurePosixPath):
            # environ.Path(__file__) - 2 goes up.
            return left.parents[right - 1]
        return UNKNOWN

    def _boolop(self, node: ast.BoolOp) -> Any:
        value: Any = UNKNOWN
        for each in node.values:
            value = self.value(each)
            if value is UNKNOWN or bool(value) is isinstance(node.op, ast.Or):
                return value
        return value

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if value is UNKNOWN:
            return UNKNOWN
        return not value if isinstance(node.op, ast.Not) else UNKNOWN

    def _compare(self, node: ast.Compare) -> Any:
        if len(node.ops) != 1:
            return UNKNOWN
        left, right, kind = self.value(node.left), self.value(node.comparators[0]), node.ops[0]
        if left is UNKNOWN or right is UNKNOWN:
            return UNKNOWN
        if isinstance(kind, ast.Eq | ast.Is):
            return left == right
        if isinstance(kind, ast.NotEq | ast.IsNot):
            return left != right
        if isinstance(kind, ast.In | ast.NotIn):
            return (left in right) is isinstance(kind, ast.In)
        return UNKNOWN

    def _ifexp(self, node: ast.IfExp) -> Any:
        test = self.value(node.test)
        if test is UNKNOWN:
            return UNKNOWN
        return self.value(node.body if test else node.orelse)

    def _subscript(self, node: ast.Subscript) -> Any:
        whole, key = self.value(node.value), self.value(node.slice)
        if whole is UNKNOWN or key is UNKNOWN or isinstance(whole, _Attributes | _Module):
            return UNKNOWN
        return whole[key]

    def _listcomp(self, node: ast.ListComp | ast.GeneratorExp) -> Any:
        loop = node.generators[0]
        every = self.value(loop.iter)
        if len(node.generators) > 1 or every is UNKNOWN or not isinstance(loop.target, ast.Name):
            return UNKNOWN
        found = []
        for each in every:
            inner = _Expression(self.values, self.source, {**self.scope, loop.target.id: each})
            if all(inner.value(test) for test in loop.ifs):
                found.append(inner.value(node.elt))
        return found

    _generatorexp = _setcomp = _listcomp

    def _call(self, node: ast.Call) -> Any:
        name = self.source.origin(node.func)
        arguments = self._every(node.args)
        if name == "map" and isinstance(arguments[-1], list):
            # map(str.strip, hosts): the only thing that is done to a setting's parts.
            return [each.strip() for each in arguments[-1]]
        if UNKNOWN in arguments:
            return UNKNOWN
        if arguments and (function := _function(name)):
            return function(*arguments)
        if isinstance(node.func, ast.Attribute):
            return _method(self.value(node.func.value), node.func.attr, arguments)
        whole = self.value(node.func)
        return whole if isinstance(whole, _Attributes) else UNKNOWN


def _function(name: str) -> Callable[..., Any] | None:
    """Return what a function does, for those that settings are made with."""
    if name in _PATHS or name.endswith("environ.Path"):
        return lambda *parts: PurePosixPath(*map(str, parts))
    if name.startswith("os.path."):
        return lambda *parts: _os_path(name.removeprefix("os.path."), list(map(str, parts)))
    if name.rpartition(".")[2] in _TO_BOOL:
        return lambda text, *_: _cast(str(text), "bool")
    return _MAKE.get(name)


def _os_path(function: str, texts: list[str]) -> Any:
    if function == "join":
        return os.path.join(*texts)  # noqa: PTH118
    if function == "dirname":
        return os.path.dirname(texts[0])  # noqa: PTH120
    return texts[0] if function in ("abspath", "realpath", "normpath") else UNKNOWN


def _method(whole: Any, name: str, arguments: list[Any]) -> Any:
    if isinstance(whole, PurePosixPath):
        if name in ("joinpath", "path"):
            return whole.joinpath(*arguments)
        return whole if name in ("resolve", "absolute", "expanduser") else UNKNOWN
    if isinstance(whole, str) and name in _TEXT:
        return getattr(whole, name)(*arguments)
    if isinstance(whole, str) and name == "format" and re.fullmatch(r"(?:[^{}]|\{\d*\})*", whole):
        return whole.format(*arguments)
    return whole.get(*arguments) if isinstance(whole, dict) and name == "get" else UNKNOWN


def repository_path(value: Any) -> str | None:
    """Return a path that a module made from its `__file__` as seen from the repository's root.

    None is for a path that isn't known or is elsewhere.
    """
    if not isinstance(value, str | PurePosixPath):
        return None
    path = os.path.normpath(str(value))
    if path == REPOSITORY:
        return ""
    return path[len(REPOSITORY) + 1 :] if path.startswith(f"{REPOSITORY}/") else None
