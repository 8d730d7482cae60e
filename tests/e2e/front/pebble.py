"""A real ACME server, Debian's pebble, whose question reaches the proxy by Docker's network."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gangway.settings import certificates
from tests.e2e.front import nginx
from tests.e2e.support import docker, eventually

IMAGE = "gangway-e2e-front-pebble:local"
# What else asks it: its own names for certificates aren't browsers'.
HOST = "acme.test"
DOCKERFILE = """\
ARG DEBIAN_IMAGE
FROM ${DEBIAN_IMAGE}
RUN apt-get update -qq && apt-get install -y -qq pebble && rm -rf /var/lib/apt/lists/*
"""
BASES = {"offline": "gangway.local/debian:13", "registry": "debian:trixie-slim"}


@dataclass(frozen=True)
class Pebble:
    """A running ACME server; `ca` is the file that it is trusted by."""

    network: str
    container: str
    ca: Path

    @property
    def directory(self) -> str:
        """Return where it answers, in its network."""
        return f"https://{HOST}:14000/dir"


@contextmanager
def started(folder: Path, images: str) -> Iterator[Pebble]:
    """Run it in a network of its own."""
    context = folder / "image"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    base = BASES.get(images, BASES["registry"])
    done = docker(
        "build", "--quiet", "--tag", IMAGE, "--build-arg", f"DEBIAN_IMAGE={base}", str(context),
        timeout=300,
    )  # fmt: skip
    assert done.status == 0, done.text
    own = folder / "pebble"
    own.mkdir()
    authority = certificates.authority("tests")
    certificates.write(own, certificates.issued([HOST], authority))
    ca = folder / "ca.pem"
    ca.write_bytes(authority.certificate)
    config = {
        "listenAddress": "0.0.0.0:14000",
        "managementListenAddress": "0.0.0.0:15000",
        "certificate": "/pebble/certificate.pem",
        "privateKey": "/pebble/key.pem",
        # Where the proxy answers in here; production publishes that as port 80.
        "httpPort": nginx.PORT,
        "tlsPort": 8443,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
    }
    (own / "config.json").write_text(json.dumps({"pebble": config}), encoding="utf-8")
    for path in (own, *own.iterdir(), ca):
        path.chmod(0o755 if path.is_dir() else 0o644)
    name = f"gangway-e2e-front-{uuid.uuid4().hex[:8]}"
    assert docker("network", "create", name).status == 0
    try:
        done = docker(
            "run", "--detach", "--name", f"{name}-pebble", "--network", name,
            "--network-alias", HOST, "--env", "PEBBLE_VA_NOSLEEP=1",
            "--env", "PEBBLE_WFE_NONCEREJECT=0",
            "--mount", f"type=bind,source={own},target=/pebble,readonly",
            IMAGE, "pebble", "-config", "/pebble/config.json",
        )  # fmt: skip
        assert done.status == 0, done.text
        found = Pebble(name, f"{name}-pebble", ca)
        eventually(
            lambda: "ACME directory available" in docker("logs", found.container).text,
            within=20, what="pebble doesn't listen",
        )  # fmt: skip
        yield found
    finally:
        docker("rm", "--force", f"{name}-pebble")
        docker("network", "rm", name)
