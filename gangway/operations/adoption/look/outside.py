"""What stands between an app and the world: what nobody outside gets, and what it may reach."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from gangway.operations.adoption.look.app import App
from gangway.operations.adoption.look.apps import framework_of
from gangway.operations.adoption.look.gathered import Gathered
from gangway.operations.adoption.look.python import argument
from gangway.operations.adoption.look.values import UNKNOWN
from gangway.operations.adoption.look.wishes import Wishes

_READY: Final = "/ready"
_PAGES: Final = {"docs_url": "/docs", "redoc_url": "/redoc", "openapi_url": "/openapi.json"}
"""Where FastAPI has its pages unless it is told another place, or none."""


def outside(app: App, wishes: Wishes) -> Gathered:
    """Return what the proxy closes in production, and that the app reaches what it always did."""
    found = Gathered({"EGRESS": "open"})
    found.saw("production reaches the internet (EGRESS)", "the default")
    if pages := list(dict.fromkeys(_pages(app, wishes))):
        found.facts["CLOSED_PATHS"] = " ".join([_READY, *pages])
        found.saw(f"production closes {', '.join(pages)}", app.entry.application.where)
    return found


def _pages(app: App, wishes: Wishes) -> Iterator[str]:
    if app.framework != "FastAPI":
        return
    path = app.entry.application.path
    source = app.sources[path]
    made = [call for call in source.calls() if framework_of(call, source) == "FastAPI"]
    for call in made[:1]:
        places = {name: _place(call, name, wishes, app) for name in _PAGES}
        # Without a description there is nothing to show.
        if places["openapi_url"]:
            yield from filter(None, places.values())


def _place(call: ast.Call, name: str, wishes: Wishes, app: App) -> str:
    """Return where a page is; empty for none. What only a start would tell is taken as usual."""
    node = argument(call, None, name)
    if node is None:
        return _PAGES[name]
    value = wishes.values.of(node, app.sources[app.entry.application.path])
    if value is UNKNOWN:
        return _PAGES[name]
    return value if isinstance(value, str) else ""
