"""A volume's data, copied from one engine to another, and compared.

The bytes go through this process, by `docker cp` on either side: containers that are never started
have the volume, of an image with nothing in it, so that nothing runs and nothing is pulled.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import subprocess
import tarfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Final, NamedTuple, NoReturn

from gangway.base.errors import GangwayError
from gangway.base.process import Completed, Runner
from gangway.engines.releases import Place

_EMPTY: Final = "gangway/empty:1"
_FOLDER: Final = "/kept"
_PIECE: Final = 1 << 20


class Entry(NamedTuple):
    """What a file of a volume is: two that are equal are the same to whoever reads them."""

    kind: bytes
    owner: tuple[int, int]
    mode: int
    size: int
    content: str
    """a digest of what is in it, or where it links to"""


Contents = Mapping[str, Entry]


def place(runner: Runner, docker: Sequence[str]) -> Place:
    """Return the engine that a call of docker reaches; raises GangwayError where none answers."""
    done = runner.capture([*docker, "info", "--format", "{{.ID}} {{.Name}}"], timeout=30)
    _checked(done)
    number, _, node = done.stdout.strip().partition(" ")
    return Place(runner, tuple(docker), number, node)


def contents(place: Place, volume: str) -> Contents:
    """Return what is in a volume by path, the volume itself by none; raises GangwayError.

    One that isn't there is made.
    """
    with _opened(place, volume) as container, _reading(place, container) as stream:
        return _entries(stream, None)


def require_empty(place: Place, volume: str) -> None:
    """Refuse a volume that has data in it; one that isn't there is empty."""
    if len(contents(place, volume)) > 1:
        raise GangwayError(
            f"the volume {volume} on {place.node} has data in it already",
            fix=f"whose is it? To do without it: {' '.join(place.docker)} volume rm {volume}",
        )


def copy(source: Place, target: Place, volume: str) -> Contents:
    """Copy a volume's data to another engine, read it there again, and return what is there.

    It must be empty there, and nobody may write to it meanwhile. Raises GangwayError where the
    target isn't empty; and where a side gives up, or what arrived isn't what was sent: then the
    target's is removed.
    """
    if source.number == target.number:
        raise ValueError(f"{volume} is on {target.node} already")
    require_empty(target, volume)
    try:
        with _opened(source, volume) as giver, _opened(target, volume) as taker:
            sent = _send(source, giver, target, taker)
            with _reading(target, taker) as stream:
                there = _entries(stream, None)
        if there != sent:
            _complain(source, target, volume, sent, there)
    except BaseException:
        with contextlib.suppress(GangwayError):
            remove(target, volume)
        raise
    return there


def _send(source: Place, giver: str, target: Place, taker: str) -> Contents:
    writing = [*target.docker, "cp", "--archive", "-", f"{taker}:/"]
    with (
        _reading(source, giver) as stream,
        _program(target.runner, writing, stdin=subprocess.PIPE) as sink,
    ):
        try:
            return _entries(stream, sink.stdin)
        except BrokenPipeError:
            # It says itself why it reads no more.
            return {}


def _complain(
    source: Place, target: Place, volume: str, sent: Contents, there: Contents
) -> NoReturn:
    differ = sorted(path for path in {*there, *sent} if there.get(path) != sent.get(path))
    raise GangwayError(
        f"{len(differ)} files of {volume} are not on {target.node} as they were on "
        f"{source.node}: {', '.join(differ[:3])}",
        fix="does something write to it?",
    )


def remove(place: Place, volume: str) -> None:
    """Remove a volume, if it is there; raises GangwayError where it is in use."""
    argv = [*place.docker, "volume", "rm", "--force", volume]
    _checked(place.runner.capture(argv, timeout=60))


def empty_image(runner: Runner, docker: Sequence[str]) -> str:
    """Return the name of an image with nothing in it, made where the engine has none.

    Raises GangwayError where the engine refuses.
    """
    if runner.capture([*docker, "image", "inspect", _EMPTY], timeout=30).status != 0:
        packed = io.BytesIO()
        tarfile.open(fileobj=packed, mode="w").close()
        status, _, said = runner.pipe([*docker, "import", "-", _EMPTY], packed.getvalue())
        if status != 0:
            raise GangwayError(f"no image can be made there: {_last(said)}")
    return _EMPTY


@contextlib.contextmanager
def _opened(place: Place, volume: str) -> Iterator[str]:
    """Yield a container that has the volume, which is made where it isn't there."""
    name = f"gangway-volume-{uuid.uuid4().hex[:12]}"
    image = empty_image(place.runner, place.docker)
    mount = f"type=volume,source={volume},target={_FOLDER},volume-nocopy"
    argv = [*place.docker, "create", "--name", name, "--network", "none", "--mount", mount]
    _checked(place.runner.capture([*argv, image, "none"], timeout=60))
    try:
        yield name
    finally:
        place.runner.capture([*place.docker, "rm", "--force", name], timeout=60)


@contextlib.contextmanager
def _reading(place: Place, container: str) -> Iterator[IO[bytes]]:
    """Yield the volume's files as one archive."""
    argv = [*place.docker, "cp", f"{container}:{_FOLDER}", "-"]
    with _program(place.runner, argv, stdout=subprocess.PIPE) as program:
        if program.stdout:
            yield program.stdout


@contextlib.contextmanager
def _program(
    runner: Runner,
    argv: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program beside the block, and see to it that it ends well."""
    with runner.stream(argv, stdin=stdin, stdout=stdout) as program:
        try:
            yield program
        except BaseException:
            program.kill()
            raise
        if program.stdin:
            program.stdin.close()
        said = program.stderr.read().decode(errors="replace") if program.stderr else ""
        if program.wait() != 0:
            raise GangwayError(f"{' '.join(argv[:2])} failed: {_last(said)}")


def _entries(stream: IO[bytes], sink: IO[bytes] | None) -> Contents:
    """Return what is in an archive by path, its top folder by none; pass all of it on to `sink`."""
    tee = _Tee(stream, sink)
    found: dict[str, Entry] = {}
    with tarfile.open(fileobj=tee, mode="r|", bufsize=_PIECE) as archive:
        for member in archive:
            found[member.name.partition("/")[2]] = _entry(archive, member)
    # What is behind the archive's end belongs to it.
    while tee.read(_PIECE):
        pass
    return found


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    content = member.linkname
    if file := archive.extractfile(member) if member.isreg() else None:
        digest = hashlib.sha256()
        while piece := file.read(_PIECE):
            digest.update(piece)
        content = digest.hexdigest()
    owner = (member.uid, member.gid)
    return Entry(member.type, owner, member.mode, member.size, content)


class _Tee(io.RawIOBase):
    """What is read from one file, written to another as well."""

    def __init__(self, source: IO[bytes], sink: IO[bytes] | None) -> None:
        self._source, self._sink = source, sink

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        if self._sink and data:
            self._sink.write(data)
        return data


def _checked(done: Completed) -> None:
    if done.status != 0:
        raise GangwayError(f"{' '.join(done.argv[:2])} failed: {_last(done.stderr)}")


def _last(said: str) -> str:
    return (said.strip().splitlines() or ["docker gave no reason"])[-1]
