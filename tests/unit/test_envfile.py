"""What the env file reader shows is what Compose computes, or it refuses the line."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping

import pytest

from gangway.base.errors import FindingsError, GangwayError
from gangway.settings import envfile
from gangway.settings.environment import load
from tests.unit.conftest import Checkout, Render

HEAD = "ENVIRONMENT=development\n"

READ_ALIKE = [
    "plain",
    "",
    " ",
    " spaced out  ",
    "text # comment",
    "text#no-comment",
    "#fff",
    '"double # quoted"',
    '"double" # comment',
    '"double"#comment',
    '"  kept  "',
    "'single $SHELLED # quoted' # comment",
    "'back\\slash \\n'",
    '"line\\nbreak \\t tab \\r return"',
    '"quote \\" backslash \\\\ end"',
    '"dollar \\$SHELLED $$SHELLED"',
    '"it\'s"',
    "it's",
    'say "hi"',
    "C:\\users\\x",
    "$$",
    "$",
    "a$",
    "$1 $- $(ls) `ls`",
    "$SHELLED",
    "${SHELLED}",
    "$SHELLED-${SHELLED}.$SHELLED/x",
    '"in ${SHELLED} quotes"',
    "${EMPTY}",
    "${EMPTY:-default}",
    "${EMPTY-default}",
    "${NOWHERE:-default}",
    "${NOWHERE-default}",
    "${NOWHERE:-}",
    "${NOWHERE:-a b}",
    "${NOWHERE:-${SHELLED}}",
    "${NOWHERE:-http://x?a-b}",
    "${SHELLED:+set}",
    "${EMPTY:+set}",
    "${EMPTY+set}",
    "${NOWHERE+set}",
    "${SHELLED:?needed}",
    "${EMPTY?needed}",
    "${NOWHERE:-a}b}",
    "a=b==c",
    "[1, 2] {x: y} & | ; * ! ~ %",
    "é ü 漢",
]


def shelled(shell: Mapping[str, str]) -> dict[str, str]:
    return {**shell, "SHELLED": "from the shell", "EMPTY": ""}


def test_values_are_read_as_compose_reads_them(
    checkout: Checkout, render: Render, shell: dict[str, str]
) -> None:
    lines = [f"V{number}={text}\n" for number, text in enumerate(READ_ALIKE)]
    root = checkout({"env/dev.env": HEAD + "".join(lines)})
    env = load(root, "dev", shell=shelled(shell))
    assert {name: variable.value for name, variable in env.variables.items()} == render(env)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfENVIRONMENT=development\nA=bom\n",
        b'ENVIRONMENT=development\r\nA=windows # comment\r\nB="x"\r\nC=\r\n',
        b"ENVIRONMENT=development\n\n  # indented comment\n\tA=indented\nexport B=exported\nC = x",
        b"ENVIRONMENT=development\nA=1\nB=${A}2\nC=$B$A",
    ],
    ids=["bom", "crlf", "layout", "references"],
)
def test_whole_files_are_read_as_compose_reads_them(
    content: bytes, checkout: Checkout, render: Render, shell: dict[str, str]
) -> None:
    env = load(checkout({"env/dev.env": content}), "dev", shell=shell)
    assert {name: variable.value for name, variable in env.variables.items()} == render(env)


# Put together at random, these make what the reader's rules are about.
PIECES = [
    *"aé1#'\"=:?+;`{} \t\\$",
    *(" #", "\t#", "\\\\", "\\n", "\\t", "\\q", '\\"', "\\'", "\\$", "$$", "$SHELLED", "${"),
    *("${SHELLED}", "${NOWHERE:-", "${NOWHERE-", "${EMPTY+", "${EMPTY:+", "${SHELLED:+"),
    *("${SHELLED:?", "export "),
]
HEADS = [*["{}="] * 9, "export {}=", "export\t{} =", " {}=", "\t{}=", "{}\t=", "{}= ", "{} =\t"]
TAILS = ["", "", "", " ", "#c", " #", ' # it\'s "a" $SHELLED']


def random_lines(count: int) -> Iterator[str]:
    """Yield lines for V0, V1, ... that the reader accepts: about every second that is tried."""
    rng = random.Random(count)  # noqa: S311
    number = 0
    while number < count:
        quote = rng.choice(["", "", '"', "'"])
        text = quote + "".join(rng.choices(PIECES, k=rng.randint(1, 7))) + quote
        line = rng.choice(HEADS).format(f"V{number}") + text + rng.choice(TAILS)
        try:
            (assignment,) = envfile.parse(line.encode(), "x")
            assignment.value(shelled({}).get)
        except GangwayError:
            continue
        number += 1
        yield f"{line}\n"


def test_whatever_is_accepted_is_read_as_compose_reads_it(
    checkout: Checkout, render: Render, shell: dict[str, str]
) -> None:
    # FUZZ=50000 tries more values, and others.
    lines = list(random_lines(int(os.environ.get("FUZZ", "3000"))))
    for start in range(0, len(lines), 5000):
        root = checkout({"env/dev.env": HEAD + "".join(lines[start : start + 5000])})
        env = load(root, "dev", shell=shelled(shell))
        assert {name: variable.value for name, variable in env.variables.items()} == render(env)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("'A'=x", "is not a variable name"),
        ("export =x", "is not a variable name"),
        ("just words", "no '='"),
        ("NAME", "no '='"),
        ("NAME: value", "no '='"),
        ("A-B=x", "'A-B' is not a variable name"),
        ("1A=x", "'1A' is not a variable name"),
        ("=x", "'' is not a variable name"),
        ("A B=x", "'A B' is not a variable name"),
        ("A='open", "not closed"),
        ('A="open', "not closed"),
        ('A="open\\"', "not closed"),
        ("A='it\\'s'", "single quotes"),
        ('A="x" y', "follows the closing quote"),
        ("A='back\\\\slash'", "\\\\ cannot stand in single quotes"),
        ("A='x'y", "follows the closing quote"),
        ('A="""x"""', "follows the closing quote"),
        ('A="\\q"', "\\q is no escape"),
        ('A="\\\\$HOME"', "\\\\$ is no escape"),
        ("A= # comment", "takes this comment for the value"),
        ("A=x\t# comment", "a tab before #"),
        ("A=${HOME", "not closed"),
        ("A=${NOWHERE:-a # b}", "not closed"),
        ('A="${NOWHERE:-a\\nb}"', "is not a reference"),
        ("A=${NOWHERE:-${EMPTY:-a}}", "is not a reference"),
        ("A=${NOWHERE:-{}}", "is not a reference"),
        ("A=${}", "is not a reference"),
        ("A=${1}", "is not a reference"),
        ("A=${A B}", "is not a reference"),
        ("A=a\x00b", "U+0000"),
        ("A=a\u00a0b", "U+00A0"),
        ("A=1\rB=2", "U+000D"),
        (b"A=\xff", "not UTF-8"),
    ],
)
def test_what_compose_versions_or_people_read_differently_is_refused_with_its_line(
    line: str | bytes, reason: str
) -> None:
    data = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(FindingsError) as caught:
        envfile.parse(b"# first\n" + data + b"\n", "env/dev.env")
    (finding,) = caught.value.findings
    assert finding.where == "env/dev.env:2"
    assert reason in finding.what


def test_all_malformed_lines_are_shown_at_once() -> None:
    with pytest.raises(FindingsError) as caught:
        envfile.parse(b"A=1\nwhat\nA=2\nB='x\n", "env/dev.env")
    assert [finding.where for finding in caught.value.findings] == [
        "env/dev.env:2",
        "env/dev.env:3",
        "env/dev.env:4",
    ]
    assert "A is set twice, first in line 1" in str(caught.value)


def test_a_reference_to_nothing_is_an_error_because_compose_would_drop_it() -> None:
    (assignment,) = envfile.parse(b"PASSWORD=pa$sword", "env/dev.env")
    with pytest.raises(GangwayError, match="refers to sword, which is not set") as caught:
        assignment.value(shelled({}).get)
    assert caught.value.where == "env/dev.env:1"
    assert "$$" in str(caught.value.fix)


def test_a_required_reference_says_its_reason() -> None:
    (assignment,) = envfile.parse(b"IMAGE=${MIRROR:?the address}/x", "env/images/mirror.env")
    with pytest.raises(GangwayError, match="IMAGE needs MIRROR: the address"):
        assignment.value({"MIRROR": ""}.get)


QUOTED = [
    "",
    "plain-1.2_3/x:y@z",
    "two words",
    " outer ",
    "# no comment",
    "a #b",
    "it's",
    'say "hi"',
    "both ' and \"",
    "$HOME ${X:-y} $$",
    "it's $HOME",
    "back\\slash",
    "end\\",
    "it's\\",
    "\\'",
    "\\\\host\\$share",
    "it's \\$HOME \\\\$$",
    "tab\tline\nreturn\r",
    "C:\\new\\table's",
    "é",
]


def test_quoted_values_are_read_back_by_compose(
    checkout: Checkout, render: Render, shell: dict[str, str]
) -> None:
    lines = [f"V{number}={envfile.quote(value)}\n" for number, value in enumerate(QUOTED)]
    env = load(checkout({"env/dev.env": HEAD + "".join(lines)}), "dev", shell=shell)
    rendered = render(env)
    assert [env.get(f"V{number}") for number in range(len(QUOTED))] == QUOTED
    assert [rendered[f"V{number}"] for number in range(len(QUOTED))] == QUOTED
