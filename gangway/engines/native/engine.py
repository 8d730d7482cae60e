"""The engine that runs services as supervised processes of this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from gangway.base.errors import GangwayError
from gangway.base.process import Completed
from gangway.engines import databases
from gangway.engines.container import Container
from gangway.engines.databases import Kept
from gangway.engines.interface import CannotDo, Debugger, Due, Inside, py_spy
from gangway.engines.native import commands
from gangway.engines.native.processes import log_lines
from gangway.engines.native.starting import NativeStart
from gangway.engines.native.tools import DIRECTORY, postgres, require
from gangway.engines.releases import Production
from gangway.settings.environment import NATIVE, Environment


@dataclass(frozen=True)
class NativeEngine(commands.Native):
    """See `gangway.engines.interface.Engine`."""

    name = NATIVE
    manner = "natively"

    def reach(self) -> None:
        return

    def check(self) -> None:
        require()

    @property
    def host(self) -> str:
        return ""

    @property
    def production(self) -> Production:
        raise CannotDo("natively there are no releases", fix="production runs in containers")

    def check_proxy(self) -> None:
        raise GangwayError(
            "natively there is no proxy to put in front", fix="leave --https out, or use containers"
        )

    def running(self) -> bool:
        return self.services.running()

    def owners(self) -> str:
        return ""

    def publisher(self, port: int) -> str | None:
        return None

    def containers(self) -> list[Container]:
        return self.services.containers()

    def has_others_files(self, volume: str, image: str, uid: str) -> bool:
        # All is whoever's the checkout is.
        return False

    def kept_databases(self, volume: str, service: Mapping[str, Any]) -> Kept | None:
        folder = self.environment.root / str(databases.environment(service).get("PGDATA") or "")
        found = postgres()
        if not found or not (folder / "PG_VERSION").exists():
            return None
        argv = [str(found / "postgres"), "--version"]
        # postgres (PostgreSQL) 18.6
        version = self.environment.runner.capture(argv, timeout=30).stdout.split()[-1]
        argv = ["sh", "-c", databases.LOOK, "sh", str(folder)]
        said = self.environment.runner.capture(argv, timeout=30).stdout
        return databases.seen(said)._replace(major=int(version.partition(".")[0]), data="")

    def beside(self, service: str, words: Sequence[str]) -> list[str]:
        raise CannotDo(
            "natively there is one PostgreSQL, that of the wheel: it can't run two majors",
            fix="install the wheel of before to go on with the old data, or begin anew: "
            f"invoke {self.environment.name}.reset deletes it",
        )

    def declared_volumes(self, images: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return {}

    def logs(self, container: Container, lines: int) -> str:
        found = log_lines(self.services.supervised(container.service))
        return "\n".join(line.partition(" ")[2] for line in found[-lines:])

    def health_output(self, container: Container) -> str:
        state = self.services.supervised(container.service).read("state.json")
        log = state.get("health_log") or []
        return str(log[-1]["output"]) if log else ""

    def command(self, *words: str) -> list[str]:
        return ["python", "-m", "gangway.engines.native", *self.environment.env_files, *words]

    def call(self, *words: str) -> int:
        return commands.run(self, words)

    def capture(self, *words: str, text: str = "", file: IO[bytes] | None = None) -> Completed:
        argv = [sys.executable, *self.command(*words)[1:]]
        return self.environment.runner.capture(argv, text=text, file=file)

    @contextmanager
    def start(self, words: Sequence[str], services: Sequence[str]) -> Iterator[NativeStart]:
        yield commands.begin(self, words)

    def building(self, services: Sequence[str], *, no_cache: bool) -> list[str]:
        return ["build", *(["--no-cache"] if no_cache else [])]

    def due(self, services: Sequence[str]) -> Due:
        if self.tools.current():
            return Due()
        why = "the apps' locked libraries aren't installed for native services, or have changed"
        return Due(outdated=tuple(services), why=why)

    def clone(self, source: Environment, service: str, script: str) -> Completed | None:
        from gangway.engines.native import cloning

        return cloning.clone(self, NativeEngine(source), service, script)

    def left_by(self, folder: str, project: str) -> list[str]:
        from gangway.engines.native import cloning

        return cloning.left_by(folder)

    def remove_left(self, left: Sequence[str]) -> None:
        from gangway.engines.native import cloning

        cloning.remove_left(left)

    def debugger(self, *, install: bool) -> Debugger:
        if install:
            self.tools.install_debugger()
        port = "${PUBLISHED_DEBUG_PORT:-5678}"
        return Debugger("127.0.0.1", port, str(self.tools.debugger), maps_paths=False)

    def inside(self, container: Container) -> Inside:
        main = self.services.supervised(container.service).read("state.json").get("pid")
        lines = []
        for entry in Path("/proc").glob("[0-9]*"):
            # One may end while it is read.
            with suppress(OSError):
                lines.append(f"{(entry / 'stat').read_text().strip()} {(entry / 'exe').readlink()}")
        return Inside(lines, main)

    def profiler(self, container: Container, pid: str, seconds: int) -> list[str]:
        self.tools.install_debugger()
        spy = self.tools.debugger / "bin" / "py-spy"
        return [
            "sh",
            "-ec",
            py_spy(str(spy), pid, seconds, str(self.environment.root / DIRECTORY / "profile.svg")),
        ]
