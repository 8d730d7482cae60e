"""How others change what runs, by their own algorithms in a few lines of ours.

* plain Compose: ``docker compose up -d --build``;
* docker-rollout (github.com/wowu/docker-rollout, v0.13): twice as many containers, wait until the
  new ones are healthy, stop and remove the old; behind this stack's own proxy, which asks Docker's
  name server;
* Kamal (github.com/basecamp/kamal and kamal-proxy): one new container beside the old, the proxy
  asks it for its health each second, switches, drains the old one for up to 30 s, then it is
  stopped; behind ``kamal/proxy.mjs``, which does what kamal-proxy does.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from benchmarks import bench
from benchmarks.bench import Failed
from benchmarks.shipped import Shipped

HERE = Path(__file__).parent
#: docker-rollout's default for the new containers' health.
ROLLOUT_SECONDS = 60
#: kamal-proxy's default for a deploy, which drains as long again.
KAMAL_SECONDS = 30 + 30


class Way(Protocol):
    """One way to change what runs."""

    name: str
    undoes: bool
    """Whether it takes back what it could not start."""
    made: Callable[[], None]
    """Called once a deploy has made its release, where that is a step of its own."""

    def start(self) -> None:
        """Start the first release."""

    def deploy(self) -> None:
        """Deploy the sources as they are; raises Failed where it notices that they are bad."""


class Compose(Way):
    """What everybody begins with."""

    name, undoes = "plain `docker compose up -d --build`", False

    def __init__(self, shipped: Shipped) -> None:
        self._shipped = shipped
        self._compose = shipped.checkout.plain("prod")

    def start(self) -> None:
        """Start the first release."""
        self._shipped.checkout.run(*self._compose, "up", "-d", "--build", "--wait")
        # The first after a start would create all anew, for api's image was built twice.
        self.deploy()

    def deploy(self) -> None:
        """Deploy the sources as they are."""
        self._shipped.checkout.run(*self._compose, "up", "-d", "--build")


class Rollout(Way):
    """docker-rollout's way."""

    name, undoes = "docker-rollout's way", True

    def __init__(self, shipped: Shipped) -> None:
        self._shipped = shipped
        self._compose = shipped.checkout.plain("prod")

    def _run(self, *words: str) -> str:
        return self._shipped.checkout.run(*self._compose, *words)

    def start(self) -> None:
        """Start the first release."""
        self._run("up", "-d", "--build", "--wait")

    def deploy(self) -> None:
        """Build, migrate as its documentation says, and roll out the service that changed."""
        docker = self._shipped.checkout.run
        self._run("build", "api")
        self._run("run", "--rm", "--no-deps", "migrate")
        old = self._run("ps", "--quiet", "api").split()
        self._run("up", "--detach", "--scale", f"api={2 * len(old)}", "--no-recreate", "api")
        new = [each for each in self._run("ps", "--quiet", "api").split() if each not in old]
        for _ in range(ROLLOUT_SECONDS):
            if all(map(self._shipped.healthy, new)):
                break
            time.sleep(1)
        if not new or not all(map(self._shipped.healthy, new)):
            docker("docker", "stop", *new)
            docker("docker", "rm", *new)
            raise Failed("new containers are not healthy")
        docker("docker", "stop", *old)
        docker("docker", "rm", *old)


class Kamal(Way):
    """Kamal's way."""

    name, undoes = "Kamal's way", True

    def __init__(self, shipped: Shipped) -> None:
        self._shipped, self._number, self._old = shipped, 0, ""
        self._control = bench.free_port()
        shipped.checkout.environment |= {
            "KAMAL_PROXY": str(HERE / "kamal" / "proxy.mjs"),
            "KAMAL_CONTROL": str(self._control),
        }
        file = str(HERE / "kamal" / "compose.yml")
        plain = shipped.checkout.plain("prod")
        # `--file` takes the place of COMPOSE_FILE.
        of_prod = ("docker-compose.yml", "docker-compose.prod.yml", file)
        self._compose = [*plain, *(word for each in of_prod for word in ("--file", each))]

    def _run(self, *words: str) -> str:
        return self._shipped.checkout.run(*self._compose, *words)

    def start(self) -> None:
        """Start the data stores, the proxy and the first release."""
        self._run("build", "api")
        self._run("up", "-d", "--wait", "postgres", "redis", "kamal")
        self._boot()

    def deploy(self) -> None:
        """Build, migrate in a hook before the deploy, and boot the new release."""
        self._run("build", "api")
        self._boot()

    def _boot(self) -> None:
        self._run("run", "--rm", "--no-deps", "migrate")
        self._number += 1
        docker = self._shipped.checkout.run
        name = f"{self._shipped.project}-web-{self._number}"
        self._run("run", "--detach", "--no-deps", "--name", name, "api")
        url = f"http://127.0.0.1:{self._control}/deploy?target={name}:8000"
        try:
            with urllib.request.urlopen(url, b"", timeout=2 * KAMAL_SECONDS):
                pass
        except urllib.error.HTTPError as error:
            docker("docker", "stop", name)
            raise Failed(error.read().decode()) from None
        if self._old:
            docker("docker", "stop", self._old)
        self._old = name


WAYS: tuple[Callable[[Shipped], Way], ...] = (Compose, Rollout, Kamal)
