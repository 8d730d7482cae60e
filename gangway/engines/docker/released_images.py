"""The images of releases: see `gangway.engines.interface.Images`."""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gangway.base.errors import GangwayError
from gangway.base.files import replace
from gangway.engines.docker import images, made_of, timeless
from gangway.engines.docker.client import Client
from gangway.engines.docker.settled import settle
from gangway.engines.releases import Mark
from gangway.model.model import Model
from gangway.model.release import Image
from gangway.settings import checkout


@dataclass(frozen=True)
class ReleasedImages:
    """See `gangway.engines.interface.Images`."""

    client: Client
    model: Model

    def building(self, services: Sequence[str], *, no_cache: bool) -> list[str]:
        flags = ["--build-arg", f"SOURCE_DATE_EPOCH={timeless.NONE}"]
        if no_cache:
            flags.append("--no-cache")
        return ["build", *flags, *images.one_for_each_image(self.model, services)]

    def built(self, services: Sequence[str], marks: Mapping[str, Mark]) -> Mapping[str, Image]:
        names = {service: made_of.image_of(self.model, service) for service in services}
        raw = self._inspected(sorted(set(names.values())))
        kept = self._kept()
        of = {
            name: [image.id, marks[name].moment, dict(marks[name].labels)]
            for name, image in raw.items()
        }
        # Another machine's would travel here and back as a whole.
        if self.client.is_local:
            new = [name for name in raw if not self._named_again(name, of[name], kept)]
            settle(self.client.environment.runner, {name: marks[name] for name in new})
        found = self._inspected(list(raw))
        numbers = {name: image.id for name, image in found.items()}
        settled = {name: {"id": number, "of": of[name]} for name, number in numbers.items()}
        replace(self._file, json.dumps({**kept, **settled}))
        images.renumber(self.client.environment, numbers)
        images.forget_untagged(self.client)
        return {service: found[name] for service, name in names.items()}

    def tag(self, image: Image) -> None:
        self._done(["docker", "tag", image.id, image.ref])

    def sources(self, services: Sequence[str]) -> Mapping[str, Any]:
        env, plain = self.client.environment, images.as_it_is(self.model)
        return {
            image.name: made_of.state(env.root, plain, image, env.kind)
            for image in made_of.images(plain, services)
        }

    def changed(self, services: Sequence[str], before: Mapping[str, Any]) -> Sequence[str]:
        env, plain = self.client.environment, images.as_it_is(self.model)
        found: dict[str, None] = {}
        for image in made_of.images(plain, services):
            if known := before.get(image.name):
                found |= dict.fromkeys(made_of.changes(env.root, plain, image, env.kind, known))
            else:
                found[f"the image {image.name}"] = None
        return list(found)

    def files(self, image: Image, wanted: Callable[[str], bool]) -> Mapping[str, bytes]:
        found: dict[str, bytes] = {}
        container = self._done(["docker", "create", "--network", "none", image.id, "none"]).strip()
        try:
            with tempfile.TemporaryDirectory(prefix="gangway-") as folder:
                file = Path(folder, "image.tar")
                self._done(["docker", "export", "--output", str(file), container])
                with tarfile.open(file) as archive:
                    for member in archive:
                        if member.isfile() and wanted(member.name):
                            data = archive.extractfile(member)
                            found[member.name] = data.read() if data else b""
        finally:
            self._done(["docker", "rm", container])
        return found

    def used(self) -> frozenset[str]:
        ids = self._done(["docker", "ps", "--all", "--quiet", "--no-trunc"]).split()
        if not ids:
            return frozenset()
        # One may go meanwhile.
        argv = ["docker", "container", "inspect", "--format", "{{.Image}}", *ids]
        return frozenset(self.client.environment.runner.capture(argv, timeout=60).stdout.split())

    def _named_again(self, name: str, of: Sequence[Any], kept: Mapping[str, Any]) -> bool:
        """Give an image's name to what was made of the same one before; say whether that is."""
        known = kept.get(name) or {}
        if list(of) != known.get("of"):
            return False
        argv = ["docker", "tag", known["id"], name]
        return self.client.environment.runner.capture(argv, timeout=60).status == 0

    @property
    def _file(self) -> Path:
        env = self.client.environment
        return checkout.state(env.root, f"{env.name}.settled")

    def _kept(self) -> dict[str, Any]:
        """Return what each image was settled as, by its name: its number, and of what."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _inspected(self, names: Sequence[str]) -> dict[str, Image]:
        if not names:
            return {}
        found = json.loads(self._done(["docker", "image", "inspect", *names]))
        # One for each, in this order.
        return {
            name: Image(name, raw["Id"], _platform(raw))
            for name, raw in zip(names, found, strict=True)
        }

    def _done(self, argv: Sequence[str]) -> str:
        done = self.client.environment.runner.capture(argv, timeout=60)
        if done.status != 0:
            self.client.reach()
            said = done.stderr.strip().splitlines()
            raise GangwayError(
                f"the engine says: {said[-1] if said else 'nothing'}", where=" ".join(argv)
            )
        return done.stdout


def _platform(raw: Mapping[str, Any]) -> str:
    parts = (raw["Os"], raw["Architecture"], raw.get("Variant"))
    return "/".join(filter(None, parts))
