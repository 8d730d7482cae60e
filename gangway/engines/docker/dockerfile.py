"""What a Dockerfile takes from its context, by its own words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

_HEREDOC: Final = re.compile(r"<<-?[\"']?(\w+)[\"']?")
_FLAG: Final = re.compile(r"--([a-z-]+)(?:=(\S+))?\s*")
# The innermost reference first: a default may refer to others.
_REFERENCE: Final = re.compile(r"\$\{(\w+)(?:(:?[-+])([^${}]*))?\}|\$(\w+)")
# References within references: deeper than anybody writes them.
_DEEPEST: Final = 4
# The stage that looks through all there is for what says what is installed: see `taken`.
_LOCKS: Final = "locks"


@dataclass
class _Stage:
    base: str
    name: str
    taken: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def taken(text: str, target: str = "", args: Mapping[str, str | None] | None = None) -> list[str]:
    """Return the paths, with wildcards, that go into `target` (the last stage where it is empty).

    They are seen from the context; `args` are the build's. What another image or a URL gives isn't
    among them, nor what the stage `locks` has before it: it is all there is, and what becomes of it
    `gangway.settings.installs` says.
    """
    given = {name: value for name, value in (args or {}).items() if value is not None}
    stages = _stages(text, given)
    by_name = {stage.name: stage for stage in stages if stage.name}
    by_name |= {str(number): stage for number, stage in enumerate(stages)}
    todo = [by_name.get(target) or stages[-1]] if stages else []
    seen: list[_Stage] = []
    while todo:
        stage = todo.pop()
        if stage not in seen:
            seen.append(stage)
            todo += [by_name[name] for name in (stage.base, *stage.others) if name in by_name]
    counted = (stage for stage in seen if stage.name != _LOCKS)
    return list(dict.fromkeys(path for stage in counted for path in stage.taken))


def _stages(text: str, args: Mapping[str, str]) -> list[_Stage]:
    found: list[_Stage] = []
    above: dict[str, str] = {}  # those before the first stage
    known: dict[str, str] = {}
    for word, rest in _instructions(text):
        match word:
            case "ARG":
                for each in rest.split():
                    name, _, default = each.partition("=")
                    value = args.get(
                        name, above.get(name) or _expanded(default.strip("\"'"), known)
                    )
                    known[name] = value
                    if not found:
                        above[name] = value
            case "FROM":
                base, *as_name = re.sub(_FLAG, "", _expanded(rest, above)).split()
                found.append(_Stage(base, as_name[1] if len(as_name) > 1 else ""))
                known = {}
            case "COPY" | "ADD" | "RUN" if found:
                _take(found[-1], word, _expanded(rest, known))
    return found


def _take(stage: _Stage, word: str, rest: str) -> None:
    flags: list[tuple[str, str]] = []
    while flag := _FLAG.match(rest):
        flags.append((flag[1], flag[2] or ""))
        rest = rest[flag.end() :]
    if word == "RUN":
        for _, value in (each for each in flags if each[0] == "mount"):
            _mount(stage, dict(part.partition("=")[::2] for part in value.split(",")))
        return
    if others := [value for name, value in flags if name == "from"]:
        stage.others += others
        return
    try:
        words = json.loads(rest) if rest.startswith("[") else rest.split()
    except ValueError:
        return
    stage.taken += [
        path.strip("/") or "."
        for path in words[:-1]
        if not path.startswith("<<") and "://" not in path
    ]


def _mount(stage: _Stage, options: Mapping[str, str]) -> None:
    if options.get("type", "bind") != "bind":
        return
    if other := options.get("from"):
        stage.others.append(other)
    else:
        source = options.get("source", options.get("src", "."))
        stage.taken.append(source.strip("/") or ".")


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction and what follows it, comments and here-documents left out."""
    lines = iter(text.splitlines())
    for line in lines:
        whole = line
        while whole.rstrip().endswith("\\"):
            more = next(lines, "")
            while more.lstrip().startswith("#"):
                more = next(lines, "")
            whole = f"{whole.rstrip()[:-1]} {more}"
        word, _, rest = whole.strip().partition(" ")
        if not word or word.startswith("#"):
            continue
        yield word.upper(), rest.strip()
        if word.upper() in ("RUN", "COPY", "ADD"):
            for end in _HEREDOC.findall(rest):
                for inside in lines:
                    if inside.strip() == end:
                        break


def _expanded(text: str, known: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name, how, other = found[1] or found[4], found[2], found[3]
        here = known.get(name)
        if how in (":+", "+"):
            return other if (here if how == ":+" else here is not None) else ""
        if how in (":-", "-") and (not here if how == ":-" else here is None):
            return other
        return here or ""

    for _ in range(_DEEPEST):
        text = _REFERENCE.sub(value, text)
    return text
