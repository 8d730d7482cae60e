"""How an app is served and asked whether it is alive: interface, target, port, health check."""

from __future__ import annotations

import ast
import re

from gangway.operations.adoption.look import django, health, routes
from gangway.operations.adoption.look.app import App
from gangway.operations.adoption.look.gathered import Gathered
from gangway.operations.adoption.look.health import Health
from gangway.operations.adoption.look.python import argument
from gangway.operations.adoption.look.routes import Route, Urls, Web
from gangway.operations.adoption.look.values import Values
from gangway.operations.adoption.look.wishes import Wishes

_PORT = 8000
_GUARDS = r"TrustedHostMiddleware|HTTPSRedirectMiddleware|force_https|Talisman"


def served(app: App, wishes: Wishes) -> Gathered:
    """Return how the app is served."""
    found = Gathered()
    application = app.entry.application
    found.facts["API_INTERFACE"] = application.interface
    found.facts["API_TARGET"] = app.entry.target
    found.saw(f"entry point {app.entry.target}", application.where)
    _port(app, found)
    known = _health(app, wishes)
    found.losses += known.losses
    found.facts["API_HEALTH"] = known.path
    if known.path != "tcp":
        found.facts["API_HEALTH_HOST"] = known.host
        found.facts["API_HEALTH_SCHEME"] = known.scheme
        found.saw(f"health at {known.path}", known.where)
    return found


def _port(app: App, found: Gathered) -> None:
    port, where = _PORT, ""
    for start in reversed(app.own):
        known = start.server
        # A development server's own port says nothing of production's.
        if known and known[0].port and known[0].program not in ("flask", "manage.py"):
            port, where = known[0].port, known[1]
    if app.image and app.image.port:
        port, where = app.image.port
    if port < 1024:
        do = f"nobody is root in a container: it is {_PORT} there, and nginx has the port outside"
        found.lose(f"port {port}", where, do)
        port = _PORT
    elif where:
        found.saw(f"port {port}", where)
    found.facts["API_PORT"] = str(port)


def _health(app: App, wishes: Wishes) -> Health:
    asked = [
        (start.service.healthcheck, start.service.where)
        for start in app.own
        if start.service and start.server and start.service.healthcheck
    ]
    if app.image and app.image.healthcheck:
        asked.append(app.image.healthcheck)
    if app.manage is not None:
        found = health.choose(_of_django(app, wishes), asked)
        hosts_are_set = any("ALLOWED_HOSTS" in name for name in wishes.given)
        kinds = wishes.settings.values()
        return health.for_django(found, kinds, hosts_are_set=hosts_are_set)
    found = health.choose(Web(app.sources, wishes.values, app.files).routes(), asked)
    _guarded(app, wishes, found)
    return found


def _of_django(app: App, wishes: Wishes) -> list[Route]:
    production = wishes.settings.get("prod")
    root = production.get("ROOT_URLCONF") if production else None
    if production is None or not isinstance(root, str):
        return []
    if any("LoginRequired" in each for each in django.listed(production.get("MIDDLEWARE"))):
        return []
    closed = not routes.anonymous(production.get("REST_FRAMEWORK"))
    values = Values(app.sources, app.place.roots, production.values.environment)
    return Urls(app.sources, values, closed=closed).routes(root)


def _guarded(app: App, wishes: Wishes, found: Health) -> None:
    """Take into account what middleware asks of a request."""
    for source in app.sources.saying(_GUARDS, app.files):
        for call in source.calls():
            names = {ast.unparse(each) for each in (call.func, *call.args)}
            last = {name.rpartition(".")[2] for name in names}
            if "TrustedHostMiddleware" in last:
                hosts = wishes.values.of(argument(call, None, "allowed_hosts"), source)
                if django.allows(hosts, "localhost", debug=False) is False:
                    found.host = next(iter(re.findall(r"[\w-][\w.-]*", str(hosts))), "")
            elif last & {"HTTPSRedirectMiddleware", "Talisman"}:
                found.scheme = "https"
