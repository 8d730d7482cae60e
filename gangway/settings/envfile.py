"""Env files as every Compose reads them: python-dotenv reads the lines, this module references.

python-dotenv's dialect differs from Compose's in places, and Compose's versions from each other.
What they read differently is refused with its line: a value that is shown is the value that
Compose computes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from gangway.base.errors import Finding, FindingsError, GangwayError

_NAME: Final = "[A-Za-z_][A-Za-z0-9_]*"
NAME = re.compile(_NAME)
_HEAD = re.compile(rf"[ \t]*(?:export[ \t]+)?(?!export[ \t]){_NAME}[ \t]*=")
# `$$`, `$NAME`, `${NAME}`, `${NAME:-word}` and its kin, and a `${` that begins none of these. A
# word may hold plain references. Any other `$` is just that.
_REFERENCE = re.compile(
    rf"\$(?:\$|(?P<bare>{_NAME})|\{{(?P<braced>{_NAME})"
    rf"(?:(?P<operator>:?[-+?])(?P<word>(?:[^${{}}\n]|\$(?:\$|{_NAME}|\{{{_NAME}\}}))*))?\}}"
    r"|(?P<broken>\{[^}]*(?P<closed>\}?)))"
)
# What python-dotenv and Compose read differently after the `=`, why, and what to write instead.
_REFUSED: Final = (
    (
        re.compile(r"[ \t]+#"),
        "Compose takes this comment for the value",
        "put the comment on a line of its own, or the value in quotes",
    ),
    (
        re.compile(r"""[ \t]*[^'" \t].*\t#"""),
        "a tab before # makes no comment",
        "put a space before the #",
    ),
    (
        re.compile(r"[ \t]*'(?:[^'\\]|\\[^'\\])*(\\['\\])"),
        "{} cannot stand in single quotes",
        'use double quotes: "it\'s", "\\\\"',
    ),
    (
        re.compile(r'[ \t]*"(?:[^"\\]|\\[nrt"$]|\\\\(?!\$))*(\\(?:\\\$|[^nrt"$\\]))'),
        "{} is no escape in double quotes",
        "write \\\\ for a backslash (not before $), or use single quotes",
    ),
)
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
# What python-dotenv takes as it stands.
_SIMPLE = re.compile(rf"(?:[A-Za-z0-9_./:@%+,=-]|\$\{{{_NAME}\}})*")

Lookup = Callable[[str], str | None]


class UnsetError(GangwayError):
    """A reference to a variable, `name`, that is not set."""

    def __init__(self, name: str, message: str, *, where: str, fix: str) -> None:
        super().__init__(message, where=where, fix=fix)
        self.name = name


class Assignment(NamedTuple):
    """One line of an env file: a name, what its value is made of, and where it stands.

    `template` is the value without quotes and escapes, where `$NAME` refers and `$$` is a dollar
    sign; `raw` is what follows the `=`, as written.
    """

    name: str
    template: str
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
        return not any(m["bare"] or m["braced"] for m in _REFERENCE.finditer(self.template))

    def value(self, lookup: Lookup) -> str:
        """Return the value; `lookup` gives a variable's value, None where it is not set.

        Raises UnsetError for a reference to a variable that is not set: Compose would put
        nothing in its place, which in a password is a silent mistake.
        """

        def resolve(match: re.Match[str]) -> str:
            name = match["bare"] or match["braced"]
            if not name:
                return "$"
            value, operator = lookup(name), match["operator"] or ""
            given = value if value or not operator.startswith(":") else None
            if operator.endswith("+"):
                return "" if given is None else _REFERENCE.sub(resolve, match["word"])
            if given is not None:
                return given
            word = _REFERENCE.sub(resolve, match["word"] or "")
            if operator.endswith("-"):
                return word
            what = f"needs {name}: {word}" if operator else f"refers to {name}, which is not set"
            blank = (
                "" if operator else f", ${{{name}:-}} if blank is meant, or $$ for a dollar sign"
            )
            raise UnsetError(
                name, f"{self.name} {what}", where=self.where, fix=f"set {name}{blank}"
            )

        return _REFERENCE.sub(resolve, self.template)


def parse(data: bytes, file: str) -> list[Assignment]:
    """Return the assignments of an env file's content, in order.

    `file` is the name that messages use. Raises FindingsError with every line that cannot be
    read the way that all Compose versions read it.
    """
    found: dict[str, Assignment] = {}
    findings: list[Finding] = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            _parse_line(line.removesuffix(b"\r"), file, number, found)
        except _RefusedError as refused:
            what, fix = refused.args
            findings.append(Finding(what, f"{file}:{number}", fix))
    if findings:
        raise FindingsError(findings, summary=f"{file} cannot be read")
    return list(found.values())


def quote(value: str) -> str:
    """Return `value` in a form that an env file holds it in, read back the same by Compose."""
    if _PLAIN.fullmatch(value):
        return value
    single = f"'{value}'"
    if value.isprintable() and "'" not in value and not re.search(r"\\[\\']", single):
        return single
    return f'"{"".join(_ESCAPES.get(character, character) for character in value)}"'


class _RefusedError(Exception):
    """A line that is not read: what is wrong, and the fix."""


def _parse_line(data: bytes, file: str, number: int, found: dict[str, Assignment]) -> None:
    try:
        line = data.decode("utf-8")
    except UnicodeDecodeError:
        raise _RefusedError("this line is not UTF-8 text", "save the file as UTF-8") from None
    if not (text := line.replace("\t", "")).isprintable():
        character = next(each for each in text if not each.isprintable())
        what = f"an invisible character (U+{ord(character):04X}) stands in this line"
        raise _RefusedError(what, "type the line anew")
    if not line.strip() or line.lstrip().startswith("#"):
        return
    name, equals, rest = line.partition("=")
    if not equals:
        raise _RefusedError(f"no '=' in {_clip(line)}", "write NAME=value, or # before a comment")
    if not _HEAD.match(line):
        what = f"{_clip(name.strip())} is not a variable name"
        fix = "a name has letters, digits and _ and does not start with a digit"
        raise _RefusedError(what, fix)
    template = _template(line, rest)
    name = name.split()[-1]
    first = found.setdefault(name, Assignment(name, template, rest.strip(), file, number))
    if first.line != number:
        what = f"{name} is set twice, first in line {first.line}"
        raise _RefusedError(what, "keep one of them")


def _template(line: str, rest: str) -> str:
    if _SIMPLE.fullmatch(rest):
        return rest
    # Imported late: most env files have no other values.
    from dotenv.parser import parse_stream

    for pattern, what, fix in _REFUSED:
        if match := pattern.match(rest):
            raise _RefusedError(what.format(*match.groups()), fix)
    # A line at a time: a value of several lines is not the same to all.
    (binding,) = parse_stream(io.StringIO(line))
    if binding.value is None:
        what = "the quote is not closed in this line, or something follows the closing quote"
        raise _RefusedError(what, "put the whole value, which is one line (\\n in it), in quotes")
    if rest.lstrip().startswith("'"):
        return binding.value.replace("$", "$$")
    quoted = rest.lstrip().startswith('"')
    template = binding.value.replace("\\$", "$$") if quoted else binding.value
    for match in _REFERENCE.finditer(template):
        if match["broken"]:
            fault = "is not a reference" if match["closed"] else "is not closed"
            fix = "write ${NAME} or ${NAME:-default}, or $$ for a dollar sign"
            raise _RefusedError(f"{_clip(match[0])} {fault}", fix)
    return template


def _clip(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
