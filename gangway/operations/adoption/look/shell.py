"""Shell lines as far as a Dockerfile or a start script needs them: commands in words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_REFERENCE = re.compile(
    r"\$(?:(?P<bare>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?::?(?P<operator>[-+?])(?P<word>[^}]*))?\})"
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
# `if [ "$A" = "b" ]; then this; else that; fi`, on one line or on several.
_CHOICE = re.compile(
    r"\bif\s+(?P<negated>!\s+)?(?:\[\[?|test)\s+(?P<test>[^\n]*?)\s*\]?\]?\s*(?:;|\n)[\s\x00]*then\b(?P<then>.*?)"
    r"(?:(?:;|\n)[\s\x00]*else\b(?P<other>.*?))?(?:;|\n)[\s\x00]*fi\b",
    re.DOTALL,
)
# What a `case` does can't be told.
_CASE = re.compile(r"\bcase\s[^\n]*?\sin\b.*?\besac\b", re.DOTALL)
_PERHAPS, _SURELY = "\x01", "\x02"
_NO_WORDS = frozenset({_PERHAPS, _SURELY, "{", "}", "(", ")", "then", "do", "!"})
_SEPARATORS = frozenset({"&&", "||", ";", "|", "&", "\n"})


@dataclass(frozen=True)
class Command:
    """One command of a shell line."""

    words: tuple[str, ...]
    environment: Mapping[str, str]
    """What is set for it alone: `SECRET_KEY=x` before its name."""
    line: int = 0
    """Its line, counted from 0 where the text begins."""
    piped: bool = False
    """Whether what it writes goes to the next command, or its end is not waited for."""
    perhaps: bool = False
    """Whether it runs only where something holds that can't be told here."""

    @property
    def program(self) -> str:
        """Its program's name, without the folder."""
        return self.words[0].rpartition("/")[2] if self.words else ""

    @property
    def text(self) -> str:
        """The command as it may be typed, without what is set for it."""
        return " ".join(shlex.quote(word) if _needs_quotes(word) else word for word in self.words)


def _needs_quotes(word: str) -> bool:
    return not word or bool(re.search(r"[\s'\"\\;&|<>(){}$`*?#]", word.replace("()", "")))


def substituted(text: str, values: Mapping[str, str]) -> str:
    """Put in what is known of `$NAME`, `${NAME}`, `${NAME:-word}`; the rest stays as it is."""

    def value(match: re.Match[str]) -> str:
        name, word = match["bare"] or match["braced"], match["word"] or ""
        known = values.get(name)
        if match["operator"] == "+":
            return word if known else ""
        if known is not None and (known or match["operator"] != "-"):
            return known
        return word if match["operator"] == "-" else match[0]

    return _REFERENCE.sub(value, text)


def commands(text: str, values: Mapping[str, str] | None = None) -> list[Command]:
    """Return the commands of a script or a shell line, in order.

    `values` are variables that are known. Of an `if` whose test can be told, the branch that is
    taken counts, of any other the first. What a shell would do besides is left alone.
    """
    known = dict(values or {})
    joined = re.sub(r"\\\n", " \x00", substituted(_without_comments(text), known))
    found: list[Command] = []
    chosen = _CHOICE.sub(lambda match: _chosen(match, known), _CASE.sub(_only_lines, joined))
    perhaps = False
    for words, line, piped in _split(chosen):
        perhaps = (perhaps or _PERHAPS in words) and _SURELY not in words
        environment, rest = _parted([word for word in words if word not in _NO_WORDS])
        if rest[:1] == ["export"]:
            environment, rest = _parted(rest[1:])
        if not rest:
            known.update(environment)
            continue
        found.append(Command(tuple(rest), environment, line, piped, perhaps))
    return found


def _parted(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return what is set in front of a command, and its words without what merely runs it."""
    environment: dict[str, str] = {}
    rest = list(words)
    while rest:
        if _ASSIGNMENT.match(rest[0]):
            name, _, value = rest.pop(0).partition("=")
            environment[name] = value
        elif rest[0] in ("exec", "env") and len(rest) > 1:
            rest.pop(0)
            while rest[0] == "-u" and len(rest) > 2:
                del rest[:2]
        else:
            break
    return environment, rest


def words_of(command: object) -> tuple[str, ...]:
    """Return the words of a command as Compose and Docker take it: a text, or a list."""
    if isinstance(command, list):
        return tuple(str(word) for word in command)
    try:
        return tuple(shlex.split(str(command or "")))
    except ValueError:
        return tuple(str(command).split())


def _without_comments(text: str) -> str:
    found: list[str] = []
    goes_on = False
    # As some write a comment into a line that goes on: `# why`.
    text = re.sub(r"`#[^`]*`", "", text)
    for line in text.split("\n"):
        if re.match(r"\s*#", line):
            # Between the lines of a command that goes on, it doesn't end it.
            found.append("\\" if goes_on else "")
            continue
        goes_on = line.rstrip().endswith("\\")
        found.append(line)
    return "\n".join(found)


def _only_lines(match: re.Match[str]) -> str:
    return ":" + "".join(each for each in match[0] if each in "\n\x00").replace("\n", "\x00")


def _chosen(match: re.Match[str], known: Mapping[str, str]) -> str:
    truth = _truth(substituted(match["test"], known))
    if truth is not None and match["negated"]:
        truth = not truth
    taken = match["then"] if truth is not False else match["other"] or ":"
    # Keep the line breaks, so that what follows keeps its line.
    before = match[0][: match.start("then") - match.start()]
    lines = before.count("\n") + before.count("\x00")
    after = match[0].count("\x00") + match[0].count("\n") - lines
    after -= taken.count("\x00") + taken.count("\n")
    inner = f"{_PERHAPS} {taken} ; {_SURELY}" if truth is None else taken
    return "\x00" * lines + inner + " " + "\x00" * max(after, 0)


def _truth(test: str) -> bool | None:
    try:
        words = shlex.split(test.replace("\x00", " "))
    except ValueError:
        return None
    if any("$" in word for word in words):
        return None
    if len(words) == 3 and words[1] in ("=", "==", "!="):
        return (words[0] == words[2]) == (words[1] != "!=")
    if len(words) == 2 and words[0] in ("-n", "-z"):
        return bool(words[1]) == (words[0] == "-n")
    return None


def _split(text: str) -> Iterator[tuple[list[str], int, bool]]:
    """Yield each command's words, its line, and whether it is piped."""
    words: list[str] = []
    line, started = 0, 0
    for token, at in _tokens(text):
        line = at
        if token in _SEPARATORS:
            if words:
                yield words, started, token in ("|", "&")
            words = []
        else:
            if not words:
                started = line
            words.append(token)
    if words:
        yield words, started, False


_TOKEN = re.compile(
    r"""(?P<newline>\n)|(?P<joined>\x00)|(?P<blank>[ \t]+)
    |(?P<redirection>\d*>>?[ \t]*(?:&\d|[^\s;|&]+)|&>>?[ \t]*[^\s;|&]+|<<?<?[ \t]*[^\s;|&]+)
    |(?P<operator>&&|\|\||[;|&])|(?P<comment>\#[^\n\x00]*)
    |(?P<word>(?:"(?:[^"\\]|\\.)*"|'[^']*'|\$\((?:[^()]|\([^()]*\))*\)|\\.|[^\s\x00"'\\;|&])+)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    line = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "newline":
            yield "\n", line
            line += 1
        elif kind == "joined":
            line += 1
        elif kind == "operator":
            yield match[0], line
        elif kind == "word":
            yield _unquoted(match[0]), line
            line += match[0].count("\n") + match[0].count("\x00")


def _unquoted(word: str) -> str:
    try:
        return " ".join(shlex.split(word.replace("\x00", " "), comments=False)) if word else ""
    except ValueError:
        return word
