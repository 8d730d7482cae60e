"""The pictures in docs/images/ show the stacks as they are."""

from __future__ import annotations

import pytest

from gangway.operations.graph import pictures, svg
from gangway.settings import environment
from tests.unit.conftest import ROOT

STACKS = environment.stacks(ROOT)
FOLDER = ROOT / pictures.FOLDER


@pytest.mark.parametrize("stack", STACKS)
def test_the_picture_of_a_stack_is_what_its_model_says(stack: str) -> None:
    drawn = svg.text(pictures.committed(ROOT, stack))
    path = FOLDER / f"{stack}.svg"
    assert path.exists(), "draw it: python -m gangway.operations.graph"
    # Not compared by pytest, which would print two whole pictures.
    current = path.read_text(encoding="utf-8") == drawn
    assert current, f"{path.name} is out of date; draw it again: python -m gangway.operations.graph"


def test_no_picture_is_left_of_a_stack_that_is_gone() -> None:
    ours = {
        path.stem for path in FOLDER.glob("*.svg") if svg.MARK in path.read_text(encoding="utf-8")
    }
    assert ours == set(STACKS)
