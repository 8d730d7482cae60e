"""Env files as every Compose reads them: python-dotenv reads the lines, this module the references.

python-dotenv's dialect differs from Compose's in places, and Compose's versions from each other.
Where they do, a line is refused with its number: a value that is shown is the value that Compose
computes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

from dotenv.parser import parse_stream

from gangway.errors import Finding, FindingsError, GangwayError

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
NAME = re.compile(_NAME)
_HEAD = re.compile(rf"[ \t]*(?:export[ \t]+)?{_NAME}[ \t]*=")
# `$$`, `$NAME`, `${NAME}`, `${NAME:-word}` with its kin, and a `${` that is none of these. A word
# may hold references, but those no further braces. Any other `$` is just that.
_REFERENCE = re.compile(
    rf"\$(?:\$|(?P<bare>{_NAME})"
    rf"|\{{(?P<braced>{_NAME})(?:(?P<operator>:?[-+?])(?P<word>(?:[^{{}}\n]|\$\{{[^{{}}\n]*\}})*))?\}}"
    r"|(?P<broken>\{))"
)
_ESCAPE = re.compile(r"\\(\\\$|.?)")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "$": "$$", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")

Lookup = Callable[[str], str | None]


class UnsetError(GangwayError):
    """A reference to a variable, `name`, that is not set."""

    def __init__(self, name: str, message: str, *, where: str, mend: str) -> None:
        super().__init__(message, where=where, mend=mend)
        self.name = name


@dataclass(frozen=True)
class Assignment:
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
        return not any(map(_name, _REFERENCE.finditer(self.template)))

    def value(self, lookup: Lookup) -> str:
        """Return the value; `lookup` gives a variable's value, None where it is not set.

        Raises UnsetError for a reference to a variable that is not set: Compose would put
        nothing in its place, which in a password is a silent mistake.
        """
        return self._expand(self.template, lookup)

    def _expand(self, template: str, lookup: Lookup) -> str:
        return _REFERENCE.sub(lambda match: self._resolve(match, lookup), template)

    def _resolve(self, match: re.Match[str], lookup: Lookup) -> str:
        name = _name(match)
        if name is None:
            return "$"
        value = lookup(name)
        operator = match["operator"] or ""
        if value == "" and operator.startswith(":"):
            value = None
        if operator.endswith("+"):
            return "" if value is None else self._expand(match["word"], lookup)
        if value is not None:
            return value
        if operator.endswith("-"):
            return self._expand(match["word"], lookup)
        if operator:
            message = f"{self.name} needs {name}: {self._expand(match['word'], lookup)}"
            raise UnsetError(name, message, where=self.where, mend=f"set {name}")
        raise UnsetError(
            name,
            f"{self.name} refers to {name}, which is not set",
            where=self.where,
            mend=f"write $$ for a dollar sign, or ${{{name}:-}} if blank is meant",
        )


def parse(data: bytes, file: str) -> list[Assignment]:
    """Return the assignments of an env file's content, in order.

    `file` is the name that messages use. Raises FindingsError with every line that cannot be
    read the way that all Compose versions read it.
    """
    found: dict[str, Assignment] = {}
    findings: list[Finding] = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            assignment = _parse_line(raw.removesuffix(b"\r"), file, number)
            if assignment and found.setdefault(assignment.name, assignment) is not assignment:
                first = found[assignment.name].line
                twice = f"{assignment.name} is set twice, first in line {first}"
                raise _RefusedError(twice, "keep one of them")
        except _RefusedError as refused:
            what, mend = refused.args
            findings.append(Finding(what, f"{file}:{number}", mend))
    if findings:
        raise FindingsError(findings, summary=f"{file} cannot be read")
    return list(found.values())


def quote(value: str) -> str:
    """Return `value` in a form that an env file holds it in, read back the same by Compose."""
    if _PLAIN.fullmatch(value):
        return value
    if value.isprintable() and "'" not in value and "\\" not in value:
        return f"'{value}'"
    return f'"{"".join(_ESCAPES.get(character, character) for character in value)}"'


class _RefusedError(Exception):
    """A line that is not read: what is wrong, and the mend."""


def _name(match: re.Match[str]) -> str | None:
    return match["bare"] or match["braced"]


def _parse_line(data: bytes, file: str, number: int) -> Assignment | None:
    try:
        line = data.decode("utf-8")
    except UnicodeDecodeError:
        raise _RefusedError("this line is not UTF-8 text", "save the file as UTF-8") from None
    for character in line:
        if character != "\t" and not character.isprintable():
            what = f"an invisible character (U+{ord(character):04X}) stands in this line"
            raise _RefusedError(what, "type the line anew")
    if not line.strip() or line.lstrip().startswith("#"):
        return None
    name, equals, rest = line.partition("=")
    if not equals:
        raise _RefusedError(f"no '=' in {_clip(line)}", "write NAME=value, or # before a comment")
    if not _HEAD.match(line):
        raise _RefusedError(
            f"{_clip(name.strip())} is not a variable name",
            "a name has letters, digits and _ and does not start with a digit",
        )
    # A line at a time: python-dotenv's and Compose's ideas of a value of several lines differ.
    (binding,) = parse_stream(io.StringIO(line))
    if binding.error or binding.key is None or binding.value is None:
        raise _RefusedError(
            "the quote is not closed in this line, or something follows the closing quote",
            "put the whole value, which is one line (\\n in it), in quotes",
        )
    template = _template(binding.value, rest)
    for match in _REFERENCE.finditer(template):
        _check_reference(match)
    return Assignment(binding.key, template, rest.strip(" \t"), file, number)


def _template(value: str, rest: str) -> str:
    # `value` is what python-dotenv made of the `rest` after the equals sign.
    raw = rest.strip(" \t")
    if raw.startswith("'"):
        if not raw.startswith(f"'{value}'"):
            raise _RefusedError(
                "\\' and \\\\ cannot stand in single quotes", 'use double quotes: "it\'s"'
            )
        return value.replace("$", "$$")
    if raw.startswith('"'):
        for escape in _ESCAPE.findall(raw[: raw.rindex('"')]):
            if escape not in {*'nrt"\\$'}:
                raise _RefusedError(
                    f"\\{escape} is no escape in double quotes",
                    "write \\\\ for a backslash (but not before $), or use single quotes",
                )
        return value.replace("\\$", "$$")
    if raw.startswith("#") and raw != rest:
        raise _RefusedError(
            "Compose takes this comment for the value",
            "put the comment on a line of its own, or the value in quotes",
        )
    if "\t#" in raw:
        raise _RefusedError("a tab before # makes no comment", "put a space before the #")
    return value


def _check_reference(match: re.Match[str]) -> None:
    if match["broken"]:
        rest = match.string[match.start() :]
        fault = "is not a reference" if "}" in rest else "is not closed"
        raise _RefusedError(
            f"{_clip(rest.partition('}')[0])} {fault}",
            "write ${NAME} or ${NAME:-default}, or $$ for a dollar sign",
        )
    for inner in _REFERENCE.finditer(match["word"] or ""):
        _check_reference(inner)


def _clip(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
