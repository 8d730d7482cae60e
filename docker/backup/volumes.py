"""What the apps keep besides the database: uploads, a broker's queue; files in volumes.

Each folder of BACKUP_VOLUMES goes into a backup as `volume-NAME.tar.gz`; its manifest says under
`volumes` what is in each: how many files, their bytes, and a hash of all names and contents.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from backup.errors import Refused

_CHUNK = 1 << 20
# So much of a file is in memory before it goes into the archive; more is on the disk.
_MEMORY = 8 << 20
_LEVEL = 1

Summary = dict[str, Any]


def archive(name: str) -> str:
    """Return the file in a backup that has a volume."""
    return f"volume-{name}.tar.gz"


def names(folder: Path | None) -> list[str]:
    """Return the volumes there are, each a folder in `folder`."""
    if not folder or not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def pack(volume: Path, target: Path) -> Summary:
    """Write all files of a volume to an archive, and return what is in it.

    Each is as it was at one moment or another while this goes on; what is removed meanwhile isn't
    in it.
    """
    seen: dict[str, str] = {}
    size = 0
    with (
        target.open("wb") as file,
        gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in _files(volume):
            with _spool(target.parent) as copy:
                try:
                    info = tar.gettarinfo(path, str(path.relative_to(volume)))
                    with path.open("rb") as source:
                        hashed = _copied(source, copy.write)
                except FileNotFoundError:
                    continue
                # By how long it was when it was read, whoever writes to it.
                info.size = copy.tell()
                info.type = tarfile.REGTYPE
                copy.seek(0)
                tar.addfile(info, copy)
            seen[info.name] = hashed
            size += info.size
    return _summary(seen, size)


def look(packed: Path) -> Summary:
    """Return what an archive has in it; raises Refused where it can't be read."""
    seen: dict[str, str] = {}
    size = 0
    for info, content in _entries(packed):
        seen[info.name] = _copied(content, len)
        size += info.size
    return _summary(seen, size)


def differences(packed: Mapping[str, Path], wanted: Mapping[str, Summary]) -> list[str]:
    """Return in what archives differ from what they should have in them, for people."""
    return [
        f"volume {name} has {found['files']} files in place of {known['files']}, or others"
        for name, known in wanted.items()
        if (found := look(packed[name])) != known
    ]


def put(packed: Path, volume: Path) -> tuple[int, int]:
    """Put files of an archive back that are missing or others; return how many, and of how many.

    Those that are there besides stay. Each file is replaced as one.
    """
    written = seen = 0
    for info, content in _entries(packed):
        seen += 1
        path = volume / info.name
        if not _inside(path, volume):
            raise Refused(f"{packed.name} has a file outside of its volume: {info.name}")
        if path.is_file() and path.stat().st_size == info.size:
            with _spool(volume) as copy:
                same = _copied(content, copy.write) == _hash(path)
                copy.seek(0)
                if not same:
                    _replace(path, copy, info)
        else:
            same = False
            _replace(path, content, info)
        written += not same
    return written, seen


def _replace(path: Path, content: IO[bytes], info: tarfile.TarInfo) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".restored-", dir=path.parent)
    new = Path(name)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - it is open
            shutil.copyfileobj(content, file, _CHUNK)
            file.flush()
            os.fsync(file.fileno())
        new.chmod(info.mode & 0o777)
        os.utime(new, (info.mtime, info.mtime))
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _entries(packed: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    try:
        with tarfile.open(packed, "r|gz") as tar:
            for info in tar:
                content = tar.extractfile(info)
                if content is not None:
                    yield info, content
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise Refused(f"{packed.name} is damaged: {fault}") from fault


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _spool(folder: Path) -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(_MEMORY, dir=str(folder))


def _copied(source: IO[bytes], write: Callable[[bytes], object]) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        write(chunk)
    return digest.hexdigest()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _summary(seen: Mapping[str, str], size: int) -> Summary:
    text = "\n".join(f"{digest} {name}" for name, digest in sorted(seen.items()))
    return {"files": len(seen), "bytes": size, "hash": hashlib.sha256(text.encode()).hexdigest()}
