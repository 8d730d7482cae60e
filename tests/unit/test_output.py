"""Text for people, on a terminal and elsewhere."""

from __future__ import annotations

import io
import os

import pytest

from gangway.base import output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_only() -> None:
    assert output.wants_colour(Terminal(), {})
    assert not output.wants_colour(io.StringIO(), {})
    assert not output.wants_colour(Terminal(), {"NO_COLOR": "1"})
    assert not output.wants_colour(Terminal(), {"TERM": "dumb"})


def test_a_real_terminal_gets_colour_and_a_pipe_plain_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    controller, terminal = os.openpty()
    reader, writer = os.pipe()
    with os.fdopen(terminal, "w") as screen, os.fdopen(writer, "w") as pipe:
        states = output.state_colours(screen)
        assert states is not None
        assert {"waiting", "created", "started", "healthy", "done", "unhealthy", "failed"} == set(
            states
        )
        assert states["healthy"] == "\x1b[32m"
        assert output.state_colours(pipe) is None
    os.close(controller)
    os.close(reader)


def test_a_table_is_aligned_without_trailing_space() -> None:
    rows = [("a", "long value", ""), ("longer", "b", "end")]
    assert output.table(rows, ("name", "value", "origin")).splitlines() == [
        "name    value       origin",
        "a       long value",
        "longer  b           end",
    ]
    assert output.table([]) == ""


def test_a_row_stays_a_line_whatever_its_cells_hold() -> None:
    assert output.table([("a\nb", "\x1b[31mred")]) == "a\\nb  \\x1b[31mred"


def test_a_mask_tells_nothing_but_whether_there_is_a_value() -> None:
    assert output.mask("x") == output.mask("a long secret") != ""
    assert output.mask("") == ""
