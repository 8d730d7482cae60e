"""Production's nginx by itself, as its service is in the merged model, before servers of a test."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gangway.settings.environment import load
from tests.e2e.support import docker, eventually, get, inspect, web
from tests.policy.rendering import Case, render

ROOT = Path(__file__).parents[3]
IMAGE = "gangway-e2e-front-nginx:local"
PORT = 8080
#: What `Front.raw` returns where the connection was reset.
RESET = b"(reset)"


def build() -> None:
    """Build production's nginx image."""
    base = load(ROOT, "prod", images=os.environ.get("GANGWAY_IMAGES") or "registry", shell={})
    done = docker(
        "build", "--quiet", "--tag", IMAGE, "--file", "docker/nginx.Dockerfile",
        "--build-arg", f"NGINX_IMAGE={base.get('NGINX_IMAGE')}", str(ROOT), timeout=300,
    )  # fmt: skip
    assert done.status == 0, done.text


def gateway() -> str:
    """Return this machine's address on Docker's own bridge: from there requests come to nginx."""
    done = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    assert done.status == 0, done.text
    return done.stdout.strip()


@dataclass(frozen=True)
class Front:
    """A running nginx."""

    container: str
    address: str

    @property
    def url(self) -> str:
        """Return where it answers."""
        return f"http://{self.address}:{PORT}"

    def client(self, **options: Any) -> httpx.Client:
        """Return a client of it."""
        return web(self.url, **options)

    def connect(self) -> socket.socket:
        """Return a connection to write by hand on."""
        return socket.create_connection((self.address, PORT), timeout=10)

    def raw(self, text: str) -> bytes:
        """Send bytes as they are; return all that comes until the connection ends."""
        with self.connect() as end:
            end.sendall(text.encode("latin-1"))
            answer = b""
            try:
                while part := end.recv(65536):
                    answer += part
            except ConnectionResetError:
                return RESET
            return answer

    def log(self) -> list[dict[str, Any]]:
        """Return the access log."""
        return [json.loads(line) for line in docker("logs", self.container).stdout.splitlines()
                if line.startswith("{")]  # fmt: skip

    def errors(self) -> str:
        """Return what it complains of."""
        return docker("logs", self.container).stderr


@contextmanager
def started(
    upstream: Mapping[str, str],
    *words: str,
    command: Sequence[str] = (),
    volume: str = "",
    **variables: str,
) -> Iterator[Front]:
    """Run nginx as production does, but for these variables, and `words` for `docker run`.

    A `volume` with a name is the one that stays when it ends.
    """
    service = render(Case("prod"))["services"]["nginx"]
    name = f"gangway-e2e-front-{uuid.uuid4().hex[:8]}"
    environment = {**service["environment"], **upstream, **variables}
    mounts = [
        f"type=volume,source={volume},target={mount['target']}"
        for mount in service.get("volumes", ())
    ]
    argv = [
        "run", "--detach", "--rm", "--name", name, "--read-only", "--cap-drop", "ALL",
        "--user", service["user"], "--pids-limit", "50",
        *(word for place in service["tmpfs"] for word in ("--tmpfs", place)),
        *(word for mount in mounts for word in ("--mount", mount)),
        *(word for key, value in environment.items() for word in ("--env", f"{key}={value}")),
        *words, IMAGE, *command,
    ]  # fmt: skip
    done = docker(*argv)
    assert done.status == 0, done.text
    try:
        [record] = inspect([name])
        [network] = record["NetworkSettings"]["Networks"].values()
        front = Front(name, network["IPAddress"])
        if not command:
            eventually(lambda: get(f"{front.url}/nginx-health"), within=20, what=front.errors())
        yield front
    finally:
        docker("rm", "--force", "--volumes", name)
