"""Python sources as text and trees: what a module imports, where a name comes from."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import NamedTuple

from gangway.operations.adoption.look.tree import Tree, ancestors, join, parent

_SIZE = 512 * 1024
"""A larger module is generated, or data."""
_ASIDE = frozenset(
    {
        "benchmark", "benchmarks", "doc", "docs", "e2e", "example", "examples", "fixtures",
        "node_modules", "sample", "samples", "site-packages", "spec", "specs", "test", "tests",
        "venv", ".venv", ".devcontainer", ".github",
    }
)  # fmt: skip
_ASIDE_NAME = re.compile(r"(test_.*|.*_test|tests|conftest)\.py")


GETS = frozenset({"os.getenv", "os.environ.get", "os.environ.pop"})
"""The functions that read a variable of the environment."""


class Import(NamedTuple):
    """One name that a module imports."""

    local: str
    """What it is called here."""
    module: str
    """The module, dots in front of it where it is relative."""
    name: str
    """The name in that module; empty where it is the module itself, `*` for all."""


class Source:
    """One Python file, parsed when its tree is asked for."""

    def __init__(self, tree: Tree, path: str) -> None:
        self.path = path
        self.text = tree.text(path)

    @cached_property
    def module(self) -> ast.Module:
        """The tree, less the statements of a newer Python than this one."""
        return _parsed(self.text)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node, in no order to rely on."""
        return tuple(ast.walk(self.module))

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """What the module imports, wherever in it that is."""
        return tuple(imports_of(self.nodes))

    @cached_property
    def _origins(self) -> dict[str, str]:
        return {
            each.local: ".".join(part for part in (each.module, each.name) if part)
            for each in reversed(self.imports)
            if each.name != "*"
        }

    @cached_property
    def readers(self) -> dict[str, bool]:
        """The module's functions that read the variable which their first argument names.

        Each with whether it has a default for it.
        """
        found: dict[str, bool] = {}
        for node in self.module.body if "environ" in self.text or "getenv" in self.text else ():
            if not isinstance(node, ast.FunctionDef) or not node.args.args:
                continue
            for inner in ast.walk(node):
                named: ast.AST | None = None
                if isinstance(inner, ast.Call) and self.origin(inner.func) in GETS:
                    named = inner.args[0] if inner.args else None
                elif isinstance(inner, ast.Subscript) and self.origin(inner.value) == "os.environ":
                    named = inner.slice
                if name_of(named) == node.args.args[0].arg:
                    found[node.name] = bool(node.args.defaults)
        return found

    def origin(self, node: ast.AST) -> str:
        """Return the dotted name that an expression stands for: `fastapi.FastAPI` for `FastAPI`.

        What isn't a name, or comes from nowhere, is empty or the bare name.
        """
        dotted = name_of(node)
        head, _, rest = dotted.partition(".")
        known = self._origins.get(head) if head else None
        if known is None:
            return dotted
        return f"{known}.{rest}" if rest else known

    def where(self, node: ast.AST) -> str:
        """Return the place of a node: `path:line`."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"

    def assigned(self) -> Iterator[tuple[str, ast.expr]]:
        """Yield what is assigned to plain names outside functions, branches included."""
        for statement in outside(self.module.body):
            if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
                continue
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, statement.value

    def calls(self) -> Iterator[ast.Call]:
        """Yield every call in the module."""
        return (node for node in self.nodes if isinstance(node, ast.Call))


class Sources:
    """The Python files of a tree, and how they find each other."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._sources: dict[str, Source] = {}

    def __getitem__(self, path: str) -> Source:
        """Return a file's source, empty where there is no such file."""
        if path not in self._sources:
            self._sources[path] = Source(self.tree, path)
        return self._sources[path]

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The Python files of the app: no tests, documents, examples."""
        return tuple(
            file
            for file, size in self.tree.sizes.items()
            if file.endswith(".py") and size <= _SIZE and not is_aside(file)
        )

    def saying(self, words: str, files: Iterable[str] | None = None) -> Iterator[Source]:
        """Yield the files whose text matches; no others are parsed."""
        pattern = re.compile(words)
        for path in self.files if files is None else files:
            if pattern.search(self.tree.text(path)):
                yield self[path]

    def module_file(self, roots: Iterable[str], module: str) -> str | None:
        """Return the file that a dotted name is, from the first of the roots that has it."""
        path = module.replace(".", "/")
        for root in roots:
            for name in (f"{path}.py", f"{path}/__init__.py"):
                if self.tree.has(file := join(root, name)):
                    return file
        return None

    def imported(
        self, source: Source, roots: Iterable[str], each: Import
    ) -> tuple[str, str] | None:
        """Return the file and the name in it that an import stands for; the name may be empty.

        None is for what isn't here: a library.
        """
        module, known = each.module, list(roots)
        if module.startswith("."):
            level = len(module) - len(module.lstrip("."))
            folder = parent(source.path)
            for _ in range(level - 1):
                folder = parent(folder)
            module, known = module[level:], [folder]
        if each.name and each.name != "*":
            below = f"{module}.{each.name}" if module else each.name
            if (file := self.module_file(known, below)) and not file.endswith("/__init__.py"):
                return file, ""
            if file:
                return file, ""
        file = self.module_file(known, module) if module else None
        if not module and known and self.tree.has(init := join(known[0], "__init__.py")):
            file = init
        return (file, each.name) if file else None

    def reached(self, start: Iterable[str], roots: Iterable[str]) -> frozenset[str]:
        """Return the files that these import, and those in turn, the packages' own among them."""
        known, waiting = set[str](), list(start)
        all_roots = tuple(roots)
        while waiting:
            path = waiting.pop()
            if path in known or not self.tree.has(path):
                continue
            known.add(path)
            source = self[path]
            for each in source.imports:
                if found := self.imported(source, all_roots, each):
                    waiting.append(found[0])
                if not each.module.startswith(".") and each.name:
                    plain = Import(each.local, each.module, "")
                    if found := self.imported(source, all_roots, plain):
                        waiting.append(found[0])
            waiting += [join(folder, "__init__.py") for folder in ancestors(parent(path))]
        return frozenset(known)

    def import_root(self, path: str) -> str:
        """Return the folder that must be on sys.path for a module to find what it imports."""
        source, folder = self[path], parent(path)
        scores: dict[str, int] = {}
        for candidate in ancestors(folder):
            scores[candidate] = sum(
                _depth(self, candidate, each)
                for each in source.imports
                if each.module and not each.module.startswith(".")
            )
        best = max(scores.values())
        packaged = folder
        while self.tree.has(join(packaged, "__init__.py")) and packaged:
            packaged = parent(packaged)
        if not best:
            relative = any(each.module.startswith(".") for each in source.imports)
            return parent(folder) if relative and packaged == folder else packaged
        # The same names may resolve from two folders; the package's own is the likelier.
        among = [candidate for candidate, score in scores.items() if score == best]
        return packaged if packaged in among else among[0]


def _depth(sources: Sources, folder: str, each: Import) -> int:
    parts = each.module.split(".")
    for length in range(len(parts), 0, -1):
        path = join(folder, *parts[:length])
        if sources.tree.has(f"{path}.py") or sources.tree.has(f"{path}/__init__.py"):
            return length
        if path in sources.tree.folders and any(
            name.endswith(".py") for name in sources.tree.beside(path)
        ):
            # A package without __init__.py; a folder that is only called like a library isn't one.
            return length
    return 0


def module_name(path: str, root: str) -> str:
    """Return the dotted name of a file as seen from a folder."""
    seen = path[len(root) :].lstrip("/") if root else path
    dotted = seen.removesuffix(".py").replace("/", ".")
    return dotted.removesuffix(".__init__")


def is_aside(path: str) -> bool:
    """Say whether a file is a test, a document or an example, not the app."""
    parts = PurePosixPath(path).parts
    return any(part.lower() in _ASIDE for part in parts[:-1]) or bool(
        _ASIDE_NAME.fullmatch(parts[-1])
    )


def name_of(node: ast.AST | None) -> str:
    """Return a dotted name as it is written, nothing for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = name_of(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def text_of(node: ast.AST | None) -> str | None:
    """Return a string as it is written, None for any other expression."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def argument(call: ast.Call, place: int | None, *names: str) -> ast.expr | None:
    """Return a call's argument by its place or its name."""
    for keyword in call.keywords:
        if keyword.arg in names:
            return keyword.value
    if place is not None and place < len(call.args):
        found = call.args[place]
        return None if isinstance(found, ast.Starred) else found
    return None


def outside(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements and those in their branches, none of functions and classes."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            yield from outside(statement.body)
            yield from outside(getattr(statement, "orelse", ()))
            yield from outside(getattr(statement, "finalbody", ()))
            for handler in getattr(statement, "handlers", ()):
                yield from outside(handler.body)


def imports_of(nodes: Iterable[ast.AST]) -> Iterator[Import]:
    """Yield what the import statements among the nodes import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for each in node.names:
                local = each.asname or each.name.partition(".")[0]
                module = each.name if each.asname else each.name.partition(".")[0]
                yield Import(local, module, "")
                if not each.asname and "." in each.name:
                    # `import a.b` reaches a.b by the name a.
                    yield Import("", each.name, "")
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for each in node.names:
                yield Import(each.asname or each.name, module, each.name)


# Newer than the Python that Gangway may run on, and plain enough to be said in older words.
_NEWER = (
    (re.compile(r"^(\s*except\s+)([\w.]+(?:\s*,\s*[\w.]+)+)(\s*:)", re.MULTILINE), r"\1(\2)\3"),
    (
        re.compile(r"^(\s*(?:async\s+)?(?:def|class)\s+\w+)\[[^\]\n]*\](?=\s*[(:])", re.MULTILINE),
        r"\1",
    ),
    (re.compile(r"^(\s*)type\s+(\w+)(?:\[[^\]\n]*\])?\s*=", re.MULTILINE), r"\1\2 ="),
)
_TRIES = 20


def _parsed(text: str) -> ast.Module:
    try:
        return _tree(text)
    except SyntaxError:
        pass
    for pattern, other in _NEWER:
        text = pattern.sub(other, text)
    lines = text.split("\n")
    for _ in range(_TRIES):
        try:
            return _tree("\n".join(lines))
        except SyntaxError as error:
            number = (error.lineno or 1) - 1
            if number >= len(lines) or lines[number].strip() == "pass":
                break
            line = lines[number]
            indent = line[: len(line) - len(line.lstrip())]
            lines[number] = indent + ("if True:" if line.rstrip().endswith(":") else "pass")
    return ast.Module(body=[], type_ignores=[])


def _tree(text: str) -> ast.Module:
    """Parse a text; what is no text of a program at all is empty."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (ValueError, RecursionError, MemoryError):
        return ast.Module(body=[], type_ignores=[])


_PYTHON_2 = re.compile(
    r"^[ \t]*(?:print[ \t]+(?:[\"'%]|\w+[ \t]*$)|except[ \t]+[\w.]+[ \t]*,[ \t]*[a-z]\w*[ \t]*:"
    r"|exec[ \t]+[\"']|raise[ \t]+\w+[ \t]*,[ \t]*[\"'])",
    re.MULTILINE,
)


def python_2_line(source: Source) -> int:
    """Return the line of a statement that only Python 2 knows; 0 where there is none."""
    match = _PYTHON_2.search(source.text)
    if not match:
        return 0
    try:
        _tree(source.text)
    except SyntaxError:
        return source.text.count("\n", 0, match.start()) + 1
    return 0
