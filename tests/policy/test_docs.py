"""The samples of output in the README and the docs are what is really printed.

A `console` block is run in a copy of the checkout, where no engine answers: each command prints the
lines below it. `…` stands for any text, alone on a line for any lines. `<!-- first: COMMANDS -->`
before the block runs without being shown.

What takes an engine, or a machine in trouble, is in a block without a language: each of its lines
comes from a text in the sources, as does a message of a script that a sentence quotes.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.policy.conftest import bash
from tests.unit.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(
    r"(?:^<!-- first: (?P<first>.*?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
# What a reader types or writes into a file; a picture has a test of its own.
NO_OUTPUT = {"sh", "yaml", "python", "mermaid", "text"}
SCRIPTS = "cron|db|entrypoint|healthcheck|migrate|reload|seed|serve|wait-for-db"
QUOTED = re.compile(rf"`((?:error|{SCRIPTS}): [^`]+)`")
# What a service's program says, and what the engine says of a container.
FOREIGN = re.compile(rf"  \| (?!({SCRIPTS}): )|[\w-]+ \([0-9a-f]{{12}}\): (exited|running)")
# What stands before a message: a script or a service, a file and line, the command line.
PLACE = re.compile(r"[\w./-]+(:\d+)?|command line")
MARK = "---- next command ----"


class Sample(NamedTuple):
    """A block of a page, or a message quoted in a sentence."""

    place: str
    language: str
    text: str
    first: str = ""


def samples() -> Iterator[Sample]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            line = text.count("\n", 0, found.start("text"))
            first = found["first"] or ""
            yield Sample(f"{page.name}:{line}", found["language"], found["text"], first)
        for found in QUOTED.finditer(FENCE.sub("", text)):
            yield Sample(f"{page.name}:{found[1][:40]}", "", f"{found[1]}\n")


SAMPLES = list(samples())


def of(*languages: str) -> pytest.MarkDecorator:
    chosen = [sample for sample in SAMPLES if sample.language in languages]
    return pytest.mark.parametrize("sample", chosen, ids=lambda sample: sample.place)


def test_every_block_says_whether_it_is_output() -> None:
    known = {*NO_OUTPUT, "console", "json", ""}
    assert [sample.place for sample in SAMPLES if sample.language not in known] == []


@of(*NO_OUTPUT)
def test_a_block_that_is_not_checked_has_no_output(sample: Sample) -> None:
    assert re.findall(r"^(?:\$|error:|  fix:) .*", sample.text, re.MULTILINE) == []


@of("console")
def test_a_command_prints_what_the_page_shows(sample: Sample, copy: Path) -> None:
    shown = re.split(r"^\$ (.*)\n", sample.text, flags=re.MULTILINE)
    assert shown[0] == "", "a console block begins with a command"
    script = f"\necho '{MARK}'\n".join([sample.first, *shown[1::2]])
    done = bash(copy, script)
    printed = done.stdout.split(f"{MARK}\n")[1:]
    for lines, said in zip(shown[2::2], printed, strict=True):
        assert re.fullmatch(pattern(lines), said), f"it prints:\n{said}"


@of("")
def test_each_line_of_a_message_is_made_by_a_text_in_the_sources(sample: Sample) -> None:
    assert [line for line in sample.text.splitlines() if not made_here(line)] == []


@of("json")
def test_each_string_of_settings_is_made_by_a_text_in_the_sources(sample: Sample) -> None:
    assert [text for text in strings(json.loads(sample.text)) if not whole(text, 3)] == []


def pattern(lines: str) -> str:
    """Return what output must match: columns may be wider, and lines of an env file move."""
    found = ""
    for line in lines.splitlines():
        if line.strip() == "…":
            found += r"(?:.*\n)*?"
            continue
        words = re.sub(r"\.env:\d+", ".env:…", line)
        found += re.sub(r"(?:\\ )+", " +", re.escape(words)).replace("…", ".*?") + r"\n"
    return found


def made_here(line: str) -> bool:
    """Return whether a line is what our texts make, one after the other, or isn't ours at all."""
    if line.strip() in ("", "…") or FOREIGN.match(line):
        return True
    return whole(re.sub(r"^(error:|  fix:|  \|) ", "", line).strip())


def whole(text: str, least: int = 7) -> bool:
    """Return whether texts of ours make this one, each with so many signs of its own."""
    for made, signs in texts():
        found = re.fullmatch(made, text) if signs >= least else None
        # What a text begins with, where that differs, is a name, or a text of ours as well.
        if found and (not found.groups() or len(found[1].split()) <= 3 or whole(found[1])):
            return True
    # Who says it, or the place of what is wrong, comes before many a message.
    head, colon, rest = text.partition(": ")
    return bool(colon and (PLACE.fullmatch(head) or whole(head, 4)) and whole(rest, least))


@functools.cache
def texts() -> frozenset[tuple[str, int]]:
    """Return a pattern of each text in the sources, and how many letters and digits are fixed."""
    found = set()
    for folder in ("gangway", "scripts", "docker"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix == ".py":
                found |= set(of_python(path.read_text(encoding="utf-8")))
            elif path.is_file() and path.suffix in ("", ".sh"):
                source = path.read_text(encoding="utf-8")
                shebang = source.partition("\n")[0]
                found |= set((of_python if "python" in shebang else of_bash)(source))
    return frozenset((made, len(re.findall(r"\w", fixed))) for made, fixed in found)


def of_python(source: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from joined([node.value])
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            yield from joined(parts)


def of_bash(source: str) -> Iterator[tuple[str, str]]:
    for text in re.findall(r'"((?:[^"\\]|\\.)*)"', source):
        parts = re.split(r"(\$\w+|\$\{[^}]*\}|\$\([^)]*\))", text)
        yield from joined([None if part.startswith("$") else part for part in parts])


def joined(parts: Sequence[object]) -> Iterator[tuple[str, str]]:
    """Yield each line of a text as a pattern, and what of it is fixed."""
    text = "".join("\0" if part is None else str(part) for part in parts)
    for line in map(str.strip, text.split("\n")):
        made = re.escape(line).replace("\0", ".*")
        yield re.sub(r"^\.\*", "(.*)", made), line.replace("\0", "")


def strings(data: object) -> Iterator[str]:
    """Yield every string in JSON's data, the names included."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for name, value in data.items():
            yield name
            yield from strings(value)
    elif isinstance(data, list):
        for value in data:
            yield from strings(value)
