"""What is started today: by Dockerfiles, Compose files and a Procfile; servers, jobs, waiting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gangway.operations.adoption.look.compose import Service
from gangway.operations.adoption.look.envfiles import settings
from gangway.operations.adoption.look.image import Image, read_image
from gangway.operations.adoption.look.programs import Job, Server, job, server, unwrapped
from gangway.operations.adoption.look.shell import Command, commands
from gangway.operations.adoption.look.tree import Tree, ancestors, join, parent, within

_DOCKERFILE = re.compile(r"Dockerfile([.-][\w.-]+)?|[\w.-]+\.[Dd]ockerfile|Containerfile")
_ASIDE = re.compile(r"(^|/)(node_modules|docs?|examples?|tests?|\.devcontainer|\.github)/")
_MANY = 40


@dataclass
class Start:
    """What one container, or one line of a Procfile, runs in the end."""

    name: str
    commands: list[tuple[Command, str]]
    where: str
    folder: str = ""
    """The folder of the repository that it runs in, as far as that is known."""
    image: Image | None = None
    service: Service | None = None

    @property
    def server(self) -> tuple[Server, str] | None:
        """The server that it runs, with the place that says so."""
        for command, where in self.commands:
            if found := server(command):
                return found, where
        return None

    @property
    def jobs(self) -> list[tuple[Job, str]]:
        """What it does besides, each with its place."""
        return [(found, where) for command, where in self.commands if (found := job(command))]


@dataclass
class Starts:
    """All that is started today."""

    images: dict[str, Image] = field(default_factory=dict)
    """The images with Python, by Dockerfile."""
    dockerfiles: dict[str, str] = field(default_factory=dict)
    """The texts of all Dockerfiles."""
    every: list[Start] = field(default_factory=list)


def read(tree: Tree, services: Iterable[Service]) -> Starts:
    """Read all Dockerfiles, what Compose's services make of them, and a Procfile."""
    found = Starts()
    known = list(services)
    contexts = {
        each.dockerfile: (each.context, each.target) for each in reversed(known) if each.dockerfile
    }
    for path in tree.files:
        name = path.rpartition("/")[2]
        if (
            _DOCKERFILE.fullmatch(name)
            and not _ASIDE.search(path)
            and len(found.dockerfiles) < _MANY
        ):
            found.dockerfiles[path] = tree.text(path)
    for path in found.dockerfiles:
        context, target = contexts.get(path, (None, ""))
        image = read_image(
            tree, path, context=context, target=target if "dev" not in target else ""
        )
        if image is not None:
            found.images[path] = image
    built = {each.image: each.dockerfile for each in known if each.dockerfile and each.image}
    for service in known:
        dockerfile = service.dockerfile or built.get(service.image)
        if start := _of_service(service, dockerfile, found):
            found.every.append(start)
    for path in sorted(found.images, key=rank):
        image = found.images[path]
        place = image.started[-1][1] if image.started else path
        folder = image.workdir if image.workdir is not None else parent(path)
        found.every.append(Start("", image.started, place, folder, image))
    found.every += _procfile(tree)
    return found


def rank(path: str) -> tuple[bool, bool, int, str]:
    """Return how likely a file is production's by its name: the smallest is the likeliest."""
    local = re.search(r"(^|[/._-])(local|dev|development|test|tests|ci|docs?)([/._-]|$)", path)
    named = re.search(r"prod", path)
    return bool(local), not named, path.count("/"), path


def _of_service(service: Service, path: str | None, found: Starts) -> Start | None:
    """Return what a service starts, from the image of a Dockerfile or from Python's own."""
    image = found.images.get(path) if path else None
    if image is not None:
        started = image.runs(service.entrypoint, service.command, service.where)
        if not service.command and service.entrypoint is None:
            started = image.started
        folder = image.workdir if image.workdir is not None else service.context or ""
        return Start(service.name, started, service.where, folder, image, service)
    if path or not re.fullmatch(r"(.*/)?python", service.image_name):
        return None
    plain = unwrapped(Command(service.command, {})) if service.command else []
    mounts = [
        join(service.folder, source) for source, _ in service.mounts if source.startswith(".")
    ]
    folder = next(iter(mounts), "")
    every = [(each, service.where) for each in plain]
    return Start(service.name, every, service.where, folder, None, service)


def _procfile(tree: Tree) -> list[Start]:
    found = []
    for path in tree.named("Procfile"):
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            match = re.match(r"([A-Za-z][\w-]*):\s*(.+)", line)
            if not match:
                continue
            place = f"{path}:{number}"
            every = [(one, place) for each in commands(match[2]) for one in unwrapped(each)]
            found.append(Start(match[1], every, place, parent(path)))
    return found


def image_for(found: Starts, project: str, own: Iterable[Service]) -> Image | None:
    """Return the image of the app: the one that production is made from, as far as names tell."""
    built = [each.dockerfile for each in own if each.dockerfile in found.images]
    near = [
        path
        for path in found.images
        if within(project, path) or parent(path) in ancestors(project) or not project
    ]
    candidates = [path for path in dict.fromkeys(built) if path] or near
    if not candidates:
        return None
    return found.images[min(candidates, key=rank)]


def values_for(tree: Tree, folder: str) -> Mapping[str, str]:
    """Return what Compose puts in for a file's variables: `.env` beside it, or its example."""
    known: dict[str, str] = {}
    for name in (".env.example", ".env.sample", ".env.template", ".env"):
        for each in settings(tree, join(folder, name)):
            known[each.name] = each.value
    return known
