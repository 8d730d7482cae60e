"""Images as they were built, settled: what a step of the build has made, by the sources' time.

The engine gives an image out as an archive, and takes another in: only the layers that the build
has made are in that one.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

from gangway.base.process import Runner
from gangway.engines.docker import timeless
from gangway.engines.releases import Mark

_GZIP: Final = b"\x1f\x8b"


class _Image(NamedTuple):
    """A saved image: its configuration, and where in the archive each layer is, the first first.

    From `own` on, layers are the build's own; from `copies` on, counted from there, something was
    copied from somewhere.
    """

    config: Mapping[str, Any]
    layers: list[str]
    own: int
    copies: int


def settle(runner: Runner, marks: Mapping[str, Mark]) -> None:
    """Have the engine take images in again, by their names, as builds at `moment` made them.

    Nothing is changed where the engine's builder hasn't marked its own steps.
    """
    with tempfile.TemporaryDirectory(prefix="gangway-") as place:
        saved = Path(place, "saved.tar")
        # All at once: what they have in common is in it once.
        argv = ["docker", "save", "--output", str(saved), *marks]
        if not marks or runner.capture(argv).status != 0:
            return
        with tarfile.open(saved) as archive:
            for listed in json.load(_member(archive, "manifest.json")):
                name = next((name for name in marks if name in (listed["RepoTags"] or ())), "")
                image = _image(archive, listed)
                if name and image.own < len(image.layers):
                    _settle(runner, archive, image, name, marks[name])


def _settle(runner: Runner, archive: tarfile.TarFile, image: _Image, name: str, mark: Mark) -> None:
    with tempfile.TemporaryDirectory(prefix="gangway-") as place:
        folder = Path(place)
        digests = _rewritten(archive, image, folder, mark)
        moment = datetime.fromtimestamp(mark.moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        config = timeless.configured(image.config, digests, moment, mark.labels)
        load = ["docker", "load", "--quiet", "--input", str(folder / "made.tar")]
        # An engine may want the layers that it has, too.
        for base in ((), image.layers[: image.own]):
            _pack(archive, folder, image, config, name=name, base=base)
            if runner.capture(load).status == 0:
                return


def _image(archive: tarfile.TarFile, listed: Mapping[str, Any]) -> _Image:
    config = json.load(_member(archive, listed["Config"]))
    steps = [step for step in timeless.own_steps(config) if not step.get("empty_layer")]
    words = [str(step.get("created_by")).partition(" ")[0] for step in steps]
    copies = next((number for number, word in enumerate(words) if word in ("COPY", "ADD")), 0)
    return _Image(config, listed["Layers"], len(listed["Layers"]) - len(steps), copies)


def _rewritten(archive: tarfile.TarFile, image: _Image, folder: Path, mark: Mark) -> dict[int, str]:
    """Write the build's own layers into a folder, by their numbers; return their digests."""
    rules = {
        number: timeless.time_of(number - image.own, image.copies, mark.moment)
        for number in range(image.own, len(image.layers))
    }
    times: dict[str, int] = {}
    for number, give in rules.items():
        for entry in timeless.entries(_layer(archive, image.layers[number])):
            if entry.name.endswith(".py"):
                times[entry.name] = give(entry)
    digests = {}
    for number, give in rules.items():
        with (folder / f"{number}.tar").open("wb") as out:
            source = _layer(archive, image.layers[number])
            digests[number] = timeless.rewrite(source, out, give, times)
    return digests


def _pack(
    archive: tarfile.TarFile,
    folder: Path,
    image: _Image,
    config: bytes,
    *,
    name: str,
    base: Iterable[str],
) -> None:
    """Write the archive that the engine takes in: `base` are the paths of further layers."""
    number = hashlib.sha256(config).hexdigest()
    own = [f"{number}.tar" for number in range(image.own, len(image.layers))]
    listed = {
        "Config": f"{number}.json",
        "RepoTags": [name],
        "Layers": [*image.layers[: image.own], *own],
    }
    with tarfile.open(folder / "made.tar", "w") as made:
        for path, data in (
            ("manifest.json", json.dumps([listed]).encode()),
            (f"{number}.json", config),
        ):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))
        for path in own:
            made.add(folder / path, path)
        for path in dict.fromkeys(base):
            made.addfile(archive.getmember(path), _member(archive, path))


def _layer(archive: tarfile.TarFile, path: str) -> BinaryIO:
    file = _member(archive, path)
    packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    return cast(BinaryIO, gzip.open(file)) if packed else file


def _member(archive: tarfile.TarFile, path: str) -> BinaryIO:
    found = archive.extractfile(path)
    if found is None:
        raise KeyError(path)
    return cast(BinaryIO, found)
