"""What the contract says: one Spec for each variable.

Gangway's own variables are described in the package, a repository's in env/contract.yml, and those
of one of its stacks in stacks/NAME/contract.yml, all in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, get_args

from gangway.base.errors import Finding, FindingsError, GangwayError, nearest
from gangway.settings import cache
from gangway.settings.environment import DEFAULT_STACK, Environment, Kind, stack_file

FILE: Final = "env/contract.yml"
"""The repository's own part, which it must have."""
OWN: Final = Path(__file__).with_suffix(".yml")
ALL_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_Check = Callable[[str, object], Iterator[str]]
# A file, a name in it, and what is wrong with that.
Fault = tuple[str, str, str]

_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|(API|PRIVATE|ACCESS)_?KEY")


class Spec(NamedTuple):
    """What the contract says about one variable; contract.yml beside this explains the fields.

    `stack` is whose variable it is; empty for one that every stack has.
    """

    name: str
    type: str
    meaning: str
    group: str
    default: str | Mapping[Kind, str] | None = None
    required: frozenset[Kind] = frozenset()
    secret: bool = False
    secret_file: str | None = None
    in_file: str | None = None
    instead_of: str | None = None
    only_with: Mapping[str, str] = MappingProxyType({})
    insecure: frozenset[str] = frozenset()
    below: str | None = None
    choices: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    pattern: str | None = None
    exists: bool = False
    published: bool = False
    service: str | None = None
    profile: str | None = None
    inside: bool = False
    stack: str = ""

    def default_for(self, kind: Kind) -> str | None:
        """Return the Compose files' default in environments of that kind, None without one."""
        if isinstance(self.default, Mapping):
            return self.default.get(kind)
        return self.default

    def fault(self, value: str) -> str | None:
        """Return what is wrong with `value` by type, bounds and pattern; None when it is right.

        An empty value is right here: whether it may be empty is a matter of `required`.
        """
        if not value:
            return None
        fault = _TYPES[self.type](self, value)
        if fault is None and self.pattern and not re.fullmatch(self.pattern, value):
            return f"does not look like {self.pattern}"
        return fault


class Contract(NamedTuple):
    """All variables by name, and the prefixes of names that other tools own."""

    variables: Mapping[str, Spec]
    prefixes: tuple[str, ...] = ()

    def knows(self, name: str) -> bool:
        """Say whether an env file may set `name`."""
        return name in self.variables or name.startswith(self.prefixes)

    def is_secret(self, name: str) -> bool:
        """Say whether the value of `name` must never be shown; a guess for unknown names."""
        spec = self.variables.get(name)
        return spec.secret if spec else bool(_SECRET_NAME.search(name.upper()))

    def of_stack(self, stack: str) -> list[Spec]:
        """Return the variables that a stack has: its own, and those that every stack has."""
        return [spec for spec in self.variables.values() if spec.stack in ("", stack)]

    def published(self, stack: str) -> list[Spec]:
        """Return the variables of a stack that are ports on this machine, in order."""
        return [spec for spec in self.of_stack(stack) if spec.published]

    def secret_files(self, stack: str) -> list[str]:
        """Return the names of a stack's secrets, files in SECRETS_DIR, in order."""
        return [spec.secret_file for spec in self.of_stack(stack) if spec.secret_file]


def load(root: Path) -> Contract:
    """Return the contract of the checkout at `root`: Gangway's own, the repository's, its stacks'.

    Raises GangwayError (all faults at once) where a part is missing or malformed.
    """
    own = f"gangway/settings/{OWN.name}"
    texts = {own: OWN.read_text(encoding="utf-8"), FILE: _text(root, FILE)}
    for path in sorted(root.glob("stacks/*/contract.yml")):
        file = path.relative_to(root).as_posix()
        texts[file] = _text(root, file)
    rules = Path(__file__).stat()
    made_of = [texts, rules.st_mtime_ns, rules.st_size]
    if kept := cache.kept(root, "contract", made_of):
        return _build(kept, _known_to_be_right)[0]
    data = {file: _parsed(text, file) for file, text in texts.items()}
    contract, faults = _build(data, _problems)
    if faults:
        places = {file: _lines(text) for file, text in texts.items()}
        findings = [
            Finding(what, f"{file}:{places[file][name]}" if name in places[file] else file)
            for file, name, what in faults
        ]
        malformed = " and ".join(dict.fromkeys(file for file, _, _ in faults))
        raise FindingsError(findings, summary=f"{malformed} is malformed")
    cache.keep(root, "contract", made_of, data)
    return contract


def described(texts: Mapping[str, str]) -> Contract:
    """Return what files say that are known to be right; `texts` are theirs, by path."""
    return _build({file: _parsed(text, file) for file, text in texts.items()}, _known_to_be_right)[
        0
    ]


def needed(variable: str, environment: Environment) -> str:
    """Return the value that a stack must give a variable for a task; else raise GangwayError."""
    spec = load(environment.root).variables.get(variable)
    value = environment.get(variable)
    if not value and spec:
        value = spec.default_for(environment.kind) or ""
    if not value:
        whose = environment.stack != DEFAULT_STACK
        file = stack_file(environment.stack) if whose else f"env/{environment.name}.env"
        raise GangwayError(
            f"the {environment.stack} stack has no {variable}", fix=f"set it in {file}"
        )
    return value


def _text(root: Path, file: str) -> str:
    try:
        return (root / file).read_text(encoding="utf-8")
    except OSError as error:
        raise GangwayError(f"cannot read it: {error.strerror}", where=file) from None
    except UnicodeDecodeError:
        raise GangwayError("it is not UTF-8 text", where=file) from None


def _parsed(text: str, file: str) -> object:
    # Imported late: with it, reading the contract takes 40 ms.
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 (both are safe loaders)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else file
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise GangwayError(f"not YAML: {problem}", where=where) from None


def _build(data: Mapping[str, object], check: _Check) -> tuple[Contract, list[Fault]]:
    """Return what could be read of the files, and the faults."""
    variables: dict[str, Spec] = {}
    prefixes: list[str] = []
    faults: list[Fault] = []
    described: dict[str, str] = {}
    for file, content in data.items():
        stack = Path(file).parent.name if file.startswith("stacks/") else ""
        groups = content.get("groups") if isinstance(content, dict) else None
        if not isinstance(content, dict) or not isinstance(groups, dict):
            faults.append((file, "groups", "`groups` must hold groups of variables"))
            continue
        own = content.get("prefixes", [])
        if _is_texts(own):
            prefixes += own
        else:
            faults.append((file, "prefixes", "`prefixes` must be a list of names"))
        for group, members in groups.items():
            if not isinstance(members, dict):
                faults.append((file, str(group), f"the group {group!r} must hold variables"))
                continue
            for name, entry in members.items():
                problems = list(check(str(name), entry))
                if name in described:
                    problems.append(f"{described[name]} describes it already")
                described.setdefault(str(name), file)
                faults += [(file, str(name), f"{name}: {problem}") for problem in problems]
                if not problems:
                    variables[name] = _spec(name, str(group), entry, stack)
    faults += [(described[name], name, what) for name, what in _strangers(variables)]
    return Contract(variables, tuple(prefixes)), faults


def _strangers(variables: Mapping[str, Spec]) -> Iterator[tuple[str, str]]:
    for spec in variables.values():
        for other in (*spec.only_with, *filter(None, [spec.in_file, spec.below])):
            if other not in variables:
                yield spec.name, f"{spec.name}: {other} is described nowhere"


def _known_to_be_right(_name: str, _entry: object) -> Iterator[str]:
    # Checked when it was kept, by these rules.
    return iter(())


def _problems(name: str, entry: object) -> Iterator[str]:
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
        yield "a variable's name is in capitals"
    if not isinstance(entry, dict):
        yield "it needs at least `type` and `meaning`"
        return
    shape = [*_missing(entry), *_misshapen(entry)]
    yield from shape
    if not shape:
        yield from _contradictions(name, entry)


def _missing(entry: Mapping[str, object]) -> Iterator[str]:
    for key in ("type", "meaning"):
        if key not in entry:
            yield f"`{key}` is missing"
    if entry.get("type") == "enum" and not entry.get("choices"):
        yield "an enum needs `choices`"


def _misshapen(entry: Mapping[str, object]) -> Iterator[str]:
    for key, value in entry.items():
        if key not in _FIELDS:
            guess = nearest(str(key), _FIELDS)
            yield f"unknown field `{key}`" + (f"; did you mean {guess}?" if guess else "")
            continue
        fits, noun = _FIELDS[key]
        if not fits(value):
            yield f"`{key}` must be {noun}"


def _contradictions(name: str, entry: Mapping[str, object]) -> Iterator[str]:
    spec = _spec(name, "", entry, "")
    defaults = spec.default if isinstance(spec.default, Mapping) else {"dev": spec.default or ""}
    for value in defaults.values():
        if fault := spec.fault(value):
            yield f"its default {value!r} {fault}"


def _spec(name: str, group: str, entry: Mapping[str, object], stack: str) -> Spec:
    fields = dict(entry)
    default = fields.get("default")
    if isinstance(default, dict):
        fields["default"] = {kind: str(value) for kind, value in default.items()}
    elif default is not None:
        fields["default"] = str(default)
    for key, container in (("required", frozenset), ("insecure", frozenset), ("choices", tuple)):
        items = fields.get(key, [])
        if isinstance(items, list):
            fields[key] = container(str(item) for item in items)
    return Spec(name=name, group=group, stack=stack, **fields)  # type: ignore[arg-type]  # checked by _misshapen


def _lines(text: str) -> dict[str, int]:
    # The line of every key down to the variables' names: read only when a message needs it.
    import yaml

    found: dict[str, int] = {}

    def visit(node: yaml.Node | None, depth: int) -> None:
        if depth and isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                found[str(key.value)] = key.start_mark.line + 1
                visit(value, depth - 1)

    visit(yaml.compose(text, Loader=yaml.SafeLoader), 3)
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_line(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\n" not in value.strip()


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_settings(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(word, str) for pair in value.items() for word in pair
    )


def _is_bound(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_default(value: object) -> bool:
    # A bool would be YAML's reading of an unquoted word (`yes`), which str() changes.
    values = [value]
    if isinstance(value, dict):
        if not set(value) <= set(ALL_KINDS):
            return False
        values = list(value.values())
    return all(isinstance(item, str | int | float) and not _is_flag(item) for item in values)


def _is_pattern(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(re.compile(value))
    except re.error:
        return False


def _is_kinds(value: object) -> bool:
    return isinstance(value, list) and all(kind in ALL_KINDS for kind in value)


def _number(spec: Spec, value: str, shape: str, noun: str) -> str | None:
    # float() alone takes "1_000", " 1" and other scripts' digits, which Compose does not.
    if not re.fullmatch(shape, value):
        return f"is not {noun}"
    number = float(value)
    if spec.min is not None and number < spec.min:
        return f"is below {spec.min:.10g}"
    if spec.max is not None and number > spec.max:
        return f"is above {spec.max:.10g}"
    return None


def _port(_spec: Spec, value: str) -> str | None:
    if not re.fullmatch(r"-?[0-9]+", value):
        return "is not a port number"
    return None if 1 <= int(value) <= 65535 else "is out of range (1 to 65535)"


def _choice(spec: Spec, value: str) -> str | None:
    if value in spec.choices:
        return None
    guess = nearest(value, spec.choices)
    return f"is none of {', '.join(spec.choices)}" + (f"; did you mean {guess}?" if guess else "")


def _anything(_spec: Spec, _value: str) -> str | None:
    return None


def _shaped(pattern: str, noun: str) -> Callable[[Spec, str], str | None]:
    shape = re.compile(pattern, re.IGNORECASE)

    def fault(_spec: Spec, value: str) -> str | None:
        return None if shape.fullmatch(value) else f"is not {noun}"

    return fault


_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([bkmg]?)b?", re.IGNORECASE)
_UNITS: Final = "bkmg"
# Docker refuses a container less.
_LEAST_MEMORY: Final = 6 * 2**20


def size_in_bytes(value: str) -> int | None:
    """Return what a value of any of the sizes' types says, in bytes; None where it says none."""
    found = _SIZE.fullmatch(value)
    return int(float(found[1]) * 1024 ** _UNITS.index(found[2].lower() or "b")) if found else None


def _memory(_spec: Spec, value: str) -> str | None:
    size = size_in_bytes(value)
    if size is None:
        return "is not a size such as 512m or 1g"
    if size < _LEAST_MEMORY:
        return f"is {size} bytes, and a container needs 6m; write for example 512m"
    return None


def _networks(_spec: Spec, value: str) -> str | None:
    import ipaddress  # Late: few environments have any.

    for word in re.split(r"[ ,]+", value.strip(" ,")):
        try:
            ipaddress.ip_network(word)
        except ValueError as error:
            return f"has {word!r}, which is no address or network: {error}"
    return None


_TYPES: Final[Mapping[str, Callable[[Spec, str], str | None]]] = {
    "string": _anything,
    "path": _anything,
    "paths": _anything,
    "int": lambda spec, value: _number(spec, value, r"-?[0-9]+", "a whole number"),
    "number": lambda spec, value: _number(spec, value, r"-?[0-9]+(\.[0-9]+)?", "a number"),
    "port": _port,
    "bool": _shaped("[01]", "1 or 0"),
    "enum": _choice,
    "networks": _networks,
    "url": _shaped(r"[a-z][a-z0-9+.-]*://[^\s/?#]+([/?#]\S*)?", "a URL such as http://host/path"),
    "postgres_url": _shaped(
        r"postgres(ql)?://[^\s:@/?#]+(:[^\s:@/?#]*)?@(\[[0-9a-f:.]+\]|[^\s:@/?#\[\]]+)"
        r"(:(6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]?\d{1,4}))?/[^\s/?#]+(\?\S*)?",
        "an address such as postgresql://USER:PASSWORD@HOST:6543/DATABASE",
    ),
    # Each program has a syntax of its own, and doesn't start with another's.
    "size": _shaped(r"[0-9]+(\.[0-9]+)?([bkmg]b?)?", "a size such as 512m or 1g"),
    "memory": _memory,
    "nginx_size": _shaped(r"[0-9]+[kmg]?", "a size as nginx has it, such as 512k or 10m"),
    "redis_size": _shaped(r"[0-9]+([bkmg]b?)?", "a size as Redis has it, such as 512mb or 1gb"),
    "duration": _shaped(r"([0-9]+(\.[0-9]+)?(us|ms|s|m|h))+", "a duration such as 1m30s"),
    "image": _shaped(
        r"[a-z0-9]+([._:/-]+[a-z0-9]+)*(:[a-z0-9_][a-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?",
        "an image such as name:tag",
    ),
}

# Each field of a variable: what it may be, and that in words.
_FIELDS: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "type": (lambda value: value in _TYPES, f"one of {', '.join(_TYPES)}"),
    "meaning": (_is_line, "one line of text"),
    "default": (
        _is_default,
        f"text or a number (quote other words), or one for each of {ALL_KINDS}",
    ),
    "required": (_is_kinds, f"a list of {ALL_KINDS}"),
    "secret": (_is_flag, "true or false"),
    "secret_file": (_is_text, "a file's name"),
    "in_file": (_is_text, "a variable's name"),
    "instead_of": (_is_text, "a profile's name"),
    "only_with": (_is_settings, "variables, each with the quoted value that it must have"),
    "insecure": (_is_texts, "a list of texts"),
    "below": (_is_text, "a variable's name"),
    "choices": (_is_texts, "a list of texts"),
    "min": (_is_bound, "a number"),
    "max": (_is_bound, "a number"),
    "pattern": (_is_pattern, "a regular expression"),
    "exists": (_is_flag, "true or false"),
    "published": (_is_flag, "true or false"),
    "service": (_is_text, "a service's name"),
    "profile": (_is_text, "a profile's name"),
    "inside": (_is_flag, "true or false"),
}
