"""What an app does with its data stores: migrations, what it is handed, what it can't be told."""

from __future__ import annotations

import re

from gangway.operations.adoption.look import migrations
from gangway.operations.adoption.look.app import App
from gangway.operations.adoption.look.gathered import Gathered
from gangway.operations.adoption.look.python import Source
from gangway.operations.adoption.look.wishes import Wishes

_REDIS = ("redis", "aioredis", "django-redis", "arq", "rq")
_REDIS_WORDS = r"Redis\(|redis://|from_url"
_ADDRESS = (
    r"[\"'](?:postgres(?:ql)?|mysql)(?:\+\w+)?://[^\"'{}]+@[^\"'{}]+[\"']"
    r"|[\"']sqlite(?:\+\w+)?:///[^\"']*[\"']"
)
_CONNECTS = re.compile(
    r"engine\(|connect\(|database|db_ur|sqlalchemy|\bdsn\b|db\s*=", re.IGNORECASE
)
_READS = re.compile(r"environ|getenv|env\(|config\(")


def migrated(app: App) -> Gathered:
    """Return how the database is brought up to date."""
    started = [
        pair for start in app.own for pair in start.jobs if pair[0].kind in ("migrate", "seed")
    ]
    result = migrations.find(
        app.sources,
        source=app.place.source,
        workdir=app.place.workdir,
        lock=app.lock,
        django=app.manage,
        flask=app.entry.target if app.framework == "Flask" else "",
        started=started,
    )
    found = Gathered(result.facts, losses=list(result.losses))
    if result.where:
        by = f" by {result.tool}" if result.tool else ""
        found.saw(f"migrations{by}: {result.migrate}", result.where)
    if result.seed != migrations.NOTHING:
        found.saw(f"first rows: {result.seed}", result.seed_where)
    return found


def handed(app: App, wishes: Wishes) -> Gathered:
    """Return what the app is handed, and what it can't be told because it doesn't ask."""
    found, result = Gathered(), wishes.sorted
    words = list(result.words)
    knows_password = result.password
    if app.beside.runs(r"^rq\b"):
        words.append("RQ_REDIS_URL={broker_url}")
        knows_password = True
    found.facts["API_READS"] = " ".join(dict.fromkeys(words))
    found.losses += result.losses
    if app.lock.has(*_REDIS) and not knows_password:
        found.lose(
            "the app is told no password of Redis",
            _redis_place(app),
            "Redis has one here: leave the files secrets/*/redis_password empty, or let the app"
            " read REDIS_URL",
        )
    for source in app.sources.saying(_ADDRESS, app.files):
        _addresses(source, wishes, found)
    return found


def _redis_place(app: App) -> str:
    for source in app.sources.saying(_REDIS_WORDS, app.files):
        if match := re.search(_REDIS_WORDS, source.text):
            return f"{source.path}:{_line(source, match)}"
    return app.lock.path


def _addresses(source: Source, wishes: Wishes, found: Gathered) -> None:
    """Name the addresses of databases that stand in a module and that no variable changes."""
    known = {read.where for every in wishes.reads.values() for read in every}
    lines = source.text.splitlines()
    for match in re.finditer(_ADDRESS, source.text):
        line = _line(source, match)
        around = "\n".join(lines[max(line - 3, 0) : line])
        is_read = f"{source.path}:{line}" in known or _READS.search(around)
        if is_read or lines[line - 1].lstrip().startswith("#") or not _CONNECTS.search(around):
            continue
        found.lose(
            f"the address of a database in the code: {match[0]}",
            f"{source.path}:{line}",
            'let the code read it: os.environ["DATABASE_URL"], which API_READS hands over',
        )


def _line(source: Source, match: re.Match[str]) -> int:
    return source.text.count("\n", 0, match.start()) + 1
