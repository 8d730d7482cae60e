"""Where the probe apps stand: bare, in development, in production."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import venv
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.front.exchange import HOST, Address, Answer, Request, ask, get
from tests.e2e.front.table import ASGI, Row
from tests.support.postgres import free_port
from tests.support.processes import eventually, running

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
PROBE = HERE / "probe"
#: Of an answer, what says how it was sent and not what.
CARRIAGE = {
    "connection", "content-encoding", "date", "keep-alive", "server", "transfer-encoding",
    "x-request-id",
}  # fmt: skip
#: What stands in front may add, where the app says nothing of it.
ADDED = {
    "content-security-policy", "referrer-policy", "strict-transport-security",
    "x-content-type-options", "x-frame-options",
}  # fmt: skip
#: Of a request, what says how it came and not what was asked.
HOW_IT_CAME = {
    "connection", "content-length", "expect", "transfer-encoding", "x-real-ip", "x-request-id"
}  # fmt: skip
#: What an answer's headers say of its body, and so of all that the app saw.
OF_THE_BODY = {"content-length", "etag"}
#: What they say of a file's time, which in a release's image is that of its sources.
OF_THE_TIME = {"etag", "last-modified"}
Plain = dict[str, object]


@dataclass(frozen=True)
class Route:
    """An app at a place: below `prefix`, which was taken off for it unless it is `kept`."""

    app: str
    address: Address
    prefix: str = ""
    kept: bool = False
    #: Addresses by which the app may see the test as its client.
    clients: frozenset[str] = frozenset({"127.0.0.1"})

    @property
    def name(self) -> str:
        """Return what tells it in a report."""
        return f"{self.app} at {self.prefix or '/'}{' (kept)' if self.kept else ''}"


@dataclass(frozen=True)
class Programs:
    """What is installed for the servers that run without a container."""

    bare: Path
    apps: Path
    servers: Path
    tools: Path
    probe: Path

    def environment(self, folder: Path) -> dict[str, str]:
        """Return a container's environment, with the programs of one of these in it."""
        path = [ROOT / "scripts", folder / "bin", "/usr/local/bin", "/usr/bin", "/bin"]
        return {
            "PATH": os.pathsep.join(map(str, path)),
            "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "SERVERS_PATH": str(self.servers),
            "DEBUG_PATH": str(self.tools),
        }


@dataclass(frozen=True)
class Certificate:
    """A certificate of our own for HOST."""

    file: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return what believes in this certificate alone."""
        return ssl.create_default_context(cafile=self.file)


def certify(folder: Path) -> Certificate:
    """Make a certificate."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    command += ["-keyout", str(made.key), "-out", str(made.file)]
    subprocess.run(command, check=True, capture_output=True)
    # The containers' user reads it, too.
    made.key.chmod(0o644)
    return made


def place_probes(folder: Path) -> None:
    """Copy the probe apps there; what they say of a file's age is the same everywhere."""
    shutil.copytree(PROBE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    os.utime(folder / "file.txt", (1_700_000_000, 1_700_000_000))


def install(top: Path) -> Programs:
    """Install the probe apps, once with and once without bare servers, and ours beside them."""
    found = Programs(top / "bare", top / "apps", top / "servers", top / "tools", top / "probe")
    place_probes(found.probe)
    for folder, lock in [(found.bare, HERE / "bare.txt"), (found.apps, PROBE / "requirements.txt")]:
        venv.create(folder)
        _pip(lock, f"--python={folder / 'bin' / 'python'}")
    for folder, kind in [(found.servers, "serve"), (found.tools, "debug")]:
        lock = ROOT / "docker" / f"requirements-{kind}.txt"
        _pip(lock, f"--python={sys.executable}", "--target", str(folder))
    return found


def _pip(lock: Path, *where: str) -> None:
    command = ["uv", "pip", "install", "--quiet", "--no-build", "--require-hashes"]
    subprocess.run([*command, *where, "-r", str(lock)], check=True, cwd=ROOT)


@contextmanager
def bare(
    programs: Programs, app: str, prefix: str = "", certificate: Certificate | None = None
) -> Iterator[Route]:
    """Serve an app by a server that isn't ours, as it would be without a proxy."""
    port = free_port()
    env = programs.environment(programs.bare) | ({"SCRIPT_NAME": prefix} if prefix else {})
    if app == ASGI:
        command = ["uvicorn", f"{app}:app", "--port", str(port), "--no-proxy-headers"]
        command += ["--root-path", prefix] if prefix else []
        tls = ("--ssl-certfile", "--ssl-keyfile")
    else:
        command = ["gunicorn", f"{app}:app", "--bind", f"127.0.0.1:{port}", "--threads", "4"]
        command += ["--limit-request-line", "0", "--limit-request-field_size", "65536"]
        command += ["--forwarded-allow-ips", ""]
        tls = ("--certfile", "--keyfile")
    if certificate:
        command += [tls[0], str(certificate.file), tls[1], str(certificate.key)]
    with running(command, env=env, cwd=programs.probe) as server:
        # Uvicorn itself puts the prefix in front of what was asked for.
        asked = "" if app == ASGI else prefix
        trusted = certificate.context() if certificate else None
        route = Route(app, Address("127.0.0.1", port, trusted), asked)
        answering(route, lambda: server.log)
        yield route


@contextmanager
def served(
    programs: Programs, app: str, variables: Mapping[str, str]
) -> Iterator[tuple[Route, Path]]:
    """Serve an app as its container does, by `entrypoint serve`; the file is what it says."""
    port = free_port()
    env = programs.environment(programs.apps) | {
        "APP_INTERFACE": "asgi" if app == ASGI else "wsgi",
        "APP_TARGET": f"{app}:app",
        "APP_HOST": "127.0.0.1",
        "APP_PORT": str(port),
        "WEB_CONCURRENCY": "1",
        **variables,
    }
    with running(["entrypoint", "serve"], env=env, cwd=programs.probe) as server:
        route = Route(app, Address("127.0.0.1", port))
        answering(route, lambda: server.log)
        yield route, server.output


def answering(route: Route, log: Callable[[], str]) -> None:
    """Wait until an app says that it is there."""

    def healthy() -> bool:
        return get(route.address, f"{route.prefix}/health").status == 200

    try:
        eventually(healthy, f"{route.name} answers", seconds=30)
    except AssertionError as error:
        raise AssertionError(f"{error}: {log()}") from None


class Bare:
    """The apps as they are without us, started when they are first asked for."""

    def __init__(self, programs: Programs, certificate: Certificate, stack: ExitStack) -> None:
        self._programs = programs
        self._certificate = certificate
        self._stack = stack
        self._routes: dict[tuple[str, str, bool], Route] = {}

    def like(self, route: Route) -> Route:
        """Return the bare app that must be asked in place of another."""
        tls = route.address.tls is not None
        if route.kept:
            return replace(self._route(route.app, "", tls), prefix=route.prefix, kept=True)
        return self._route(route.app, route.prefix, tls)

    def _route(self, app: str, prefix: str, tls: bool) -> Route:
        key = (app, prefix, tls)
        if key not in self._routes:
            server = bare(self._programs, app, prefix, self._certificate if tls else None)
            self._routes[key] = self._stack.enter_context(server)
        return self._routes[key]


def said(route: Route, request: Request) -> Plain:
    """Ask, and return all that a browser gets and the app saw, without what may differ."""
    answer = ask(route.address, request)
    if isinstance(answer.json, dict) and "headers" in answer.json:
        own = [(name, value) for name, value in headers(answer) if name not in OF_THE_BODY]
        return {"status": answer.status, "headers": own, "body": seen(answer.json, route)}
    own = headers(answer)
    if any(name == "Accept-Encoding" for name, _ in request.headers):
        # What the proxy compresses has another length.
        own = [(name, value) for name, value in own if name != "content-length"]
    return {"status": answer.status, "headers": own, "body": answer.content}


def headers(answer: Answer) -> list[tuple[str, str]]:
    """Return the headers of an answer that are the app's, in alphabetical order."""
    kept = [(name, value) for name, value in answer.headers if name not in CARRIAGE]
    pairs = [(name, _essence(name, value)) for name, value in kept]
    if any(name == "last-modified" for name, _ in pairs):
        pairs = [(name, "" if name in OF_THE_TIME else value) for name, value in pairs]
    return sorted(pair for pair in pairs if pair != ("vary", ""))


def _essence(name: str, value: str) -> str:
    if name == "etag":
        return value.removeprefix("W/")
    if name not in ("allow", "vary"):
        return value
    # Frameworks write these in any order; what compresses adds to one of them.
    words = sorted(word.strip() for word in value.split(","))
    return ", ".join(word for word in words if word.lower() != "accept-encoding")


def seen(echo: Mapping[str, object], route: Route) -> Plain:
    """Return what the app saw, the test's own address as `the test`."""
    found = dict(echo)
    pairs = found["headers"]
    assert isinstance(pairs, list)
    found["headers"] = sorted(
        [name, value]
        for name, value in pairs
        if name not in HOW_IT_CAME and not name.startswith("x-forwarded-")
    )
    found["client"] = "the test" if found["client"] in route.clients else found["client"]
    return found


def same(row: Row, routes: Iterable[Route], bare: Bare) -> None:
    """Fail with every difference, a line each."""
    if found := list(differences(row, routes, bare)):
        pytest.fail("\n".join(found), pytrace=False)


def differences(row: Row, routes: Iterable[Route], bare: Bare) -> Iterator[str]:
    """Yield where an answer isn't the bare app's, or hasn't the status that a limit gives it."""
    for route in routes:
        if route.app not in row.apps:
            continue
        got = said(route, row.under(route.prefix))
        if row.status:
            expected: Plain = {"status": row.status}
        else:
            reference = bare.like(route)
            expected = said(reference, row.reference(reference.prefix))
        if got["status"] != expected["status"]:
            status = f"{got['status']} for {expected['status']}"
            yield f"{route.name}: {status}: {_short(got['body'])}"
            continue
        yield from (f"{route.name}: {line}" for line in _unlike(expected, got))


def _unlike(expected: Plain, got: Plain) -> Iterator[str]:
    for part, bare in expected.items():
        pair = bare, got[part]
        if part == "headers":
            pair = _without_additions(*pair)
        elif isinstance(bare, dict) and isinstance(got[part], dict):
            pair = _apart(bare, got[part]), _apart(got[part], bare)
        if pair[0] != pair[1]:
            yield f"{part} {_short(pair[1])}, bare {_short(pair[0])}"


def _without_additions(expected: object, got: object) -> tuple[object, object]:
    """Return both lists of headers without what is in one of them only because it may be added."""
    assert isinstance(expected, list)
    assert isinstance(got, list)
    names = {name for name, _ in expected}
    return (
        [pair for pair in expected if pair not in got],
        [
            pair
            for pair in got
            if pair not in expected and (pair[0] in names or pair[0] not in ADDED)
        ],
    )


def _apart(these: Any, those: Any) -> Plain:
    """Return what isn't the same in the other."""
    return {name: value for name, value in these.items() if those.get(name) != value}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 300 else f"{text[:200]} … {text[-80:]}"
