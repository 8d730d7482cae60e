"""Files of the write-ahead log: their names, what they are good for, where a row of them ends."""

from __future__ import annotations

import gzip
import os
import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

_NAME = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.gz|\.partial)?")
# The head of a segment's first page: magic, flags, timeline, address, length of what is carried on,
# the cluster, the segment's size, the page's.
_HEAD = struct.Struct("=HHIQI4xQII")
_LONG = 0x0002
_CHUNK = 1 << 20
_PAGE = 8192
PARTIAL = ".partial"
# A level that keeps up with what a busy server writes; the higher ones save little.
_LEVEL = 1


class Damage(Exception):
    """Why a file of the log is no good, in one sentence without its name."""


class Segment(NamedTuple):
    """One segment: its timeline, and its number from the log's beginning."""

    timeline: int
    number: int

    def name(self, size: int) -> str:
        """Return its file's name; `size` is a segment's, in bytes."""
        high, low = divmod(self.number, (1 << 32) // size)
        return f"{self.timeline:08X}{high:08X}{low:08X}"

    @property
    def next(self) -> Segment:
        """The one that follows on the same timeline."""
        return Segment(self.timeline, self.number + 1)


def segment(name: str, size: int) -> Segment | None:
    """Return which segment a file is, finished or not; None for another file."""
    found = _NAME.fullmatch(name)
    if not found:
        return None
    timeline, high, low = (int(part, 16) for part in found.groups()[:3])
    return Segment(timeline, high * ((1 << 32) // size) + low)


def position(text: str) -> int:
    """Return a place in the log, which PostgreSQL writes as `0/16B3748`, in bytes."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def written(place: int) -> str:
    """Return a place in the log as PostgreSQL writes it."""
    return f"{place >> 32:X}/{place & 0xFFFFFFFF:X}"


def reached(place: int, wanted: int) -> bool:
    """Say whether all before `wanted`, where a record may begin, is there up to `place`.

    Where a page ends, a record begins only after the next one's head.
    """
    return place >= wanted or (place % _PAGE == 0 and wanted - place <= _HEAD.size)


def whole(name: str) -> bool:
    """Say whether a file is a segment that has arrived whole, and isn't compressed."""
    found = _NAME.fullmatch(name)
    return found is not None and not found[4]


def files(folders: Iterable[Path], size: int) -> dict[Segment, Path]:
    """Return the segments in some folders; of several files for one, the one that has most.

    That is one that is whole, and else that of the first folder.
    """
    found: dict[Segment, Path] = {}
    for folder in folders:
        for path in folder.iterdir() if folder.is_dir() else ():
            which = segment(path.name, size)
            if which is None:
                continue
            other = found.get(which)
            if other is None or (other.suffix == PARTIAL and path.suffix != PARTIAL):
                found[which] = path
    return found


def row(start: Segment, there: Mapping[Segment, Path]) -> list[Segment]:
    """Return the segments from `start` on, up to the first that is missing."""
    found = []
    while start in there:
        found.append(start)
        start = start.next
    return found


def compress(path: Path, folder: Path) -> None:
    """Move a segment that is whole to a folder, compressed, with its time.

    An end at any moment leaves it here or there.
    """
    packed = folder / f"{path.name}.gz"
    unfinished = packed.with_name(f"{packed.name}.new")
    times = path.stat()
    with path.open("rb") as source, unfinished.open("wb") as file:
        with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as target:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    os.utime(unfinished, ns=(times.st_atime_ns, times.st_mtime_ns))
    unfinished.replace(packed)
    sync(folder)
    path.unlink()


def unpack(path: Path, target: Path, which: Segment, *, size: int, system: str) -> None:
    """Write a segment's contents to `target`, a file that is new, once they were looked at.

    Raises Damage for one that is cut short, changed, or of another cluster; what is wrong inside an
    unfinished one is for the server to find, by each record's own checksum.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as source:
            head = source.read(_HEAD.size)
            _check_head(head, which, size, system)
            length = len(head)
            with target.open("wb") as file:
                file.write(head)
                while chunk := source.read(_CHUNK):
                    # What the server filled up with nothing takes no room.
                    if chunk.count(0) == len(chunk):
                        file.seek(len(chunk), os.SEEK_CUR)
                    else:
                        file.write(chunk)
                    length += len(chunk)
                file.truncate(length)
    except (EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise Damage(f"it isn't what was written: {fault}") from fault
    if length != size:
        raise Damage(f"it has {length} bytes of {size}")


def _check_head(head: bytes, which: Segment, size: int, system: str) -> None:
    if len(head) < _HEAD.size:
        raise Damage("it is cut short")
    _, flags, _, address, _, cluster, length, _ = _HEAD.unpack(head)
    if not flags & _LONG or length != size:
        raise Damage("it is no segment of a log")
    if str(cluster) != system:
        raise Damage(f"it is of cluster {cluster}, not of {system}")
    if address != which.number * size:
        raise Damage(f"it has what belongs at {written(address)}")


def sync(folder: Path) -> None:
    """Have the disk know a folder's names."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
