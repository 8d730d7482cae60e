"""The probe apps as a stack of a checkout: in development's containers, and behind the proxy."""

from __future__ import annotations

import shutil
import ssl
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from tests.e2e.front.exchange import Address
from tests.e2e.front.places import HERE, Certificate, Route, place_probes
from tests.e2e.front.table import ASGI
from tests.e2e.support import Checkout, own

#: What the proxy in front of ours says of its client.
CLIENT = "203.0.113.7"
#: REQUEST_SECONDS in stack.env.
REQUEST_SECONDS = 8
#: Which proxy has which apps, and below what: stack/prod.yml.
BEHIND = {
    "nginx": [("plain", "", False), ("fast", "/api", False)],
    "kept": [("classic", "", False), ("fast", "/api", True)],
    "turned": [("fast", "", False), ("classic", "/api", False)],
    "outer": [("plain", "", False), ("classic", "/api", False)],
}
#: The services of the apps.
SERVICES = {"fast": "api", "plain": "plain", "classic": "classic"}


@dataclass(frozen=True)
class Stack:
    """A checkout that has the stack."""

    checkout: Checkout
    certificate: Certificate

    def production(self) -> list[Route]:
        """Start production and return its routes."""
        self.checkout.succeed("prod.init")
        self.checkout.succeed("prod.build", timeout=600)
        self.checkout.succeed("prod.up", "--ports", "auto")
        found = []
        for proxy, apps in BEHIND.items():
            one = self.behind(proxy)
            found += [replace(one, app=app, prefix=prefix, kept=kept) for app, prefix, kept in apps]
        return found

    def behind(self, proxy: str) -> Route:
        """Return the way through one of production's proxies to FastAPI at /."""
        trusted = self.certificate.context() if proxy == "outer" else None
        address = _address(self.checkout.urls("prod")[proxy], trusted)
        seen = frozenset({CLIENT}) if trusted else self.gateways("prod", proxy)
        return Route(ASGI, address, clients=seen)

    def development(self) -> list[Route]:
        """Start development and return its routes."""
        self.checkout.succeed("dev.up", "--ports", "auto", timeout=600)
        urls = self.checkout.urls("dev")
        return [
            Route(app, _address(urls[service]), clients=self.gateways("dev", service))
            for app, service in SERVICES.items()
        ]

    def gateways(self, environment: str, service: str) -> frozenset[str]:
        """Return the addresses by which this machine may reach a service."""
        networks = [
            network
            for record in self.checkout.containers(environment, service)
            for network in record["NetworkSettings"]["Networks"].values()
        ]
        return frozenset(str(network["Gateway"]) for network in networks)


def _address(url: str, tls: ssl.SSLContext | None = None) -> Address:
    found = urlsplit(url)
    assert found.hostname
    assert found.port
    return Address(found.hostname, found.port, tls)


def add_to(checkout: Checkout, certificate: Certificate) -> Stack:
    """Put the stack into a checkout."""
    stack = checkout.root / "stacks" / "probe"
    shutil.copytree(HERE / "stack", stack)
    place_probes(checkout.root / "apps" / "probe")
    for file in (certificate.file, certificate.key):
        shutil.copy(file, stack)
    if checkout.user.identity:
        own(checkout.root, checkout.user)
    return Stack(checkout, certificate)
