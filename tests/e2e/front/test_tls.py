"""TLS in front: nginx with certificates of each kind, and a real ACME server."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import uuid
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from gangway.settings import certificates
from gangway.settings.certificates import Certificate, Pair
from gangway.settings.environment import load
from tests.e2e.front import nginx, pebble
from tests.e2e.front.nginx import Front
from tests.e2e.front.pebble import Pebble
from tests.e2e.front.upstream import Upstream, running
from tests.e2e.support import docker, eventually
from tests.policy.rendering import Case, render

NAME = "www.shop.test"
PORT = 8443
ACME_IMAGE = "gangway-e2e-front-acme:local"
IMAGES = os.environ.get("GANGWAY_IMAGES") or "registry"
USER = "10001"


@pytest.fixture(scope="module")
def app(_engine: None) -> Iterator[Upstream]:
    """What is behind the proxy."""
    nginx.build()
    with running(nginx.gateway()) as app:
        yield app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of secrets that the proxy's user can read."""
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    return tmp_path / "tls"


def put(folder: Path, pair: Pair) -> None:
    """Put a pair there as prod.init does, for the proxy's user."""
    certificates.write(folder, pair, (int(USER), int(USER)) if os.geteuid() == 0 else None)


@contextmanager
def with_files(app: Upstream, folder: Path, **variables: str) -> Iterator[Front]:
    """Run the proxy with TLS=files."""
    places = {"PROXY_ROOT": app.place, "PROXY_API": app.place}
    mount = f"type=bind,source={folder},target=/run/secrets/tls,readonly"
    with nginx.started(places, "--mount", mount, TLS="files", **variables) as front:
        yield front


def lax() -> ssl.SSLContext:
    """Return what takes a certificate, whoever it is from."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def browser(front: Front) -> closing[http.client.HTTPSConnection]:
    """Return one connection to the site."""
    client = http.client.HTTPSConnection(front.address, PORT, context=lax(), timeout=10)
    return closing(client)


def ask(client: http.client.HTTPSConnection, path: str = "/") -> http.client.HTTPResponse:
    """Send a request over it; return the answer, which has been read."""
    client.request("GET", path, headers={"Host": NAME})
    answer = client.getresponse()
    answer.read()
    return answer


def handshake(front: Front, name: str = NAME, **options: object) -> ssl.SSLSocket:
    """Return a connection with TLS, whoever the certificate is from."""
    context = lax()
    for option, value in options.items():
        setattr(context, option, value)
    context.set_alpn_protocols(["h2", "http/1.1"])
    end = socket.create_connection((front.address, PORT), timeout=10)
    return context.wrap_socket(end, server_hostname=name)


def served(front: Front) -> Certificate:
    """Return the certificate that a browser gets."""
    with closing(handshake(front)) as end:
        bits = end.getpeercert(binary_form=True)
    assert bits
    return certificates.parse(bits)


def certificate_of(pair: Pair) -> Certificate:
    return certificates.parse(pair.certificate)


def note(front: Front) -> str:
    """Return what the health check says."""
    done = docker("exec", front.container, "healthcheck", "http", "8080", "/nginx-health")
    assert done.status == 0, done.text
    return done.stdout


@pytest.fixture
def front(app: Upstream, folder: Path) -> Iterator[Front]:
    """The proxy with a certificate of its own."""
    put(folder, certificates.self_signed([NAME]))
    app.begin()
    with with_files(app, folder, HTTPS_PORT="443") as front:
        yield front


class TestServing:
    """What a browser gets."""

    def test_the_app_is_reached_by_https_and_told_so(self, front: Front, app: Upstream) -> None:
        with browser(front) as client:
            answer = ask(client)
        assert answer.status == 200
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert app.last.get("X-Forwarded-Proto") == "https"
        assert app.last.get("Host") == NAME

    def test_http_is_sent_to_https(self, front: Front) -> None:
        with front.client() as client:
            answer = client.post("/a?b=c", headers={"Host": NAME})
        assert answer.status_code == 308
        assert answer.headers["Location"] == f"https://{NAME}/a?b=c"

    def test_a_port_of_its_own_is_part_of_that(self, app: Upstream, folder: Path) -> None:
        put(folder, certificates.self_signed([NAME]))
        with with_files(app, folder, HTTPS_PORT="8443") as front, front.client() as client:
            answer = client.get("/", headers={"Host": f"{NAME}:8080"})
        assert answer.headers["Location"] == f"https://{NAME}:8443/"

    def test_browsers_get_http_2(self, front: Front) -> None:
        with closing(handshake(front)) as end:
            assert end.selected_alpn_protocol() == "h2"
            assert end.version() == "TLSv1.3"

    def test_settings_are_taken_up_and_the_ports_left(self, front: Front, app: Upstream) -> None:
        settings = ("exec", "--interactive", front.container, "front", "settings")
        done = docker(*settings, stdin="TLS=files\nCLIENT_MAX_BODY=1k\nHTTPS_PORT=444")
        assert done.status == 0, done.text
        with browser(front) as client:
            client.request("POST", "/", body=b"x" * 2000, headers={"Host": NAME})
            assert client.getresponse().status == 413
        with front.client() as plain:
            assert plain.get("/").headers["Location"] == f"https://{front.address}:444/"
        assert docker(*settings, stdin="TLS=off").status == 2
        done = docker("exec", front.container, "front", "leave")
        assert done.status == 0, done.text
        for port in (8080, PORT):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((front.address, port), timeout=10)

    def test_tls_1_2_is_the_oldest(self, front: Front) -> None:
        with closing(handshake(front, maximum_version=ssl.TLSVersion.TLSv1_2)) as end:
            assert end.version() == "TLSv1.2"
        context = lax()
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with (
            socket.create_connection((front.address, PORT), timeout=10) as end,
            pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"),
        ):
            context.wrap_socket(end, server_hostname=NAME)


class TestRenewal:
    """Files that change while the proxy runs."""

    def test_a_new_one_is_served_with_no_restart_and_no_lost_connection(
        self, front: Front, folder: Path, app: Upstream
    ) -> None:
        with browser(front) as client:
            ask(client)
            end = client.sock
            new = certificates.self_signed([NAME, "other.shop.test"])
            put(folder, new)
            eventually(lambda: served(front).bits == certificate_of(new).bits, within=15)
            assert ask(client).status == 200
            assert client.sock is end, "the connection was closed"

    def test_another_ones_key_is_not_taken_and_said(self, front: Front, folder: Path) -> None:
        before = served(front)
        new, other = certificates.self_signed([NAME]), certificates.self_signed([NAME])
        put(folder, Pair(new.certificate, other.key))
        eventually(lambda: "another certificate's key" in note(front), within=15)
        assert served(front).bits == before.bits
        put(folder, new)
        eventually(lambda: served(front).bits == certificate_of(new).bits, within=15)
        eventually(lambda: not note(front).strip(), within=15)

    def test_one_that_ends_in_14_days_is_said_by_the_health_check(
        self, front: Front, folder: Path
    ) -> None:
        assert note(front).strip() == ""
        ending = certificates.self_signed([NAME], timedelta(days=9))
        put(folder, ending)
        eventually(lambda: "note: " in note(front), within=15)
        day = f"{certificate_of(ending).ends:%Y-%m-%d}"
        assert note(front) == f"note: the certificate ends in less than 14 days, on {day}\n"

    def test_no_start_without_one(self, app: Upstream, folder: Path) -> None:
        folder.mkdir()
        mount = f"type=bind,source={folder},target=/run/secrets/tls,readonly"
        places = {"PROXY_ROOT": app.place, "PROXY_API": app.place}
        done = docker(
            "run", "--rm", "--user", f"{USER}:{USER}", "--mount", mount,
            *(word for key, value in {**render(Case("prod"))["services"]["nginx"]["environment"],
                                      **places, "TLS": "files"}.items()
              for word in ("--env", f"{key}={value}")),
            nginx.IMAGE,
        )  # fmt: skip
        assert done.status == 1, done.text
        assert "certificate.pem and /run/secrets/tls/key.pem cannot be read" in done.stderr


@dataclass(frozen=True)
class Acme:
    """The proxy, and what asks pebble for its certificate."""

    front: Front
    container: str

    def run(self, *argv: str) -> tuple[int, str]:
        """Run a command where acme runs."""
        done = docker("exec", self.container, *argv, timeout=120)
        return done.status, done.stdout + done.stderr

    def healthy(self) -> bool:
        """Say whether acme's own health check passes."""
        return self.run("acme", "healthy")[0] == 0


def build_acme() -> None:
    """Build production's acme image."""
    base = load(nginx.ROOT, "prod", images=IMAGES, shell={})
    python = f"{base.get('PYTHON_IMAGE')}:3.13{base.get('PYTHON_SUFFIX')}"
    bundle = os.environ.get("PIP_CERT") or os.devnull
    done = docker(
        "build", "--quiet", "--tag", ACME_IMAGE, "--file", "docker/acme.Dockerfile",
        "--build-arg", f"PYTHON_IMAGE={python}", "--secret", f"id=ca_bundle,src={bundle}",
        str(nginx.ROOT), timeout=300,
    )  # fmt: skip
    assert done.status == 0, done.text


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, _engine: None) -> Iterator[Pebble]:
    """A real ACME server."""
    folder = tmp_path_factory.mktemp("pebble")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)
    build_acme()
    with pebble.started(folder, IMAGES) as server:
        yield server


@contextmanager
def with_acme(app: Upstream, server: Pebble, names: str, alias: str) -> Iterator[Acme]:
    """Run proxy and acme as production does; the proxy is found by one name in pebble's network."""
    model = render(Case("prod"))
    volume = f"gangway-e2e-front-{uuid.uuid4().hex[:8]}"
    words = ("--network", server.network, "--network-alias", alias, "--mount",
             f"type=volume,source={volume},target=/var/lib/acme,readonly")  # fmt: skip
    places = {"PROXY_ROOT": app.place, "PROXY_API": app.place}
    variables = {"TLS": "acme", "TLS_NAMES": names}
    try:
        with nginx.started(places, *words, **variables) as front:
            environment = {"TLS_NAMES": names, "ACME_DIRECTORY": server.directory}
            done = docker(
                "run", "--detach", "--name", f"{volume}-acme", "--network", server.network,
                "--init", "--read-only", "--cap-drop", "ALL", "--user", f"{USER}:{USER}",
                "--tmpfs", "/tmp:mode=1777,size=16m",
                "--mount", f"type=volume,source={volume},target=/var/lib/acme",
                "--mount", f"type=bind,source={server.ca},target=/run/secrets/acme_ca,readonly",
                *(word for key, value in environment.items()
                  for word in ("--env", f"{key}={value}")),
                ACME_IMAGE, *model.get("command", ()),
            )  # fmt: skip
            assert done.status == 0, done.text
            yield Acme(front, f"{volume}-acme")
    finally:
        docker("rm", "--force", f"{volume}-acme")
        docker("volume", "rm", "--force", volume)


@pytest.mark.timeout(180)
class TestAcme:
    """TLS=acme, against pebble."""

    def test_a_certificate_comes_and_is_renewed_under_an_open_connection(
        self, app: Upstream, server: Pebble
    ) -> None:
        with with_acme(app, server, NAME, NAME) as acme:
            eventually(acme.healthy, within=60, what=docker("logs", acme.container).text)
            eventually(lambda: "Pebble" in served(acme.front).issuer, within=15)
            first = served(acme.front)
            assert first.names == (NAME,)
            eventually(lambda: not note(acme.front).strip(), within=15)
            with browser(acme.front) as client:
                ask(client)
                end = client.sock
                status, said = acme.run("acme", "renew")
                assert status == 0, said
                eventually(lambda: served(acme.front).bits != first.bits, within=15)
                assert "Pebble" in served(acme.front).issuer
                assert ask(client).status == 200
                assert client.sock is end, "the connection was closed"

    def test_until_it_comes_the_site_answers_and_says_why(
        self, app: Upstream, server: Pebble
    ) -> None:
        wrong = "nobody.shop.test"
        with with_acme(app, server, wrong, "elsewhere.shop.test") as acme:
            assert served(acme.front).issuer == "until the CA has given one"
            assert "the CA has not given a certificate yet" in note(acme.front)
            eventually(lambda: wrong in acme.run("acme", "healthy")[1], within=60)
            status, said = acme.run("acme", "healthy")
            assert status == 1
            assert "there is no certificate yet" in said
            assert "Detail:" in said
