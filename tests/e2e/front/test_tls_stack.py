"""Whole stacks with TLS in front: staging's own certificate, and development by https."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from gangway.settings import certificates
from tests.e2e.conftest import MakeCheckout
from tests.e2e.support import Checkout, add_by_page, eventually, habits, myself

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Site:
    """A running stack with TLS: where it is by http and by https, and whom a client trusts."""

    checkout: Checkout
    plain: str
    secure: str
    trusted: Path

    def client(self) -> httpx.Client:
        """Return a client that trusts the one certificate, or the one authority."""
        trust = ssl.create_default_context(cafile=str(self.trusted))
        # As browsers do: by https Flask-WTF insists on it.
        came_from = {"Referer": f"{self.secure}/"}
        return httpx.Client(
            base_url=self.secure, verify=trust, trust_env=False, timeout=10, headers=came_from
        )


def site(checkout: Checkout, environment: str, trusted: Path) -> Site:
    lines = checkout.succeed(f"{environment}.urls").stdout.splitlines()
    urls = [url for name, url in map(str.split, lines) if name == "nginx"]
    (plain,) = [url for url in urls if url.startswith("http:")]
    (secure,) = [url for url in urls if url.startswith("https:")]
    return Site(checkout, plain, secure.replace("127.0.0.1", "localhost"), trusted)


class TestStaging:
    @pytest.fixture(scope="class")
    @classmethod
    def staging(cls, make_checkout: MakeCheckout) -> Iterator[Site]:
        checkout = make_checkout("tls", myself(), TLS="self-signed", TLS_NAMES="localhost")
        checkout.succeed("staging.init")
        checkout.succeed("staging.up", "--ports", "auto", timeout=600)
        yield site(checkout, "staging", checkout.root / "secrets/staging/tls/certificate.pem")
        checkout.succeed("staging.down", "--volumes", "--yes")

    def test_pages_and_the_api_are_served_by_https(self, staging: Site) -> None:
        with staging.client() as client:
            assert "By https" in add_by_page(client, "By https").text
            assert habits(client, "/api/habits") == {"By https"}
            assert all(cookie.secure for cookie in client.cookies.jar)

    def test_http_leads_there(self, staging: Site) -> None:
        answer = httpx.get(f"{staging.plain}/api/habits?page=1", trust_env=False)
        assert answer.status_code == 308
        assert answer.headers["Location"].startswith("https://")
        assert answer.headers["Location"].endswith("/api/habits?page=1")

    def test_its_certificate_is_shown_and_a_new_one_is_taken_up(self, staging: Site) -> None:
        shown = staging.checkout.succeed("staging.tls").stdout
        assert "localhost" in shown and "itself" in shown
        assert any(f"{days}" in shown for days in (396, 397))
        (before,) = staging.checkout.containers("staging", "nginx")
        folder = staging.trusted.parent
        was = folder.stat()
        soon = certificates.self_signed(["localhost"], timedelta(days=10))
        certificates.write(folder, soon, (was.st_uid, was.st_gid))

        def served() -> bool:
            done = staging.checkout.invoke("staging.tls")
            return done.status == 1 and "the certificate ends in" in done.text

        eventually(served, within=60)
        with staging.client() as client:
            assert client.get("/api/health").status_code == 200
        eventually(
            lambda: "the certificate ends in" in staging.checkout.succeed("staging.ps").text,
            within=60,
        )
        (after,) = staging.checkout.containers("staging", "nginx")
        assert after["State"]["StartedAt"] == before["State"]["StartedAt"]


class TestDevelopment:
    @pytest.fixture(scope="class")
    @classmethod
    def dev(cls, make_checkout: MakeCheckout) -> Iterator[Site]:
        checkout = make_checkout("https")
        home = checkout.root / ".home"
        up = ["dev.up", "--https", "--ports", "auto"]
        checkout.succeed(*up, timeout=600, XDG_DATA_HOME=str(home))
        (proxy,) = checkout.containers("dev", "nginx")
        ports = proxy["NetworkSettings"]["Ports"]
        plain, secure = (ports[port][0]["HostPort"] for port in ("8080/tcp", "8443/tcp"))
        yield Site(
            checkout,
            f"http://localhost:{plain}",
            f"https://localhost:{secure}",
            home / "gangway/ca/certificate.pem",
        )
        checkout.succeed("dev.down", "--volumes", "--yes")

    def test_development_is_reached_by_https_as_production_is(self, dev: Site) -> None:
        with dev.client() as client:
            assert "Locally" in add_by_page(client, "Locally").text
            assert "Locally" in habits(client, "/api/habits")
            answer = client.get("/api/health")
            assert answer.headers.get("Strict-Transport-Security") in (None, "max-age=0")

    def test_nothing_is_left_when_it_is_taken_down(self, dev: Site) -> None:
        dev.checkout.succeed("dev.down")
        assert not dev.checkout.containers("dev")
