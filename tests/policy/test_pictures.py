"""The pictures in the README and the docs show the stacks as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangway.operations.graph import pictures
from tests.unit.conftest import ROOT

PAGES = [page for page in pictures.pages(ROOT) if "<!-- picture: " in page.read_text("utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_pictures_of_a_page_are_what_the_models_say(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    # Not compared by pytest, which would print two whole pages.
    current = text == pictures.redrawn(ROOT, text)
    assert current, f"{page.name} is out of date: python -m gangway.operations.graph"
