"""Dockerfiles as data: stages and their instructions, each with its line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gangway.operations.adoption.look.shell import substituted

_HEREDOC = re.compile(r"<<-?\s*([\"']?)([A-Za-z_]\w*)\1")
_FLAG = re.compile(r"\s*(--[a-z][a-z-]*(?:=\S*)?)")
_PAIR = re.compile(
    r"""([A-Za-z_][\w.-]*)=((?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'\\])*)""", re.DOTALL
)


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile."""

    name: str
    """In capitals: `RUN`."""
    text: str
    """What follows it, without its flags; continued lines keep their line breaks."""
    line: int
    flags: tuple[str, ...] = ()
    body: str = ""
    """What is in its here-documents."""

    def flag(self, name: str) -> str:
        """Return a flag's value: `from` of `--from=build`."""
        start = f"--{name}="
        return next((flag[len(start) :] for flag in self.flags if flag.startswith(start)), "")

    @property
    def words(self) -> tuple[str, ...] | None:
        """The words of its JSON form, None where it isn't one."""
        text = re.sub(r"\\\n", "\n", self.text).strip()
        if not text.startswith("["):
            return None
        try:
            words = json.loads(text)
        except ValueError:
            return None
        return tuple(str(word) for word in words) if isinstance(words, list) else None


@dataclass(frozen=True)
class Stage:
    """One `FROM` and what follows it."""

    base: str
    """What it starts from, its arguments put in: an image, or another stage's name."""
    name: str
    line: int
    instructions: tuple[Instruction, ...] = field(default=())

    def of(self, *names: str) -> Iterator[Instruction]:
        """Yield the instructions with these names."""
        return (each for each in self.instructions if each.name in names)


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile: where it is, its stages, and the arguments before the first of them."""

    path: str
    stages: tuple[Stage, ...]
    arguments: Mapping[str, str]

    def stage(self, name: str) -> Stage | None:
        """Return a stage by its name or its number, the last one for an empty name."""
        if not name:
            return self.stages[-1] if self.stages else None
        for number, stage in enumerate(self.stages):
            if stage.name.lower() == name.lower() or str(number) == name:
                return stage
        return None

    def lineage(self, stage: Stage) -> list[Stage]:
        """Return a stage and those that it builds on, the first of them first."""
        chain = [stage]
        while (below := self.stage(chain[0].base)) and below not in chain and chain[0].base:
            chain.insert(0, below)
        return chain

    def image(self, stage: Stage) -> str:
        """Return the image at the bottom of a stage."""
        return self.lineage(stage)[0].base

    def values(self, stage: Stage) -> dict[str, str]:
        """Return what ARG and ENV set at a stage's end, an ARG by its default."""
        known: dict[str, str] = {}
        for each in self.lineage(stage):
            for instruction in each.of("ARG", "ENV"):
                for name, value in pairs(instruction):
                    if instruction.name == "ARG" and value is None:
                        known.setdefault(name, self.arguments.get(name, ""))
                    else:
                        known[name] = substituted(value or "", known)
        return known

    def sources(self, stage: Stage) -> set[str]:
        """Return the names of the stages that a stage copies from, and those from in turn."""
        found: set[str] = set()
        waiting = self.lineage(stage)
        while waiting:
            for instruction in waiting.pop().of("COPY", "ADD", "RUN"):
                for name in _copied_from(instruction):
                    other = self.stage(name)
                    if other and other.name not in found:
                        found.add(other.name or name)
                        waiting += self.lineage(other)
        return found


def _copied_from(instruction: Instruction) -> Iterator[str]:
    if name := instruction.flag("from"):
        yield name
    for flag in instruction.flags:
        if flag.startswith("--mount=") and (match := re.search(r"\bfrom=([^,]+)", flag)):
            yield match[1]


def pairs(instruction: Instruction) -> Iterator[tuple[str, str | None]]:
    """Yield the names and values of an ARG or ENV; an ARG without a default has None."""
    text = re.sub(r"\\\n", " ", instruction.text).strip()
    if instruction.name == "ENV" and not re.match(r"[A-Za-z_][\w.-]*=", text):
        name, _, value = text.partition(" ")
        yield name, value.strip()
        return
    if instruction.name == "ARG":
        for word in text.split():
            if "=" not in word:
                yield word, None
    for match in _PAIR.finditer(text):
        yield match[1], _unquoted(match[2])


def _unquoted(value: str) -> str:
    return re.sub(r"""(["'])((?:(?!\1)[^\\]|\\.)*)\1""", r"\2", value, flags=re.DOTALL)


def parse(text: str, path: str) -> Dockerfile:
    """Read a Dockerfile; what isn't understood is an instruction all the same."""
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    for instruction in _instructions(text):
        if instruction.name == "FROM":
            words = instruction.text.split()
            named = words[2] if len(words) > 2 and words[1].upper() == "AS" else ""
            base = substituted(words[0], arguments) if words else ""
            stages.append(Stage(base, named, instruction.line))
        elif not stages:
            if instruction.name == "ARG":
                arguments.update(
                    (name, substituted(value or "", arguments))
                    for name, value in pairs(instruction)
                )
        else:
            last = stages[-1]
            stages[-1] = Stage(last.base, last.name, last.line, (*last.instructions, instruction))
    return Dockerfile(path, tuple(stages), arguments)


def _instructions(text: str) -> Iterator[Instruction]:
    lines = text.split("\n")
    escape = "`" if re.match(r"#\s*escape=`", text, re.IGNORECASE) else "\\"
    at = 0
    while at < len(lines):
        first = at
        if not lines[at].strip() or lines[at].lstrip().startswith("#"):
            at += 1
            continue
        taken, at = _continued(lines, at, escape)
        body, at = _heredocs(taken, lines, at)
        head, _, rest = "\n".join(taken).lstrip().partition(" ")
        flags, rest = _flags(rest)
        yield Instruction(head.strip().upper(), rest.strip(), first + 1, flags, body)


def _continued(lines: Sequence[str], at: int, escape: str) -> tuple[list[str], int]:
    taken: list[str] = []
    while at < len(lines):
        line = lines[at]
        at += 1
        if taken and (not line.strip() or line.lstrip().startswith("#")):
            # It goes on after comments and empty lines; they keep the count of the lines.
            taken.append("\\")
            continue
        if line.rstrip().endswith(escape):
            taken.append(line.rstrip()[: -len(escape)] + "\\")
            continue
        taken.append(line)
        break
    return taken, at


def _heredocs(taken: Sequence[str], lines: Sequence[str], at: int) -> tuple[str, int]:
    if not re.match(r"\s*(RUN|COPY|ADD)\b", taken[0], re.IGNORECASE):
        return "", at
    body: list[str] = []
    for match in _HEREDOC.finditer("\n".join(taken)):
        while at < len(lines) and lines[at].strip("\t ") != match[2]:
            body.append(lines[at])
            at += 1
        at += 1
    return "\n".join(body), at


def _flags(rest: str) -> tuple[tuple[str, ...], str]:
    flags: list[str] = []
    text = rest
    while True:
        # Flags may stand on lines of their own.
        stripped = re.sub(r"\A(?:\s|\\\n)+", "", text)
        match = _FLAG.match(stripped)
        if not match:
            break
        flags.append(match[1])
        text = stripped[match.end() :]
    if flags:
        # The lines that the flags took are kept, so that what follows keeps its own.
        used = rest[: len(rest) - len(text)].count("\n")
        text = "\\\n" * used + text.lstrip(" ")
    return tuple(flags), text
