"""What of the environment the code reads, and what it does where nothing is set."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from gangway.operations.adoption.look.python import GETS, Source, argument, name_of, text_of

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The methods of environ.Env and environs.Env that read a variable.
_KINDS = frozenset(
    {
        "str", "bool", "int", "float", "list", "tuple", "dict", "json", "url", "path", "bytes",
        "decimal", "date", "datetime", "timedelta", "uuid", "log_level", "enum", "db", "db_url",
        "dj_db_url", "cache", "cache_url", "email", "email_url", "search_url", "channels",
        "get_value", "dj_cache_url", "dj_email_url",
    }
)  # fmt: skip
# What they read where nobody says.
_UNNAMED = {
    "db": "DATABASE_URL", "db_url": "DATABASE_URL", "dj_db_url": "DATABASE_URL",
    "cache": "CACHE_URL", "cache_url": "CACHE_URL", "email": "EMAIL_URL",
    "email_url": "EMAIL_URL",
}  # fmt: skip
_HELPERS = frozenset(
    {"get_env", "get_env_variable", "get_env_value", "get_env_var", "env_var", "require_env"}
)
_CASTS = {"bool": "bool", "int": "int", "float": "float", "Csv": "list", "list": "list"}
_NOTHING = ast.Constant(value=None)


class Read(NamedTuple):
    """One place where the code reads a variable."""

    name: str
    where: str
    """`path:line`."""
    default: ast.expr | None
    """What it is where nothing is set; None where it must be set."""
    kind: str = "str"
    """What it is made into: `str`, `bool`, `int`, `list`, `url`, `db`."""
    choices: tuple[str, ...] = ()
    """The values that it may have, where the code says it."""
    owner: str = ""
    """The settings class that it is a field of."""

    @property
    def path(self) -> str:
        """The file."""
        return self.where.rpartition(":")[0]

    @property
    def is_required(self) -> bool:
        """Whether the code can't do without it."""
        return self.default is None


def environment_read(node: ast.AST, source: Source) -> Read | None:
    """Return what an expression reads of the environment, None where it reads nothing of it."""
    if isinstance(node, ast.Subscript):
        name = text_of(node.slice)
        if name and isinstance(node.ctx, ast.Load) and source.origin(node.value) == "os.environ":
            return Read(name, source.where(node), None)
        return None
    if not isinstance(node, ast.Call):
        return None
    return _plain(node, source) or _helped(node, source) or _url_of_database(node, source)


def reads(source: Source) -> Iterator[Read]:
    """Yield every place of a module that reads a variable."""
    for node, spared in _visited(source.module, source):
        if found := environment_read(node, source):
            found = _with_schema(found, source)
            yield found._replace(default=_NOTHING) if spared and found.is_required else found
        elif isinstance(node, ast.ClassDef) and _is_settings(node, source):
            yield from _fields(node, source)
        elif isinstance(node, ast.Compare) and _asks_for(node, source):
            yield Read(text_of(node.left) or "", source.where(node), _NOTHING)
        elif (found := _used_at_once(node, source)) and not spared:
            yield found


def _visited(top: ast.AST, source: Source) -> Iterator[tuple[ast.AST, bool]]:
    """Yield nodes, each with whether it is only come to where the environment has something."""
    switches = {
        name
        for name, value in source.assigned()
        if any(environment_read(node, source) for node in ast.walk(value))
    }
    waiting = [(top, False)]
    while waiting:
        node, spared = waiting.pop()
        yield node, spared
        for name, value in ast.iter_fields(node):
            below = spared or _spares(node, name, source, switches)
            every = value if isinstance(value, list) else [value]
            waiting += [(each, below) for each in reversed(every) if isinstance(each, ast.AST)]


def _spares(node: ast.AST, field: str, source: Source, switches: Collection[str]) -> bool:
    """Say whether what is in a part of a statement is looked at only if something is set."""
    if isinstance(node, ast.If | ast.IfExp) and field in ("body", "orelse"):
        return _mentions_environment(node.test, source, switches)
    if isinstance(node, ast.Try) and field == "body":
        return bool(node.handlers)
    if isinstance(node, ast.BoolOp) and field == "values":
        return _mentions_environment(node.values[0], source, switches)
    return False


def _mentions_environment(test: ast.AST, source: Source, switches: Collection[str]) -> bool:
    return any(
        environment_read(node, source)
        or (isinstance(node, ast.Compare) and _asks_for(node, source))
        or (isinstance(node, ast.Name) and node.id in switches)
        for node in ast.walk(test)
    )


def _used_at_once(node: ast.AST, source: Source) -> Read | None:
    """`os.environ.get("HOSTS").split()`: without a value, it ends the program."""
    inner: ast.AST | None = None
    if isinstance(node, ast.Attribute):
        inner = node.value
    elif isinstance(node, ast.Call) and name_of(node.func) in ("int", "float") and node.args:
        inner = node.args[0]
    if not isinstance(inner, ast.Call) or source.origin(inner.func) not in GETS:
        return None
    if argument(inner, 1, "default") is not None:
        return None
    found = environment_read(inner, source)
    return found._replace(default=None) if found else None


def _plain(node: ast.Call, source: Source) -> Read | None:
    if source.origin(node.func) not in GETS:
        return None
    name = text_of(argument(node, 0, "key"))
    if not name:
        return None
    return Read(name, source.where(node), argument(node, 1, "default") or _NOTHING)


def _helped(node: ast.Call, source: Source) -> Read | None:
    """environ.Env, environs.Env, decouple, Starlette's Config, and helpers with a telling name."""
    function, kind = name_of(node.func), "str"
    if "." in function:
        function, _, kind = function.rpartition(".")
        if kind not in _KINDS:
            return None
    short = function.rpartition(".")[2]
    # Made of environ or environs here, or taken over from the settings that do.
    taken = any(each.local == short and each.name for each in source.imports)
    is_env = short.lower() == "env" and ("environ" in source.text or taken)
    is_config = short == "config" and re.search(r"decouple|starlette\.config", source.text)
    own = source.readers
    is_helper = (short in _HELPERS or function in own) and kind == "str"
    if not (is_env or is_config or is_helper):
        return None
    name = text_of(argument(node, 0, "var", "name", "option"))
    if name is None and is_env and not node.args:
        name = _UNNAMED.get(kind)
    if not name or not _NAME.fullmatch(name):
        return None
    given = argument(node, 1, "default")
    if is_config:
        given = argument(node, 1 if "decouple" in source.text else 2, "default")
    if is_helper:
        kind = next((each for each in ("bool", "int", "list") if each in short.lower()), kind)
        if given is None and own.get(function):
            given = _NOTHING
    cast = argument(node, None, "cast")
    if cast is not None:
        kind = _CASTS.get(name_of(cast.func if isinstance(cast, ast.Call) else cast), kind)
    return Read(name, source.where(node), given, kind)


def _url_of_database(node: ast.Call, source: Source) -> Read | None:
    """dj_database_url.config(), which reads DATABASE_URL by itself."""
    if source.origin(node.func) != "dj_database_url.config":
        return None
    name = text_of(argument(node, 0, "env")) or "DATABASE_URL"
    return Read(name, source.where(node), argument(node, 1, "default") or _NOTHING, "db")


def _with_schema(found: Read, source: Source) -> Read:
    """Give a read the default that environ.Env(NAME=(type, default)) has for it."""
    if not found.is_required or "environ" not in source.text:
        return found
    for call in source.calls():
        if source.origin(call.func).rpartition(".")[2] in ("Env", "FileAwareEnv"):
            given = argument(call, None, found.name)
            if isinstance(given, ast.Tuple) and len(given.elts) == 2:
                return found._replace(default=given.elts[1], kind=name_of(given.elts[0]) or "str")
    return found


def _asks_for(node: ast.Compare, source: Source) -> bool:
    return (
        len(node.ops) == 1
        and isinstance(node.ops[0], ast.In | ast.NotIn)
        and text_of(node.left) is not None
        and source.origin(node.comparators[0]) == "os.environ"
    )


# -- pydantic ---------------------------------------------------------------------------------


def _is_settings(node: ast.ClassDef, source: Source) -> bool:
    names = [source.origin(base).rpartition(".")[2] for base in node.bases]
    if "BaseSettings" in names:
        return True
    bases = [
        other
        for other in source.module.body
        if isinstance(other, ast.ClassDef) and other.name in names and other is not node
    ]
    return any(_is_settings(other, source) for other in bases)


def _fields(node: ast.ClassDef, source: Source) -> Iterator[Read]:
    prefix, delimiter = _configured(node, source)
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        field, annotation = statement.target.id, ast.unparse(statement.annotation)
        if field.startswith("_") or field == "model_config" or "ClassVar" in annotation:
            continue
        names, default = _named(field, prefix, statement.value)
        inner = _model(annotation, source) if delimiter else None
        if inner is not None:
            for each in _fields(inner, source):
                yield each._replace(name=f"{names[0]}{delimiter}{each.name}")
            continue
        if default is None and re.search(r"\bOptional\b|\bNone\b", annotation):
            # An answer of pydantic 1, and what a later version's user means, too.
            default = _NOTHING
        for name in names:
            kind, choices = _field_kind(annotation), _choices(annotation)
            yield Read(name, source.where(statement), default, kind, choices, node.name)


def _named(field: str, prefix: str, value: ast.expr | None) -> tuple[list[str], ast.expr | None]:
    """Return a field's variables and its default; `Field(...)` may name others."""
    names = [f"{prefix}{field}".upper()]
    if not isinstance(value, ast.Call) or name_of(value.func).rpartition(".")[2] != "Field":
        return names, value
    default = argument(value, 0, "default", "default_factory")
    if isinstance(default, ast.Constant) and default.value is Ellipsis:
        default = None
    given = argument(value, None, "validation_alias", "alias", "env")
    if isinstance(given, ast.Call | ast.List | ast.Tuple):
        parts = given.args if isinstance(given, ast.Call) else given.elts
        others = [text for part in parts if (text := text_of(part))]
        names = [other.upper() for other in others] or names
    elif text := text_of(given):
        names = [text.upper()]
    return names, default


def _configured(node: ast.ClassDef, source: Source) -> tuple[str, str]:
    """Return a settings class's prefix and its delimiter of nested names."""
    known: dict[str, ast.expr] = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign) and name_of(statement.targets[0]) == "model_config":
            known.update(_entries(statement.value))
        elif isinstance(statement, ast.ClassDef) and statement.name == "Config":
            known.update(
                (name_of(each.targets[0]), each.value)
                for each in statement.body
                if isinstance(each, ast.Assign)
            )
    if known:
        prefix, delimiter = known.get("env_prefix"), known.get("env_nested_delimiter")
        return text_of(prefix) or "", text_of(delimiter) or ""
    names = [name_of(base) for base in node.bases]
    for other in source.module.body:
        if isinstance(other, ast.ClassDef) and other.name in names and other is not node:
            return _configured(other, source)
    return "", ""


def _entries(value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names and values of a call's keywords, or of a dictionary."""
    if isinstance(value, ast.Call):
        yield from ((each.arg or "", each.value) for each in value.keywords)
    elif isinstance(value, ast.Dict):
        yield from zip((text_of(key) or "" for key in value.keys), value.values, strict=True)


def _model(annotation: str, source: Source) -> ast.ClassDef | None:
    for statement in source.module.body:
        if isinstance(statement, ast.ClassDef) and statement.name == annotation:
            names = [name_of(base).rpartition(".")[2] for base in statement.bases]
            return statement if "BaseModel" in names else None
    return None


def _choices(annotation: str) -> tuple[str, ...]:
    inside = re.search(r"\bLiteral\[([^\]]*)\]", annotation)
    return tuple(re.findall(r"['\"]([^'\"]*)['\"]", inside[1])) if inside else ()


def _field_kind(annotation: str) -> str:
    for word, kind in (("bool", "bool"), ("int", "int"), ("list", "list"), ("Dsn", "url")):
        if word in annotation:
            return kind
    return "str"
