"""What the services of existing Compose files are: databases, the app's own, others that stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from gangway.operations.adoption.found import Foreign, Loss
from gangway.operations.adoption.look.compose import Service
from gangway.operations.adoption.look.image import base_image, is_python
from gangway.operations.adoption.look.tree import Tree

_POSTGRES = re.compile(
    r"(^|/)(postgres|postgresql|postgis|pg-?vector|timescaledb(-ha)?|alpine-postgres|spilo)([-:.\w]*)$"
)
_PLAIN_POSTGRES = re.compile(r"(bitnami/|bitnamilegacy/)?(postgres|postgresql)")
_REDIS = re.compile(r"(^|/)(redis|valkey|keydb|redis-stack(-server)?|dragonfly)([-\w]*)$")
# What an image's name says it is, the first that fits; none of these looks at a store.
_IMAGES = (
    ("foreign", re.compile(r"backup|exporter|insight|commander")),
    ("postgres", _POSTGRES),
    ("redis", _REDIS),
    (
        "proxy",
        re.compile(
            r"(^|/)(nginx(-unprivileged|-proxy|-certbot)?|traefik|caddy|haproxy|httpd|certbot"
            r"|acme-companion|envoy|docker-gen|letsencrypt-nginx-proxy-companion|swag)$"
        ),
    ),
    (
        "database",
        re.compile(
            r"(^|/)(mysql|mariadb|percona|mongo|mssql|server/mssql|oracle-xe|cockroach)([-\w]*)$"
        ),
    ),
)
_FRONT_END = re.compile(r"(^|/)(node|bun|deno)$")
_DOCUMENTS = re.compile(r"[.-]docs?\.ya?ml$")
_TESTS = re.compile(r"playwright|cypress|selenium|(^|[/.-])e2e")
# What becomes of a service that isn't carried over: what is said of it, and what to do.
_SAID = {
    "proxy": (
        "the proxy {name} ({image})",
        "Gangway's nginx is in its place in production: move what it routes to docker/nginx",
    ),
    "assets": (
        "the service {name}, which builds the front end",
        "the image builds it (API_ASSETS); while editing, run its own watcher on this machine",
    ),
    "e2e": (
        "the tests of {name}",
        "they stay in their file: run them against the published port when you want them",
    ),
    "docs": (
        "the service {name}, which shows the documents",
        "it stays in its file: start it from there when you want it",
    ),
    "monitor": (
        "{name} looks at the queue",
        "it stays in its file, and must be told the broker's password: redis_password's",
    ),
    "database": (
        "the database {name} ({image})",
        "it stays in its file; backups, migrations and production's data are PostgreSQL's alone",
    ),
}


@dataclass
class Services:
    """The services of all Compose files, sorted by what they are."""

    postgres: list[Service] = field(default_factory=list)
    redis: list[Service] = field(default_factory=list)
    own: list[Service] = field(default_factory=list)
    """Those that run the app's image."""
    foreign: list[Service] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    @property
    def hosts(self) -> Mapping[str, str]:
        """What other services are called by: host name → `postgres`, `redis`."""
        found = {}
        for kind, every in (("postgres", self.postgres), ("redis", self.redis)):
            for service in every:
                found[service.name] = kind
                for name in ("container_name", "hostname"):
                    if given := service.content.get(name):
                        found[service.text(given)] = kind
        return found


def sort(
    tree: Tree,
    services: Iterable[Service],
    dockerfiles: Mapping[str, str],
    *,
    holds: Callable[[Service], bool],
    monitors: Collection[tuple[str, str]] = (),
) -> Services:
    """Sort services; `holds` says whether one has the app in it.

    `dockerfiles` are all of them, path → text; `monitors` are the services that look at the app's
    queue, by name and file: they stay in their files.
    """
    found = Services()
    every = list(services)
    images: set[str] = set()
    for service in every:
        kind = _kind(tree, service, dockerfiles, holds)
        if kind == "own" and (service.name, service.file) in monitors:
            kind = "monitor"
        if kind == "own" and service.image:
            images.add(service.image)
        _sort_in(found, service, kind)
    # The app's image under another service, which builds nothing itself.
    for service in list(found.foreign):
        is_monitor = (service.name, service.file) in monitors
        if service.image and service.image in images and not is_monitor:
            found.foreign.remove(service)
            found.own.append(service)
    found.losses = _once(found.losses)
    return found


def _sort_in(found: Services, service: Service, kind: str) -> None:
    if kind in _SAID:
        what, do = _SAID[kind]
        text = what.format(name=service.name, image=service.image or "built here")
        found.losses.append(Loss(text, service.where, do))
    if kind == "postgres":
        found.postgres.append(service)
        found.losses += _postgres_losses(service)
    elif kind == "redis":
        found.redis.append(service)
    elif kind == "own":
        found.own.append(service)
    elif kind in ("foreign", "monitor", "database"):
        found.foreign.append(service)


def _kind(
    tree: Tree,
    service: Service,
    dockerfiles: Mapping[str, str],
    holds: Callable[[Service], bool],
) -> str:
    """Return what a service is: by the image that it has, or by what it is built from."""
    path, name = service.dockerfile, service.image_name
    if _DOCUMENTS.search(service.file):
        return "docs"
    if path is None:
        if re.fullmatch(r"(.*/)?python", name) and holds(service):
            return "own"
        return _by_image(name)
    text = dockerfiles.get(path) or tree.text(path)
    if is_python(text, path, service.target):
        kind = "own" if holds(service) else "foreign"
    else:
        name = re.sub(r"[:@].*", "", base_image(text, path, service.target))
        kind = _by_image(name.removeprefix("docker.io/"))
        if _FRONT_END.search(name) and is_python(text, path):
            kind = "assets"
    return "e2e" if _TESTS.search(f"{path} {service.name}") else kind


def _by_image(name: str) -> str:
    return next((kind for kind, pattern in _IMAGES if pattern.search(name)), "foreign")


def _postgres_losses(service: Service) -> list[Loss]:
    losses = []
    if service.context is None and not _PLAIN_POSTGRES.fullmatch(service.image_name):
        losses.append(
            Loss(
                f"the image {service.image} of {service.name}",
                service.where,
                "PostgreSQL is plain here: name an image with its extensions in POSTGRES_IMAGE",
            )
        )
    for source, target in service.mounts:
        if target.startswith("/docker-entrypoint-initdb.d"):
            losses.append(
                Loss(
                    f"{source}, run when the database is made",
                    service.where,
                    "name a folder with .sql files that may run each time in INIT_SQL of migrate",
                )
            )
    return losses


@dataclass(frozen=True)
class Staying:
    """The services that stay in their files, and what must be known of them."""

    foreign: list[Foreign]
    losses: list[Loss]


def stay(tree: Tree, found: Services) -> Staying:
    """Return the services that stay in their files, and what must be known of them.

    One that several files have is taken from the first.
    """
    services: dict[str, Service] = {}
    for service in found.foreign:
        services.setdefault(service.name, service)
    own = {service.name for service in found.own}
    result, losses = [], []
    for service in services.values():
        ports = list(service.ports)
        for other in found.foreign:
            if other.name == service.name:
                ports += [port for port in other.ports if port not in ports]
        result.append(Foreign(service.name, service.file, tuple(ports), service.volumes))
        losses += _needs(tree, service, own)
    return Staying(result, losses)


def _once(losses: Iterable[Loss]) -> list[Loss]:
    """Return losses, of each thing the first."""
    found: dict[str, Loss] = {}
    for each in losses:
        found.setdefault(each.what, each)
    return list(found.values())


def _needs(tree: Tree, service: Service, own: set[str]) -> list[Loss]:
    losses = [
        Loss(
            f"{service.name} needs {path}",
            service.where,
            f"Compose refuses to start without it: make it, for example from {path}.example",
        )
        for path in service.needed_env_files
        if not (tree.root / path).exists()
    ]
    waits = sorted(own & set(service.needs))
    if waits:
        losses.append(
            Loss(
                f"{service.name} waits for {', '.join(waits)}",
                service.where,
                "the app is called api here: whatever asks for it by the old name finds nothing",
            )
        )
    return losses
