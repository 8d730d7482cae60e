"""A production of the core stack with what measurements of deploys need, in its own project."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import bench, changes
from benchmarks.bench import Checkout
from benchmarks.certificate import Authority
from benchmarks.steady import driver
from benchmarks.steady.client import Plan

#: As an engineer would notice by a look at the page, and undo what was deployed.
NOTICED = 5.0


@dataclass
class Shipped:
    """A copy of the checkout whose production is loaded while it changes."""

    checkout: Checkout
    authority: Authority
    ports: tuple[int, int]
    _kept: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def made(cls, folder: Path, project: str) -> Shipped:
        """Copy the checkout to a folder and prepare its production."""
        checkout = Checkout.copied(folder)
        ports = bench.free_port(), bench.free_port()
        checkout.environment |= {"COMPOSE_PROJECT_NAME": project}
        settings = folder / "env" / "prod.env"
        text = settings.read_text(encoding="utf-8")
        for name, value in {
            "COMPOSE_PROJECT_NAME": project,
            "BIND_ADDRESS": "127.0.0.1",
            "PUBLISHED_HTTP_PORT": str(ports[0]),
            "PUBLISHED_HTTPS_PORT": str(ports[1]),
            "TLS": "files",
        }.items():
            lines = text.splitlines()
            before = next(line for line in lines if line.startswith(f"{name}="))
            text = text.replace(f"{before}\n", f"{name}={value}\n")
        settings.write_text(text, encoding="utf-8")
        authority = Authority(folder / "authority.pem")
        made = cls(checkout, authority, ports)
        checkout.invoke("prod.init")
        made.new_certificate()
        main = (folder / changes.MAIN).read_text(encoding="utf-8")
        made.write(changes.base(main))
        made.settle()
        return made

    @property
    def project(self) -> str:
        """Return the Compose project's name."""
        return self.checkout.environment["COMPOSE_PROJECT_NAME"]

    @property
    def tls(self) -> Path:
        """Return the folder of the certificate."""
        return self.checkout.path / "secrets" / "prod" / "tls"

    def new_certificate(self) -> None:
        """Put a new certificate in the place of the one there is."""
        self.authority.issue(self.tls)
        owner = (self.checkout.path / "secrets/prod/secret_key").stat()
        if os.getuid() == 0:
            for file in (self.tls, *self.tls.iterdir()):
                os.chown(file, owner.st_uid, owner.st_gid)

    def write(self, files: Mapping[str, str]) -> None:
        """Change sources; `restore` undoes it unless it was settled."""
        for name, text in files.items():
            file = self.checkout.path / name
            before = file.read_text(encoding="utf-8") if file.exists() else None
            self._kept.setdefault(name, before)
            file.write_text(text, encoding="utf-8")

    def settle(self) -> None:
        """Take the sources as they are for good."""
        self._kept.clear()

    def restore(self) -> None:
        """Put the sources back as they were."""
        for name, text in self._kept.items():
            file = self.checkout.path / name
            if text is None:
                file.unlink()
            else:
                file.write_text(text, encoding="utf-8")
        self._kept.clear()

    def plan(self, rate: float) -> Plan:
        """Return the load: 32 connections, 30 % POST, 50 streams and 20 WebSockets."""
        return Plan(
            f"https://127.0.0.1:{self.ports[1]}",
            rate=rate,
            connections=32,
            streams=50,
            sockets=20,
            authority=str(self.authority.file),
            acks=str(self.checkout.path / "acks.jsonl"),
        )

    def writes(self, plan: Plan) -> driver.Writes:
        """Return what became of a run's writes, as the database itself has them."""
        found = self.checkout.run(
            *("docker", "exec", self.containers("postgres")[0], "psql", "-U", "gangway", "-At"),
            *("-F", "\t", "-c", "select id, name from habits", "gangway"),
        )
        rows = (line.split("\t", 1) for line in found.splitlines())
        return driver.writes(Path(plan.acks), ((int(key), name) for key, name in rows))

    def containers(self, service: str) -> list[str]:
        """Return the running containers of a service, the newest first."""
        label = "label=com.docker.compose"
        return self.checkout.run(
            *("docker", "ps", "-q", "--filter", f"{label}.project={self.project}"),
            *("--filter", f"{label}.service={service}"),
        ).split()

    def healthy(self, container: str) -> bool:
        """Say whether a container's health check says so."""
        state = json.loads(
            self.checkout.run("docker", "inspect", "--format", "{{json .State}}", container)
        )
        return bool(state.get("Health", {}).get("Status") == "healthy")

    def remove(self) -> None:
        """Leave nothing behind: containers, volumes, networks, images."""

        def docker(*words: str) -> list[str]:
            done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
            return done.stdout.split()

        # What keeps releases and secrets has no label of Compose's.
        of_it = ("--filter", f"name={self.project}")
        for kind in ("container", "network", "volume"):
            more = ("--all",) if kind == "container" else ()
            if found := docker(kind, "ls", "--quiet", *more, *of_it):
                docker(kind, "rm", *(["--force", "--volumes"] if more else []), *found)
        names = docker(
            "image", "ls", "--format", "{{.Repository}}:{{.Tag}}",
            "--filter", f"reference={self.project}*",
        )  # fmt: skip
        if names:
            docker("image", "rm", *names)
