"""Records of releases, in a volume of the engine: see `gangway.engines.releases.Records`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gangway.engines import held
from gangway.engines.docker.client import Client
from gangway.engines.docker.kept import File, Folder, empty_image


@dataclass(frozen=True)
class VolumeRecords:
    """See `gangway.engines.releases.Records`."""

    client: Client

    def read(self) -> Mapping[str, str]:
        files = self._folder.read()
        return {path: data.decode(errors="replace") for path, data in files.items() if data}

    def write(self, files: Mapping[str, str | None]) -> None:
        # Nothing takes a file out of a volume but a program in a container: an empty one is none.
        self._folder.write({path: File((text or "").encode()) for path, text in files.items()})

    @contextlib.contextmanager
    def held(self, task: str) -> Iterator[None]:
        name = f"{self.client.project}-deploying"
        run = self.client.environment.runner
        argv = ["docker", "create", "--name", name, "--network", "none"]
        for key, value in held.me(task)._asdict().items():
            argv += ["--label", f"dev.gangway.{key}={value}"]
        argv += [empty_image(self.client), "none"]
        done = run.capture(argv, timeout=60)
        if done.status != 0 and "already in use" in done.stderr:
            self._take_over(name, task)
            done = run.capture(argv, timeout=60)
        if done.status != 0:
            raise self.client.unreachable(done.stderr)
        try:
            yield
        finally:
            run.capture(["docker", "rm", name], timeout=60)

    @property
    def _folder(self) -> Folder:
        return Folder(self.client, f"{self.client.project}-releases")

    def _take_over(self, name: str, task: str) -> None:
        """Remove what a process of this machine has left that is gone; refuse for any other."""
        fields = held.Holder._fields
        form = "\t".join(f'{{{{index .Config.Labels "dev.gangway.{each}"}}}}' for each in fields)
        run = self.client.environment.runner
        done = run.capture(["docker", "inspect", "--format", form, name], timeout=30)
        if done.status != 0:
            return  # its end came meanwhile
        holder = held.Holder(*done.stdout.rstrip("\n").split("\t"))
        held.require_gone(holder, self.client.project, task, f"docker rm {name}")
        run.capture(["docker", "rm", name], timeout=60)
