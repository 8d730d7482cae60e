"""The engine that runs services as supervised processes of this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gangway.base.errors import GangwayError
from gangway.base.process import Completed
from gangway.engines.container import Container
from gangway.engines.interface import CannotDo, Debugger, Due, Inside, py_spy
from gangway.engines.native import commands
from gangway.engines.native.processes import log_lines
from gangway.engines.native.starting import NativeStart
from gangway.engines.native.tools import DIRECTORY, require
from gangway.engines.releases import Production
from gangway.settings.environment import NATIVE


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

    def capture(self, *words: str, text: str = "") -> Completed:
        argv = [sys.executable, *self.command(*words)[1:]]
        return self.environment.runner.capture(argv, text=text)

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
