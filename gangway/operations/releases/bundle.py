"""A release as one file: what it is, its records, and its images as an OCI layout.

The file is a gzipped tar. The first in it is `bundle.json`, which says what else there is and what
has been left out; so whoever takes it knows before anything is read whether it fits.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.releases import Held
from gangway.model import layout
from gangway.model.release import Release
from gangway.operations import release_records as records
from gangway.operations.project import Project
from gangway.operations.releases import parcel

_HEAD: Final = "bundle.json"
_PARCEL: Final = "parcel.json"
_RECORDS: Final = "records/"
_FORMAT: Final = 1
_PIECE: Final = 1 << 20
# A line as often as this, in seconds.
_EVERY: Final = 5.0


def bundle(project: Project, named: Sequence[str], file: str = "", *, since: str = "") -> None:
    """Write a release to a file, one that is named after it where none is given.

    The layers of the release `since` are left out: they are where it goes to. Raises GangwayError
    where an image of either has gone, or the file can't be written; it is whole or not there.
    """
    release = parcel.chosen(project, named)
    shipping = project.engine.production.shipping
    packed, held = parcel.packed(project, release)
    refs = [image.ref for image in packed.images]
    before = records.load(project.engine.production.records).find(since) if since else None
    there = _chains(project, before) if before else set()
    left_out = layout.spared([held[ref].layers for ref in refs], there)
    if project.dry_run:
        print(f"docker save {' '.join(refs)}")
        return
    head = {
        "format": _FORMAT, "release": release.name, "project": release.project,
        "since": before.name if before else "",
        "left_out": sorted(_upon(held, refs, left_out)),
    }  # fmt: skip
    sizes = {ref: held[ref].size for ref in refs}
    texts = {_HEAD: json.dumps(head), _PARCEL: parcel.described(packed, sizes)}
    texts |= {f"{_RECORDS}{path}": text for path, text in packed.files.items()}
    path = Path(file or f"{release.project}-{release.name}.tar.gz")
    with _new(path) as out, shipping.saved(refs) as saved:
        progress = Progress("packed")
        for name, data in texts.items():
            _add(out, tarfile.TarInfo(name), io.BytesIO(data.encode()), len(data.encode()))
        for member, content in _members(saved):
            digest = layout.digest_of(member.name)
            if digest is None and member.name not in layout.LISTS:
                continue
            if f"sha256:{digest}" not in left_out:
                _add(out, member, progress.watched(content), member.size)
    say(f"{release.name}: {parcel.shown(path.stat().st_size)}")
    print(path)


def take(project: Project, file: str) -> Release:
    """Return the release of such a file, its images on the engine.

    The file is read to its end before anything is changed, and only layers that are missing are
    sent. Raises GangwayError where it's damaged, or another project's, or for another platform, or
    where layers are missing that were left out of it.
    """
    shipping = project.engine.production.shipping
    with _read(file) as archive:
        found = _looked_through(project, archive, file)
    release = found.parcel.release
    held = shipping.held(image.ref for image in found.parcel.images)
    built = list(release.images.values())
    wanted = {image.ref for image in parcel.lacking(found.parcel.images, held, built)}
    if wanted:
        _send(project, file, found, wanted)
    return parcel.kept(project, release, found.parcel.files)


class _Found(NamedTuple):
    """What is in a bundle: `manifest` has an entry for each image, `layers` its layers' digests.

    `sizes` are those of the layout's files, by path.
    """

    parcel: parcel.Parcel
    manifest: Sequence[Mapping[str, Any]]
    layers: Mapping[str, Sequence[str]]
    sizes: Mapping[str, int]


def _looked_through(project: Project, archive: tarfile.TarFile, file: str) -> _Found:
    """Read a bundle to its end; raises GangwayError where it can't be taken here."""
    head: Mapping[str, Any] = {}
    texts: dict[str, str] = {}
    configs: dict[str, bytes] = {}
    sizes: dict[str, int] = {}
    release = None
    progress = Progress("checked")
    for member, content in _inside(archive):
        if not head:
            if member.name != _HEAD:
                raise GangwayError("this is no bundle of a release", where=file)
            head = _head(project, content.read(), file)
        elif digest := layout.digest_of(member.name):
            data = _checked(progress.watched(content), digest, member, file)
            sizes[member.name] = member.size
            # Settings of images are small; of large files, nothing is needed.
            if data:
                configs[member.name] = data
        else:
            texts[member.name] = content.read().decode(errors="replace")
    files = {
        path.removeprefix(_RECORDS): text
        for path, text in texts.items()
        if path.startswith(_RECORDS)
    }
    release = parcel.arrived(project, files, head["release"], file)
    whole, _ = parcel.read(release, files, texts.get(_PARCEL, ""), file)
    try:
        manifest = json.loads(texts[layout.MANIFEST])
        layers = {
            str(entry["Config"]): json.loads(configs[entry["Config"]])["rootfs"]["diff_ids"]
            for entry in manifest
        }
    except (KeyError, TypeError, ValueError):
        raise _damaged(file, "its images' settings are missing") from None
    found = _Found(whole, manifest, layers, sizes)
    _refuse_incomplete(project, found, head, file)
    return found


def _head(project: Project, data: bytes, file: str) -> Mapping[str, Any]:
    """Return the head of a bundle; raises GangwayError where it's for somebody else."""
    try:
        head: Mapping[str, Any] = json.loads(data)
        number, name, owner = head["format"], head["release"], head["project"]
    except (KeyError, TypeError, ValueError):
        raise GangwayError("this is no bundle of a release", where=file) from None
    if number != _FORMAT:
        raise GangwayError(
            f"it is a bundle of format {number}, and this Gangway reads {_FORMAT}",
            where=file,
            fix="gangway update",
        )
    if owner != project.model.project:
        raise GangwayError(
            f"{name} is a release of {owner}, and {project.name} is {project.model.project}",
            where=file,
            fix=f"-e COMPOSE_PROJECT_NAME={owner} deploys it as that project",
        )
    return head


def _refuse_incomplete(project: Project, found: _Found, head: Mapping[str, Any], file: str) -> None:
    """Raise GangwayError where a layer is neither in the bundle nor on the engine."""
    spared = set(head.get("left_out") or ())
    needed = spared and spared - project.engine.production.shipping.chains()
    if needed:
        raise GangwayError(
            f"it was made for an engine that has {head.get('since')}, and layers of that are "
            "missing here",
            where=file,
            fix=f"deploy {head.get('since')} here first, or make the bundle without --since",
        )
    for entry in found.manifest:
        chains = layout.chains(found.layers[str(entry["Config"])])
        for path, chain in zip(entry["Layers"], chains, strict=True):
            if path not in found.sizes and chain not in spared:
                raise _damaged(file, f"{path} is missing")


def _send(project: Project, file: str, found: _Found, wanted: Collection[str]) -> None:
    """Send those of the images to the engine, without the layers that it has."""
    shipping = project.engine.production.shipping
    manifest = [
        {**entry, "RepoTags": tags}
        for entry in found.manifest
        if (tags := [tag for tag in entry.get("RepoTags") or () if tag in wanted])
    ]
    there = shipping.chains()
    paths: dict[str, bool] = {}
    for entry in manifest:
        chains = layout.chains(found.layers[str(entry["Config"])])
        for path, chain in zip(entry["Layers"], chains, strict=True):
            paths[path] = paths.get(path, False) or chain not in there
    sent = {path for path, is_needed in paths.items() if is_needed and path in found.sizes}
    total = sum(found.sizes[path] for path in sent)
    say(f"  {parcel.shown(total)} of {parcel.shown(sum(found.sizes.values()))} are missing there")
    # An engine unpacks beside what it has received.
    parcel.refuse_full(shipping.room(), 2 * total)
    sent |= {str(entry["Config"]) for entry in manifest}
    progress = Progress("sent", total)
    try:
        with (
            _read(file) as archive,
            shipping.loading() as pipe,
            tarfile.open(fileobj=pipe, mode="w|") as out,
        ):
            for member, content in _inside(archive):
                if member.name in sent:
                    _add(out, member, progress.watched(content), member.size)
            data = json.dumps(manifest).encode()
            _add(out, tarfile.TarInfo(layout.MANIFEST), io.BytesIO(data), len(data))
    except BaseException:
        shipping.forget(wanted)
        raise


def _chains(project: Project, release: Release) -> set[str]:
    """Return the layers of a release's images, each upon those below it."""
    packed, held = parcel.packed(project, release)
    return {chain for image in packed.images for chain in layout.chains(held[image.ref].layers)}


def _upon(
    held: Mapping[str, Held], refs: Sequence[str], left_out: Collection[str]
) -> Iterator[str]:
    for ref in refs:
        layers = held[ref].layers
        for layer, chain in zip(layers, layout.chains(layers), strict=True):
            if layer in left_out:
                yield chain


def _checked(content: IO[bytes], digest: str, member: tarfile.TarInfo, file: str) -> bytes:
    """Read a file that is named after its content; return it where it is a small one."""
    summed, kept = sha256(), b""
    while piece := content.read(_PIECE):
        summed.update(piece)
        if member.size <= _PIECE:
            kept += piece
    if summed.hexdigest() != digest:
        raise _damaged(file, f"{member.name} isn't what it was")
    return kept


@contextmanager
def _new(path: Path) -> Iterator[tarfile.TarFile]:
    """Write a gzipped tar that is there once it's whole; raises GangwayError where it can't be."""
    part = path.with_name(f"{path.name}.part")
    try:
        with (
            part.open("wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0, filename="") as packed,
            tarfile.open(fileobj=packed, mode="w|") as out,
        ):
            yield out
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise GangwayError(
            f"the bundle can't be written: {error.strerror or error}",
            where=str(path),
            fix=f"df -h {path.parent}",
        ) from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def _read(file: str) -> Iterator[tarfile.TarFile]:
    """Read such a tar; raises GangwayError where it's damaged."""
    try:
        with gzip.open(file, "rb") as packed:
            with tarfile.open(fileobj=packed, mode="r|") as archive:
                yield archive
            # Its end has the checksum.
            while packed.read(_PIECE):
                pass
    except gzip.BadGzipFile:
        raise GangwayError("this is no bundle of a release, or it's damaged", where=file) from None
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _damaged(file, str(error)) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise GangwayError(
            f"the bundle can't be read: {error.strerror or error}", where=file, fix=f"ls -l {file}"
        ) from None


def _damaged(file: str, why: str) -> GangwayError:
    return GangwayError(
        f"the bundle is damaged: {why}", where=file, fix="copy it again from where it was made"
    )


def _members(stream: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        yield from _inside(archive)


def _inside(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    for member in archive:
        if member.isfile() and (content := archive.extractfile(member)):
            yield member, content


def _add(out: tarfile.TarFile, member: tarfile.TarInfo, content: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(member.name)
    entry.size, entry.mode = size, 0o644
    out.addfile(entry, content)


class Progress:
    """Says every few seconds how far a transfer has come."""

    def __init__(self, done: str, total: int = 0) -> None:
        """`done` is the word for it, `total` in bytes where it is known."""
        self._done, self._total, self._count = done, total, 0
        self._said = time.monotonic()

    def watched(self, content: IO[bytes]) -> IO[bytes]:
        """Return a file that counts what is read of it."""
        return io.BufferedReader(_Watched(content, self._moved), _PIECE)

    def _moved(self, count: int) -> None:
        self._count += count
        if time.monotonic() - self._said >= _EVERY:
            self._said = time.monotonic()
            of = f" of {parcel.shown(self._total)}" if self._total else ""
            say(f"  {self._done} {parcel.shown(self._count)}{of}")


class _Watched(io.RawIOBase):
    def __init__(self, content: IO[bytes], moved: Callable[[int], None]) -> None:
        self._content, self._moved = content, moved

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._content.read(len(buffer))
        buffer[: len(data)] = data
        self._moved(len(data))
        return len(data)
