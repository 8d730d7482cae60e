"""Whatever the bare app would see and say, it sees and says in development and production."""

from __future__ import annotations

import pytest

from tests.e2e.front.places import Bare, Route, same
from tests.e2e.front.table import ROWS, Row

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@every_row
def test_development_answers_as_the_bare_app(
    row: Row, development: list[Route], bare: Bare
) -> None:
    same(row, development, bare)


@every_row
def test_production_answers_as_the_bare_app(row: Row, production: list[Route], bare: Bare) -> None:
    same(row, production, bare)
