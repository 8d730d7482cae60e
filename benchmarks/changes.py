"""Releases of the sample api to be deployed, good and bad, as the files that make them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Events and a WebSocket, which the sample api has none of; a release is a change of this file.
LIVE = "apps/api/api/live.py"
MAIN = "apps/api/api/main.py"
#: The sample api's last migration.
LAST = "0002"
_LAST_WORDS = "bench: this release has no way to start"
_GOOD = "\nRELEASE = {number}\n"
_EXITS = f'\nraise SystemExit("{_LAST_WORDS}")\n'
_ADD = """
_add = add_to


def add_to(app: Any) -> None:
    _add(app)
    app.add_middleware(Wrong)


class Wrong:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or (scope["path"] == "/health") is {health}:
            await self.app(scope, receive, send)
            return
        await send({{"type": "http.response.start", "status": {status}, "headers": []}})
        await send({{"type": "http.response.body", "body": b"{words}"}})
"""
_MIGRATION = '''"""a column that nobody needs"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{after}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    {upgrade}


def downgrade() -> None:
    op.drop_column("habits", "note")
'''
_WORDS = {
    "exits": _LAST_WORDS,
    "unhealthy": "bench: never healthy",
    "migration": "bench: this migration fails",
    "wrong": "bench: a wrong answer",
}
#: How a release can be bad: it exits at its start, it is never healthy, its migration fails, or it
#: is healthy and answers 500 to all but the health check.
BAD = tuple(_WORDS)


def symptom(kind: str) -> str:
    """Return what somebody has to be told who deploys a bad release: its last words, mostly."""
    seen = {"unhealthy": "answers /health with status 503", "wrong": "status 500"}
    return seen.get(kind, _WORDS[kind])


def base(main: str) -> dict[str, str]:
    """Return the files of a first release; `main` is the text of the api's main module."""
    # Below the app, as whoever imports it knows nothing of this.
    added = "\nfrom api import live  # noqa: E402\n\nlive.add_to(app)\n"
    return {MAIN: main + added, **good(0)}


def good(number: int) -> dict[str, str]:
    """Return the files of a good release, each number's different by a line."""
    return {LIVE: _live() + _GOOD.format(number=number)}


def additive(number: int) -> dict[str, str]:
    """Return a good release with a migration that code of before doesn't notice."""
    upgrade = 'op.add_column("habits", sa.Column("note", sa.String(100), nullable=True))'
    return {**good(number), **_migration(LAST, upgrade)}


def bad(kind: str, number: int, *, after: str = LAST) -> dict[str, str]:
    """Return the files of a bad release; its migration, if any, comes `after` that one."""
    source = good(number)
    if kind == "migration":
        return {**source, **_migration(after, f'raise RuntimeError("{_WORDS[kind]}")')}
    if kind == "exits":
        added = _EXITS
    else:
        health, status = (False, 503) if kind == "unhealthy" else (True, 500)
        added = _ADD.format(health=health, status=status, words=_WORDS[kind])
    return {LIVE: source[LIVE] + added}


def _migration(after: str, upgrade: str) -> dict[str, str]:
    revision = f"{int(after) + 1:04d}"
    path = f"apps/api/migrations/versions/{revision}_bench.py"
    return {path: _MIGRATION.format(revision=revision, after=after, upgrade=upgrade)}


def _live() -> str:
    return (ROOT / "tests/e2e/front/probe/live.py").read_text(encoding="utf-8")
