"""Copies of the checkout for the end-to-end tests, and what their services said on a failure."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest
from playwright.sync_api import Browser

from tests.e2e import browser as browsers
from tests.e2e import support, wheel
from tests.e2e.native.checkout import NOBODY_ANSWERS, NativeCheckout
from tests.e2e.support import Checkout, User

MakeCheckout = Callable[..., Checkout]
MakeNative = Callable[..., NativeCheckout]
_made: list[Checkout] = []
# Repositories that know nothing of Gangway; their tests run in stacks of their own.
collect_ignore = ["foreign"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `nox -s prod_smoke -- --stack NAME` name the stack."""
    parser.addoption("--stack", default="core", help="the stack that test_prod_stack.py ships")


@pytest.fixture(scope="session")
def _engine() -> None:
    try:
        answers = support.docker("version").status == 0
    except FileNotFoundError:
        answers = False
    if not answers:
        if os.environ.get("CI"):
            pytest.fail("no container engine answers")
        pytest.skip("no container engine answers")


@pytest.fixture(scope="session")
def installed() -> Iterator[Path]:
    """The Python of an environment that has the wheel and what it asks for."""
    with wheel.installed() as python:
        yield python


@pytest.fixture(scope="module")
def make_checkout(_engine: None) -> Iterator[MakeCheckout]:
    """Make copies of the checkout that share a project prefix; all of it goes in the end."""
    with copies(Checkout, {"GANGWAY_ENGINE": "docker"}) as make:
        yield make


@pytest.fixture(scope="module")
def make_native() -> Iterator[MakeNative]:
    """Make copies of the checkout where no container engine answers; all of it goes in the end."""
    with copies(NativeCheckout, NOBODY_ANSWERS) as make:
        yield make


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser; its pages are opened by `tests.e2e.browser`."""
    program = browsers.chromium()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("there is no chromium (Debian: apt install chromium)")
        pytest.skip("there is no chromium (Debian: apt install chromium)")
    with browsers.started(program) as started:
        yield started


@contextmanager
def copies(
    kind: type[support.Kind], always: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Callable[..., support.Kind]]:
    prefix = f"gangway-e2e-{uuid.uuid4().hex[:6]}"
    made: list[support.Kind] = []

    def make(folder: str = "checkout", user: User | None = None, **variables: str) -> support.Kind:
        # Not pytest's own folder, which is closed to every user but one.
        top = Path(tempfile.mkdtemp(prefix="gangway-e2e-"))
        top.chmod(0o755)
        made.append(
            support.copy(
                top / folder,
                name=prefix,
                user=user or support.ordinary(),
                kind=kind,
                variables={**always, **variables},
            )
        )
        _made.append(made[-1])
        return made[-1]

    try:
        yield make
    finally:
        for checkout in made:
            checkout.remove()
            shutil.rmtree(checkout.root.parent, ignore_errors=True)
            _made.remove(checkout)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the services said to the report of a test that failed."""
    report = yield
    if report.failed:
        for checkout in _made[-1:]:
            report.sections.append((f"services of {checkout.prefix}", checkout.dump()))
    return report
