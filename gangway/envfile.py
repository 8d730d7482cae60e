"""Env files exactly as Compose reads them.

The libraries' dialects differ from Compose's (escapes, `$NAME`, comments), and Compose's own
versions differ from each other in odd corners. So this reads the common core of the dialect and
refuses the rest with a line number: a value that is shown is the value that Compose computes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gangway.errors import Finding, FindingsError, GangwayError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([^=]*?)[ \t]*=(.*)", re.DOTALL)
_OPERATOR = re.compile(r":?[-+?]")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")

Lookup = Callable[[str], str | None]


@dataclass(frozen=True)
class Reference:
    """`${name<operator><word>}`; the operator is "" for a plain reference."""

    name: str
    operator: str = ""
    word: tuple[str | Reference, ...] = ()


Template = tuple[str | Reference, ...]


@dataclass(frozen=True)
class Assignment:
    """One line of an env file: a name, what its value is made of, and where it stands.

    `raw` is what follows the `=`, as written.
    """

    name: str
    template: Template
    raw: str
    file: str
    line: int

    @property
    def where(self) -> str:
        """The place, as `file:line`."""
        return f"{self.file}:{self.line}"

    @property
    def is_literal(self) -> bool:
        """Whether the value refers to no other variable."""
        return all(isinstance(part, str) for part in self.template)

    def value(self, lookup: Lookup) -> str:
        """Return the value; `lookup` gives a variable's value, None where it is not set.

        Raises UnsetError for a reference to a variable that is not set: Compose would put
        nothing in its place, which in a password is a silent mistake.
        """
        return _expand(self.template, lookup, self)


class UnsetError(GangwayError):
    """A reference to a variable, `name`, that is not set."""

    def __init__(self, name: str, message: str, *, where: str, mend: str) -> None:
        super().__init__(message, where=where, mend=mend)
        self.name = name


def parse(data: bytes, file: str) -> list[Assignment]:
    """Return the assignments of an env file's content, in order.

    `file` is the name that messages use. Raises FindingsError with every line that cannot be
    read the way that all Compose versions read it.
    """
    found: dict[str, Assignment] = {}
    findings: list[Finding] = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        where = f"{file}:{number}"
        try:
            assignment = _parse_line(raw.removesuffix(b"\r"), file, number)
        except _MalformedError as fault:
            findings.append(Finding(fault.what, where, fault.mend))
            continue
        if assignment is None:
            continue
        first = found.setdefault(assignment.name, assignment)
        if first is not assignment:
            twice = f"{assignment.name} is set twice, first in line {first.line}"
            findings.append(Finding(twice, where, "keep one of them"))
    if findings:
        raise FindingsError(findings, summary=f"{file} cannot be read")
    return list(found.values())


def quote(value: str) -> str:
    """Return `value` in a form that an env file holds it in, read back the same by Compose."""
    if _PLAIN.fullmatch(value):
        return value
    printable = all(character.isprintable() for character in value)
    if printable and "'" not in value and "\\" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    for letter in "nrt":
        escaped = escaped.replace(_ESCAPES[letter], f"\\{letter}")
    return f'"{escaped}"'


class _MalformedError(Exception):
    """A line that is refused: `what` is wrong and the `mend`."""

    def __init__(self, what: str, mend: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


def _parse_line(raw: bytes, file: str, number: int) -> Assignment | None:
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _MalformedError("this line is not UTF-8 text", "save the file as UTF-8") from None
    for character in line:
        if character != "\t" and not character.isprintable():
            raise _MalformedError(
                f"an invisible character (U+{ord(character):04X}) stands in this line",
                "type the line anew",
            )
    if not line.strip() or line.lstrip().startswith("#"):
        return None
    match = _ASSIGNMENT.fullmatch(line)
    if match is None:
        raise _MalformedError(f"no '=' in {_clip(line)}", "write NAME=value, or # before a comment")
    name, rest = match.groups()
    if not NAME.fullmatch(name):
        raise _MalformedError(
            f"{_clip(name)} is not a variable name",
            "a name has letters, digits and _ and does not start with a digit",
        )
    return Assignment(name, _parse_value(rest), rest.strip(" \t"), file, number)


def _parse_value(text: str) -> Template:
    stripped = text.strip(" \t")
    if stripped[:1] == "'":
        return (_single_quoted(stripped),)
    if stripped[:1] == '"':
        return _double_quoted(stripped)
    if stripped.startswith("#") and text != stripped:
        raise _MalformedError(
            "Compose takes this comment for the value",
            "put the comment on a line of its own, or the value in quotes",
        )
    if "\t#" in stripped:
        raise _MalformedError("a tab before # makes no comment", "put a space before the #")
    return _template(stripped.split(" #", 1)[0].rstrip(" \t"))


def _single_quoted(text: str) -> str:
    end = text.find("'", 1)
    if end < 0:
        raise _MalformedError("the quote ' is not closed in this line", "a value is one line")
    if text[end - 1] == "\\":
        raise _MalformedError("\\' cannot stand in single quotes", 'use double quotes: "it\'s"')
    _check_tail(text[end + 1 :])
    return text[1:end]


def _double_quoted(text: str) -> Template:
    # An escaped `$` becomes `$$`, the template's own escape for it.
    plain: list[str] = []
    position = 1
    while position < len(text):
        character = text[position]
        if character == '"':
            _check_tail(text[position + 1 :])
            return _template("".join(plain))
        if character == "\\":
            following = text[position + 1 : position + 2]
            if following == "$":
                plain.append("$$")
            elif following == "\\" and text[position + 2 : position + 3] == "$":
                raise _MalformedError(
                    "a backslash before $ means different things to different tools",
                    "use single quotes",
                )
            elif following in _ESCAPES:
                plain.append(_ESCAPES[following])
            else:
                raise _MalformedError(
                    f"\\{following} is no escape in double quotes",
                    "write \\\\ for a backslash, or use single quotes",
                )
            position += 2
            continue
        plain.append(character)
        position += 1
    raise _MalformedError(
        'the quote " is not closed in this line', "a value is one line (\\n in it)"
    )


def _check_tail(tail: str) -> None:
    if tail.strip(" \t") and not tail.lstrip(" \t").startswith("#"):
        raise _MalformedError(
            f"{_clip(tail.strip())} follows the closing quote", "put the whole value in quotes"
        )


def _template(text: str) -> Template:
    return tuple(_parts(text))


def _parts(text: str) -> Iterator[str | Reference]:
    position = 0
    while position < len(text):
        dollar = text.find("$", position)
        if dollar < 0:
            yield text[position:]
            return
        if dollar > position:
            yield text[position:dollar]
        rest = text[dollar + 1 :]
        if rest.startswith("$"):
            yield "$"
            position = dollar + 2
        elif rest.startswith("{"):
            end = _closing_brace(text, dollar)
            yield _braced(text[dollar + 2 : end])
            position = end + 1
        elif match := NAME.match(rest):
            yield Reference(match.group())
            position = dollar + 1 + match.end()
        else:
            yield "$"
            position = dollar + 1


def _closing_brace(text: str, start: int) -> int:
    depth = 0
    position = start
    while position < len(text):
        if text.startswith("${", position):
            depth += 1
            position += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    raise _MalformedError("${ is not closed", "write ${NAME}, or $$ for a dollar sign")


def _braced(inner: str) -> Reference:
    match = NAME.match(inner)
    operator = _OPERATOR.match(inner, match.end()) if match else None
    if match is None or (operator is None and match.end() != len(inner)) or "\n" in inner:
        raise _MalformedError(
            f"${{{_clip(inner, bare=True)}}} is not a reference",
            "write ${NAME} or ${NAME:-default}, or $$ for a dollar sign",
        )
    if operator is None:
        return Reference(match.group())
    return Reference(match.group(), operator.group(), _template(inner[operator.end() :]))


def _expand(template: Template, lookup: Lookup, place: Assignment) -> str:
    return "".join(
        part if isinstance(part, str) else _resolve(part, lookup, place) for part in template
    )


def _resolve(reference: Reference, lookup: Lookup, place: Assignment) -> str:
    value = lookup(reference.name)
    given = bool(value) if reference.operator.startswith(":") else value is not None
    match reference.operator[-1:]:
        case "-":
            return value or "" if given else _expand(reference.word, lookup, place)
        case "+":
            return _expand(reference.word, lookup, place) if given else ""
        case "?" if not given:
            reason = _expand(reference.word, lookup, place)
            raise UnsetError(
                reference.name,
                f"{place.name} needs {reference.name}: {reason}",
                where=place.where,
                mend=f"set {reference.name}",
            )
    if value is None:
        raise UnsetError(
            reference.name,
            f"{place.name} refers to {reference.name}, which is not set",
            where=place.where,
            mend=f"write $$ for a dollar sign, or ${{{reference.name}:-}} if blank is meant",
        )
    return value


def _clip(text: str, *, bare: bool = False) -> str:
    short = text if len(text) <= 40 else f"{text[:37]}..."
    return short if bare else repr(short)
