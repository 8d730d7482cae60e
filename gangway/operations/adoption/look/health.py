"""Which path says that the app is alive, and what must be sent with the question."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from gangway.operations.adoption.found import Loss
from gangway.operations.adoption.look.django import Settings, allows, listed
from gangway.operations.adoption.look.routes import Route
from gangway.operations.adoption.look.values import UNKNOWN

# What such a route is called, the likeliest first; what is ready says more than that it is alive.
_NAMES = tuple(
    re.compile(rf"(?:/[\w.-]+)*/_?{name}/?")
    for name in (
        r"(?:live|livez|liveness|alive)",
        r"health[-_]?z?",
        r"health[-_]?checks?",
        r"(?:up|heartbeat|__heartbeat__|__lbheartbeat__)",
        r"ping",
        r"(?:status|ht)",
        r"(?:ready|readyz|readiness)",
    )
)
_PATH = re.compile(r"https?://[^/\s\"']+(/[^\s\"'|;)]*)")


@dataclass
class Health:
    """How to ask an app whether it is alive."""

    path: str = "tcp"
    where: str = ""
    host: str = ""
    scheme: str = ""
    losses: list[Loss] = field(default_factory=list)


def choose(routes: Iterable[Route], asked: Iterable[tuple[str, str]]) -> Health:
    """Choose among an app's routes; `asked` are commands of existing health checks, with places.

    A path that an existing check asks for is one that answers; the routes say how it is written.
    """
    every = list(routes)
    for command, where in asked:
        match = _PATH.search(command)
        if match and match[1] != "/":
            path = match[1]
            same = [each for each in every if each.path.rstrip("/") == path.rstrip("/")]
            return Health(same[0].path if same else path, same[0].where if same else where)
    ranked = sorted(
        (each.touches, number, each.path.count("/"), each.path, each.where)
        for each in every
        if each.open
        for number, pattern in enumerate(_NAMES)
        if pattern.fullmatch(each.path)
    )
    if not ranked:
        return Health()
    return Health(ranked[0][3], ranked[0][4])


def for_django(health: Health, kinds: Iterable[Settings], *, hosts_are_set: bool) -> Health:
    """Add the Host and the scheme that a Django site's settings ask for in all environments.

    `hosts_are_set` says that ALLOWED_HOSTS comes from a variable, which will let localhost through.
    """
    if health.path == "tcp":
        return health
    every = list(kinds)
    host = _host(every, hosts_are_set=hosts_are_set)
    if host is None:
        health.losses.append(
            Loss(
                f"{health.path} answers 400 somewhere: no host is in ALLOWED_HOSTS everywhere",
                every[-1].where("ALLOWED_HOSTS"),
                "add localhost to it; until then the port alone is probed",
            )
        )
        health.path = "tcp"
        return health
    health.host = "" if host == "localhost" else host
    _scheme(health, every)
    return health


def _host(every: list[Settings], *, hosts_are_set: bool) -> str | None:
    """Return a host that all environments let through, localhost where it is one of them."""
    known = [host for settings in every for host in listed(settings.get("ALLOWED_HOSTS"))]
    for host in dict.fromkeys(["localhost", *(each.lstrip(".") for each in known if each != "*")]):
        answers = [
            allows(settings.get("ALLOWED_HOSTS"), host, debug=settings.get("DEBUG") is True)
            for settings in every
        ]
        if False not in answers or (hosts_are_set and host == "localhost"):
            return host
    return None


def _scheme(health: Health, every: list[Settings]) -> None:
    for settings in every:
        if settings.get("SECURE_SSL_REDIRECT") is not True:
            continue
        header = settings.get("SECURE_PROXY_SSL_HEADER")
        exempt = listed(settings.get("SECURE_REDIRECT_EXEMPT"))
        if any(re.search(each, health.path.lstrip("/")) for each in exempt):
            continue
        if header is UNKNOWN or not header:
            health.losses.append(
                Loss(
                    "SECURE_SSL_REDIRECT without SECURE_PROXY_SSL_HEADER: all is redirected",
                    settings.where("SECURE_SSL_REDIRECT"),
                    'set SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https");'
                    " until then the port alone is probed",
                )
            )
            health.path = "tcp"
        else:
            health.scheme = "https"
