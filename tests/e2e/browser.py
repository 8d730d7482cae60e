"""Pages as a user sees them: a real browser, whose screenshots are kept as artifacts.

The browser is Debian's Chromium (or GANGWAY_CHROMIUM), driven by Playwright, which brings none.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Route, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.e2e.support import ROOT

SCREENSHOTS: Final = ROOT / ".gangway" / "screenshots"
#: A telephone and a desktop, in CSS pixels.
WIDTHS: Final = (390, 1280)
HEIGHTS: Final = {390: 844, 1280: 900}
#: How long anything that is looked for may take to show, in milliseconds: plots are drawn without a
#: graphics card, perhaps on a busy machine.
PATIENCE: Final = 60_000


def chromium() -> str | None:
    """Return the path of a Chromium; None where there is none."""
    wished = os.environ.get("GANGWAY_CHROMIUM")
    names = (wished,) if wished else ("chromium", "chromium-browser", "google-chrome")
    return next((found for found in map(shutil.which, names) if found), None)


@contextmanager
def started(program: str) -> Iterator[Browser]:
    """Start a browser for the block; it has no profile, and uses no proxy of the shell's."""
    # What is fetched for the browser (below) has no address to it, and a page without one may open
    # no websocket to this machine.
    local = "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets"
    flags = ["--no-proxy-server", "--disable-dev-shm-usage", local]
    # Chromium's own sandbox refuses root.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=flags, chromium_sandbox=os.getuid() != 0
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True)
class Visit:
    """A page that is open, and what went wrong on it so far."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note from now on what the console calls an error, and each request that fails."""
        page, home = self.page, urlsplit(self.url).netloc
        page.on("console", lambda said: self._fault(said.type == "error", f"says {said.text}"))
        page.on("pageerror", lambda error: self.faults.append(f"throws {error}"))
        page.on(
            "requestfailed",
            lambda request: self.faults.append(f"lost {request.url}: {request.failure}"),
        )
        page.on(
            "response",
            lambda answer: self._fault(answer.status >= 400, f"{answer.status} for {answer.url}"),
        )
        page.on(
            "request",
            lambda request: self._fault(
                urlsplit(request.url).netloc not in ("", home), f"asks {request.url}"
            ),
        )

    def _fault(self, holds: bool, what: str) -> None:
        if holds:
            self.faults.append(what)

    @property
    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(script))

    def keep(self, name: str) -> Path:
        """Save the whole page as an artifact; return the file."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        # The caret stays: to hide it changes the page, which React may be about to compare.
        self.page.screenshot(path=path, full_page=True, animations="disabled", caret="initial")
        return path


#: What is fetched for the browser; the rest (forms, event streams) it fetches itself.
_FETCHED: Final = {"document", "fetch", "font", "image", "script", "stylesheet", "xhr"}


_DROPPED: Final = "ERR_NETWORK_CHANGED"


def _fetch(route: Route) -> None:
    # Chromium drops whatever is under way when a network of this machine comes or goes
    # (ERR_NETWORK_CHANGED), and engines make and remove networks all the time.
    request = route.request
    form = request.resource_type == "document" and request.method != "GET"
    if form or request.resource_type not in _FETCHED:
        route.continue_()
        return
    try:
        answer = route.fetch(timeout=PATIENCE)
    except PlaywrightError:
        # The page may be gone by now.
        with contextlib.suppress(PlaywrightError):
            route.abort("failed")
    else:
        route.fulfill(response=answer)


@contextmanager
def visit(browser: Browser, url: str, width: int = 1280) -> Iterator[Visit]:
    """Open a page in a window of that width, with no cookies, for the block."""
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHTS.get(width, 900)}, locale="en-GB"
    )
    context.set_default_timeout(PATIENCE)
    context.route("**/*", _fetch)
    try:
        found = Visit(context.new_page(), url)
        found.watch()
        try:
            found.page.goto(url)
            yield found
        except PlaywrightError:
            print(
                f"{url}, {width} px: {found.faults or 'no fault was seen'}; {found.keep('failed')}"
            )
            raise
    finally:
        context.close()


def submit(found: Visit, click: Callable[[], None]) -> None:
    """Send a form by a click, and wait for the page that follows.

    Once more where Chromium dropped it because a network came or went: what a form sends can't be
    fetched for it. Only for what may be sent twice.
    """
    for chance in (2, 1, 0):
        try:
            with found.page.expect_navigation():
                click()
        except PlaywrightError as error:
            if _DROPPED not in str(error) or not chance:
                raise
            found.faults[:] = [fault for fault in found.faults if _DROPPED not in fault]
            found.page.goto(found.url)
        else:
            return


def look(
    browser: Browser, url: str, name: str, shows: Callable[[Page], object], **options: bool
) -> list[Path]:
    """Look at a page on a telephone and on a desktop; return the screenshots that were kept.

    `shows` waits for what must be seen, and fails where it isn't. The page must load without an
    error on the console, a request that fails or goes to another server, or a part that is wider
    than the window. `scroll_free=False` lets a page be wider.
    """
    kept = []
    for width in WIDTHS:
        with visit(browser, url, width) as found:
            shows(found.page)
            kept.append(found.keep(f"{name}-{width}"))
            assert found.faults == [], found.faults
            if options.get("scroll_free", True):
                assert found.overflow <= 0, f"{found.overflow} px too wide at {width} px"
    return kept
