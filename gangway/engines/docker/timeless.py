"""The layers of an image without the time at which they were built, byte for byte.

The engine's own builder can't do it: it gives the image itself the time that it is told
(SOURCE_DATE_EPOCH), and nothing to the files in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final, NamedTuple

NONE: Final = 315532800
"""What has no time: it is of the first moment that a wheel can have, 1 January 1980.

A build that is told so writes it into the history of each of its own steps.
"""

_BLOCK: Final = 512
_CHUNK: Final = 1024**2
_FILE: Final = (b"0", b"\0")
_TIMES: Final = (b"mtime", b"atime", b"ctime")


class Entry(NamedTuple):
    """An entry of a layer's archive: `kind` is tar's type flag, `time` in seconds."""

    name: str
    kind: bytes
    time: int


TimeOf = Callable[[Entry], int]
"""Which time an entry gets."""


class _Header(NamedTuple):
    """What is before an entry's data: blocks as they are written again, its own header last."""

    extra: bytes
    own: bytes
    entry: Entry
    size: int


def own_steps(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the last steps of an image's history: those of a build that was told the time NONE.

    What is before them is its base's.
    """
    found: list[Mapping[str, Any]] = []
    for step in reversed(config.get("history") or ()):
        if not str(step.get("created")).startswith("1980-01-01T00:00:00"):
            break
        found.insert(0, step)
    return found


def time_of(step: int, first_copy: int, moment: int) -> TimeOf:
    """Return what gives the entries of a step's layer their times; steps count from 0.

    What was copied gets the `moment` of the sources, so that whoever goes by a file's time sees
    that it has changed. What says that it has none keeps none, so that a layer with libraries is
    the same as long as they are. So does what is made before anything was copied, and a folder.
    """

    def give(entry: Entry) -> int:
        dated = step >= first_copy and entry.kind in _FILE and entry.time > NONE
        return moment if dated else NONE

    return give


def entries(layer: BinaryIO) -> Iterator[Entry]:
    """Yield what is in a layer's archive."""
    while header := _read(layer):
        yield header.entry
        layer.seek(_padded(header.size), 1)


def rewrite(layer: BinaryIO, out: BinaryIO, give: TimeOf, times: Mapping[str, int]) -> str:
    """Write a layer's archive again, each entry with the time that `give` says.

    Compiled Python knows the time of its source, which is in `times` by its path where it was
    changed. Returns the digest of what was written, `sha256:…`.
    """
    digest = hashlib.sha256()

    def write(data: bytes) -> None:
        digest.update(data)
        out.write(data)

    while header := _read(layer):
        write(header.extra)
        write(_with_time(header.own, give(header.entry)))
        left = _padded(header.size)
        if left and header.entry.name.endswith(".pyc"):
            start = layer.read(min(left, _BLOCK))
            write(_compiled(start, times.get(source_of(header.entry.name))))
            left -= len(start)
        while left:
            data = layer.read(min(left, _CHUNK))
            if not data:
                raise ValueError("it ends in the middle of a file")
            write(data)
            left -= len(data)
    write(bytes(2 * _BLOCK))
    return f"sha256:{digest.hexdigest()}"


def source_of(compiled: str) -> str:
    """Return the path of the module that a .pyc was made of."""
    path = PurePosixPath(compiled)
    folder = path.parent.parent if path.parent.name == "__pycache__" else path.parent
    return str(folder / f"{path.name.partition('.')[0]}.py")


def configured(
    config: Mapping[str, Any], layers: Mapping[int, str], moment: str, labels: Mapping[str, str]
) -> bytes:
    """Return an image's configuration with the digests of these layers, by their number.

    `moment` is when it was made, and each of its own steps. Of what Compose and the builder have
    written down of themselves nothing stays that changes with their version.
    """
    changed = {key: each for key, each in config.items() if not key.startswith("moby.buildkit.")}
    old = config["rootfs"]["diff_ids"]
    diffs = [layers.get(number, digest) for number, digest in enumerate(old)]
    own = len(own_steps(config))
    steps = list(config["history"])
    made = [{**step, "created": moment} for step in steps[len(steps) - own :]]
    inner = dict(config.get("config") or {})
    kept = {
        key: each
        for key, each in (inner.get("Labels") or {}).items()
        if key != "com.docker.compose.version"
    }
    changed |= {
        "created": moment,
        "config": {**inner, "Labels": dict(sorted({**kept, **labels}.items()))},
        "history": [*steps[: len(steps) - own], *made],
        "rootfs": {**config["rootfs"], "diff_ids": diffs},
    }
    return json.dumps(changed, separators=(",", ":"), sort_keys=True).encode()


def _compiled(start: bytes, time: int | None) -> bytes:
    """Return a .pyc's beginning with its source's time; the rest, such as a hash, stays."""
    checked_by_time = len(start) >= 16 and start[4:8] == bytes(4)
    if time is None or not checked_by_time:
        return start
    return start[:8] + (time & 0xFFFFFFFF).to_bytes(4, "little") + start[12:]


def _read(file: BinaryIO) -> _Header | None:
    """Return the next header, None at the end."""
    extra, known = b"", dict[bytes, bytes]()
    while True:
        block = file.read(_BLOCK)
        if len(block) < _BLOCK or not block.strip(b"\0"):
            return None
        kind, size = block[156:157], _number(block[124:136])
        if kind in (b"x", b"g"):
            records = _records(_exactly(file, size))
            known |= records
            kept = b"".join(
                _record(key, value) for key, value in records.items() if key not in _TIMES
            )
            if kept:
                own = _with_time(block[:124] + b"%011o\0" % len(kept) + block[136:], 0)
                extra += own + kept + bytes(-len(kept) % _BLOCK)
        elif kind in (b"L", b"K"):
            data = _exactly(file, size)
            if kind == b"L":
                known[b"path"] = data.rstrip(b"\0")
            extra += _with_time(block, 0) + data + bytes(-len(data) % _BLOCK)
        else:
            break
    short = block[:100].rstrip(b"\0")
    if block[257:263] == b"ustar\0" and (prefix := block[345:500].rstrip(b"\0")):
        short = prefix + b"/" + short
    name = known.get(b"path", short).decode(errors="surrogateescape").removeprefix("./")
    if b"size" in known:
        size = int(known[b"size"])
    entry = Entry(name.rstrip("/"), kind, _number(block[136:148]))
    return _Header(extra, block, entry, size if kind in _FILE else 0)


def _exactly(file: BinaryIO, size: int) -> bytes:
    return file.read(_padded(size))[:size]


def _padded(size: int) -> int:
    return size + -size % _BLOCK


def _number(field: bytes) -> int:
    if field[:1] in (b"\x80", b"\xff"):
        return int.from_bytes(field[1:], "big")
    return int(field.strip(b" \0") or b"0", 8)


def _records(payload: bytes) -> dict[bytes, bytes]:
    found = {}
    while payload:
        length = int(payload.partition(b" ")[0])
        key, _, value = payload[:length].partition(b" ")[2].partition(b"=")
        found[key] = value[:-1]
        payload = payload[length:]
    return found


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" %s=%s\n" % (key, value)
    length = len(rest)
    # Its own length is part of it.
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return b"%d%s" % (length, rest)


def _with_time(block: bytes, time: int) -> bytes:
    block = block[:136] + b"%011o\0" % time + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
