"""The checkout that all of these tests share: one start, whichever of them are run.

Its folder has a space and a quote in its name, and no engine answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.e2e.conftest import copies
from tests.e2e.native.checkout import NOBODY_ANSWERS, NativeCheckout
from tests.e2e.support import Result, myself, web


@dataclass(frozen=True)
class Stack:
    """The shared checkout, and how it came up first."""

    checkout: NativeCheckout
    up: Result
    urls: dict[str, str]


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with copies(NativeCheckout, NOBODY_ANSWERS) as make:
        checkout = make("it's a check out", myself())
        up = checkout.succeed("dev.up", "--ports", "auto")
        yield Stack(checkout, up, checkout.urls("dev"))


@pytest.fixture
def checkout(stack: Stack) -> NativeCheckout:
    """Return the shared checkout with everything up, whatever the test before did to it."""
    if not stack.checkout.healthy():
        stack.checkout.succeed("dev.up")
    return stack.checkout


@pytest.fixture
def api(stack: Stack, checkout: NativeCheckout) -> Iterator[httpx.Client]:
    with web(stack.urls["api"]) as client:
        yield client
