"""The browser's part: a page becomes a PDF.

``python -m jobs.rendering`` reads HTML and writes PDF, in a process of its own: whatever becomes of
the browser, the worker is only told.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

MEDIA_TYPE = "application/pdf"
LIMIT = 60.0
"""Seconds for the whole of it."""
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

ARGUMENTS = (
    # A sandbox needs a user namespace, which a container without capabilities can't make. What is
    # shown is our own page, without scripts and without a network.
    "--no-sandbox",
    # A container's /dev/shm may be small.
    "--disable-dev-shm-usage",
    "--disable-gpu",
)


class Unrendered(Exception):
    """There is no PDF; the text says why."""


def pdf(page: str) -> bytes:
    """Return a page as PDF; raise Unrendered where there is no browser, or it does not do it."""
    if importlib.util.find_spec("playwright") is None:
        raise Unrendered("Playwright is not installed here")
    browser = find()
    command = [sys.executable, "-m", "jobs.rendering", browser]
    home = Path(__file__).resolve().parent.parent
    with subprocess.Popen(
        command,
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A group of its own, so that nothing of it is left.
        start_new_session=True,
    ) as process:
        try:
            made, said = process.communicate(page.encode(), timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise Unrendered(f"the browser did not finish within {LIMIT:g} s") from None
        finally:
            _end(process.pid)
    if process.returncode != 0 or not made.startswith(b"%PDF-"):
        lines = said.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise Unrendered(f"the browser failed: {lines[-1]}")
    return made


def find() -> str:
    """Return the path of the browser: CHROMIUM, or the first that is found."""
    named = os.environ.get("CHROMIUM")
    for name in [named] if named else NAMES:
        if path := shutil.which(name):
            return path
    raise Unrendered(f"there is no {named}" if named else "there is no Chromium here")


def _end(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _print(browser: str, page: str) -> bytes:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=list(ARGUMENTS))
        context = chromium.new_context(java_script_enabled=False, offline=True)
        tab = context.new_page()
        tab.set_content(page, wait_until="load")
        return bytes(tab.pdf(format="A4", print_background=True))


def main() -> int:
    """Print standard input; one line says what went wrong."""
    from playwright.sync_api import Error

    try:
        made = _print(sys.argv[1], sys.stdin.read())
    except Error as error:
        print(error.message.strip().splitlines()[0], file=sys.stderr)
        return 1
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
