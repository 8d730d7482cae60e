"""Images from one engine to another: see `gangway.engines.interface.Shipping`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final

from gangway.base.errors import GangwayError
from gangway.base.output import say
from gangway.engines.docker.client import Client
from gangway.engines.releases import Held
from gangway.model import layout
from gangway.model.release import Image

_ALL_LAYERS: Final = "{{json .RootFS.Layers}}"
_UNKNOWN: Final = re.compile(r"manifest unknown|not found|repository name not known", re.IGNORECASE)
_REFUSED: Final = re.compile(
    r"unauthorized|denied|no basic auth credentials|authentication required|forbidden",
    re.IGNORECASE,
)
_FULL: Final = re.compile(r"no space left|disk quota exceeded", re.IGNORECASE)
_AWAY: Final = re.compile(
    r"connection refused|connection reset|no such host|timeout|timed out|\bEOF\b|no route|"
    r"unreachable|broken pipe|server gave HTTP response|certificate|"
    r"50\d (Internal|Bad|Service|Gateway)",
    re.IGNORECASE,
)
# Lines of a transfer that tell of something; where somebody looks, docker draws its own.
_TELLING: Final = re.compile(r": (Pushed|Mounted from|Pull complete|Retrying in)\b")
_RETRYING: Final = ": Retrying in "


@dataclass(frozen=True)
class DockerShipping:
    """See `gangway.engines.interface.Shipping`."""

    client: Client

    def platform(self) -> str:
        return self._done(["docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"])

    def room(self) -> int | None:
        if self.client.is_local:
            folder = self._done(["docker", "info", "--format", "{{.DockerRootDir}}"])
            with contextlib.suppress(OSError):
                found = os.statvfs(folder)
                return found.f_bavail * found.f_frsize
        return self._room_by_container()

    def held(self, refs: Iterable[str]) -> Mapping[str, Held]:
        wanted = sorted(set(refs))
        if not wanted:
            return {}
        argv = ["docker", "image", "inspect", *wanted]
        done = self.client.environment.runner.capture(argv, timeout=60)
        found: dict[str, Held] = {}
        # It fails for those that are missing, and still writes the others.
        for raw in json.loads(done.stdout or "[]"):
            digests = tuple(raw.get("RepoDigests") or ())
            names = {raw["Id"], *(raw.get("RepoTags") or ()), *digests}
            parts = (raw["Os"], raw["Architecture"], raw.get("Variant"))
            platform = "/".join(filter(None, parts))
            layers = tuple(raw["RootFS"].get("Layers") or ())
            found |= {
                ref: Held(Image(ref, raw["Id"], platform), raw["Size"], layers, digests)
                for ref in wanted
                if names.intersection((ref, f"{ref}:latest"))
            }
        if not found:
            self.client.reach()
        return found

    def chains(self) -> frozenset[str]:
        numbers = set(self._done(["docker", "image", "ls", "--quiet", "--no-trunc"]).split())
        if not numbers:
            return frozenset()
        # One that is removed meanwhile has no line.
        argv = ["docker", "image", "inspect", "--format", _ALL_LAYERS, *numbers]
        lines = self.client.environment.runner.capture(argv, timeout=60).stdout.splitlines()
        images = [json.loads(line) or () for line in filter(str.strip, lines)]
        return frozenset(chain for layers in images for chain in layout.chains(layers))

    def name(self, ref: str, name: str) -> None:
        self._done(["docker", "tag", ref, name])

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            self.client.environment.runner.capture(["docker", "image", "rm", name], timeout=60)

    def push(self, ref: str, place: str) -> str:
        self.name(ref, place)
        try:
            self._transfer(["docker", "push", place], place)
            known = self.held([place])[place].known_to
        finally:
            self.forget([place])
        repository = place.rpartition(":")[0]
        return next(
            each.partition("@")[2] for each in known if each.partition("@")[0] == repository
        )

    def pull(self, place: str) -> None:
        self._transfer(["docker", "pull", place], place)

    def push_files(self, files: Mapping[str, bytes], place: str) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path, data in files.items():
                entry = tarfile.TarInfo(path)
                entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o644
                archive.addfile(entry, io.BytesIO(data))
        self._piped(["docker", "import", "-", place], packed.getvalue())
        try:
            self._transfer(["docker", "push", place], place)
        finally:
            self.forget([place])

    def pull_files(self, place: str) -> Mapping[str, bytes] | None:
        done = self.client.environment.runner.capture(["docker", "pull", "--quiet", place])
        if done.status != 0:
            if _UNKNOWN.search(done.stderr):
                return None
            raise self._failed(done.stderr, place)
        container = f"{self.client.project}-reading-{uuid.uuid4().hex[:12]}"
        try:
            self._done(["docker", "create", "--name", container, "--network", "none", place, "no"])
            packed = self._piped(["docker", "export", container])
        finally:
            self.client.environment.runner.capture(["docker", "rm", container], timeout=60)
            self.forget([place])
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            return {
                member.name: file.read()
                for member in archive
                if member.isfile() and (file := archive.extractfile(member))
            }

    @contextlib.contextmanager
    def saved(self, refs: Sequence[str]) -> Iterator[IO[bytes]]:
        argv = ["docker", "save", *refs]
        with self.client.environment.runner.streaming(argv, writing=False) as stream:
            yield stream.pipe
            # What is behind an archive's end: it fails where nobody reads that.
            while stream.pipe.read(1 << 20):
                pass
        if stream.status != 0:
            raise self._failed(stream.said, "docker save")

    @contextlib.contextmanager
    def loading(self) -> Iterator[IO[bytes]]:
        argv = ["docker", "load", "--quiet"]
        with self.client.environment.runner.streaming(argv, writing=True) as stream:
            yield stream.pipe
        if stream.status != 0:
            raise self._failed(stream.said, "docker load")

    def _transfer(self, argv: Sequence[str], place: str) -> None:
        """Run a transfer and show how it goes; raises GangwayError where it fails."""
        runner = self.client.environment.runner
        looked_at = sys.stderr.isatty()
        stdout = sys.stderr.fileno() if looked_at else subprocess.PIPE
        stderr = subprocess.PIPE if looked_at else subprocess.STDOUT
        said: deque[str] = deque(maxlen=100)
        say(f"  {argv[1]} {place}")
        with runner.start(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr) as program:
            for line in (program.stderr if looked_at else program.stdout) or ():
                # It counts the seconds down to each of its further tries.
                counted = _RETRYING in line and bool(said) and _RETRYING in said[-1]
                said.append(line)
                if not looked_at and not counted and _TELLING.search(line):
                    say(f"    {line.rstrip()}")
        if program.returncode != 0:
            raise self._failed("".join(said), place)

    def _room_by_container(self) -> int | None:
        """Look from a container that is there: an engine of another machine doesn't say."""
        project = ["docker", "ps", *self.client.ours, "--format", "{{.ID}}"]
        for container in self._done(project).split()[:3]:
            look = ["docker", "exec", container, "df", "-B1", "--output=avail", "/"]
            done = self.client.environment.runner.capture(look, timeout=30)
            last = done.stdout.split()[-1:]
            if done.status == 0 and last and last[0].isdecimal():
                return int(last[0])
        return None

    def _done(self, argv: Sequence[str]) -> str:
        done = self.client.environment.runner.capture(argv, timeout=60)
        if done.status != 0:
            self.client.reach()
            raise self._failed(done.stderr, " ".join(argv))
        return done.stdout.strip()

    def _piped(self, argv: Sequence[str], data: bytes = b"") -> bytes:
        status, out, said = self.client.environment.runner.pipe(argv, data)
        if status != 0:
            raise self._failed(said, " ".join(argv))
        return out

    def _failed(self, said: str, what: str) -> GangwayError:
        """Return the error for what docker said last, and what to do."""
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        last = lines[-1] if lines else "docker gave no reason"
        registry = what.partition("/")[0]
        if _FULL.search(said):
            fix = "make room there: docker system df shows what takes it, invoke NAME.releases "
            return GangwayError(
                f"not enough disk where the engine keeps its images: {last}",
                where=what,
                fix=fix + "which releases have images",
            )
        if _UNKNOWN.search(last):
            return GangwayError(f"the registry doesn't have it: {last}", where=what)
        if _REFUSED.search(last):
            return GangwayError(
                f"the registry refuses it: {last}", where=what, fix=f"docker login {registry}"
            )
        if _AWAY.search(last):
            return GangwayError(
                f"the registry doesn't answer: {last}",
                where=what,
                fix=f"is RELEASE_REGISTRY right, and {registry} up? then run the same task again",
            )
        return GangwayError(f"docker says: {last}", where=what)
