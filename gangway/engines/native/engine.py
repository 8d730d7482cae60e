"""The engine that runs services as supervised processes of this machine."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from gangway.base.errors import GangwayError
from gangway.base.process import Completed
from gangway.engines.container import Container
from gangway.engines.interface import CannotDo, Debugger, py_spy
from gangway.engines.interface import Processes as Found
from gangway.engines.native import commands, tools
from gangway.engines.native.processes import DIRECTORY, Processes, log_lines
from gangway.engines.native.starting import NativeStart
from gangway.model.model import Model
from gangway.model.render import rendered
from gangway.settings.environment import NATIVE, Environment, load


@dataclass(frozen=True)
class NativeEngine:
    """See `gangway.engines.interface.Engine`; `render` returns the model, always the same."""

    environment: Environment
    render: Callable[[], Model]

    name = NATIVE
    manner = "natively"

    @property
    def model(self) -> Model:
        """The merged model of the stack."""
        return self.render()

    @property
    def scratch(self) -> str:
        """A folder of this user's."""
        return str(self.environment.root / DIRECTORY)

    @cached_property
    def _services(self) -> Processes:
        environment = self.environment
        project, shell = environment.get("COMPOSE_PROJECT_NAME"), environment.process_environment()
        return Processes(environment.root, project, shell, environment.apps)

    @cached_property
    def _here(self) -> commands.Native:
        return commands.Native(self.environment, self.render, self._services)

    def installed(self) -> bool:
        """Say that nothing is needed to ask it."""
        return True

    def reach(self) -> None:
        """Do nothing: it's here."""

    def check(self) -> None:
        """Refuse a machine that lacks what the services need."""
        tools.require()

    def running(self) -> bool:
        """Say whether any service of the project runs."""
        return self._services.running()

    def owners(self) -> str:
        """Return nobody: its state is in this checkout's own folder."""
        return ""

    def publisher(self, port: int) -> str | None:  # noqa: ARG002
        """Return nobody: whoever has a port is a process like any."""
        return None

    def containers(self) -> list[Container]:
        """Return every service that was started, as a container engine would show it."""
        return self._services.containers()

    def logs(self, container: Container, lines: int) -> str:
        """Return the last lines that a service wrote."""
        found = log_lines(self._services.supervised(container.service))
        return "\n".join(line.partition(" ")[2] for line in found[-lines:])

    def health_output(self, container: Container) -> str:
        """Return what the last health check said."""
        state = self._services.supervised(container.service).read("state.json")
        log = state.get("health_log") or []
        return str(log[-1]["output"]) if log else ""

    def command(self, *words: str) -> list[str]:
        """Return the call of this package that does the same."""
        return ["python", "-m", "gangway.engines.native", *self.environment.env_files, *words]

    def call(self, *words: str) -> int:
        """Do what `docker compose WORDS…` would; return its exit status."""
        return commands.run(self._here, words)

    def capture(self, *words: str) -> Completed:
        """Do it in a process of its own; return what that wrote."""
        return self.environment.runner.capture([sys.executable, *self.command(*words)[1:]])

    @contextmanager
    def start(self, words: Sequence[str], services: Sequence[str]) -> Iterator[NativeStart]:  # noqa: ARG002
        """Start services as they can be: one goes on when it is polled."""
        yield commands.begin(self._here, words)

    def building(self, services: Sequence[str], *, no_cache: bool) -> list[str]:  # noqa: ARG002
        """Return the call that installs the libraries, of all apps at once."""
        return ["build"]

    def outdated(self, services: Sequence[str]) -> str:  # noqa: ARG002
        """Return that the libraries must be installed, for people; empty where they are."""
        if tools.current(self.environment.root, self.environment.apps):
            return ""
        return "the apps' locked libraries aren't installed for native services, or have changed"

    def debugger(self, *, install: bool) -> Debugger:
        """Return how a debugger gets in: the program itself listens, on this machine alone."""
        root, shell = self.environment.root, self.environment.shell
        folder = tools.debugger(root, shell) if install else tools.debugger_folder(root)
        port = "${PUBLISHED_DEBUG_PORT:-5678}"
        return Debugger("127.0.0.1", port, str(folder), maps_paths=False)

    def processes(self, container: Container) -> Found:
        """Return what runs on this machine, as far as it is ours to read."""
        main = self._services.supervised(container.service).read("state.json").get("pid")
        lines = []
        for entry in Path("/proc").glob("[0-9]*"):
            # One may end while it is read.
            with suppress(OSError):
                lines.append(f"{(entry / 'stat').read_text().strip()} {(entry / 'exe').readlink()}")
        return Found(lines, main)

    def profiler(self, container: Container, pid: str, seconds: int) -> list[str]:  # noqa: ARG002
        """Return the call of our own py-spy."""
        spy = tools.debugger(self.environment.root, self.environment.shell) / "bin" / "py-spy"
        return py_spy(str(spy), pid, seconds, "/dev/stdout")

    def redis_client(self) -> list[str]:
        """Return this machine's own: Valkey's wheel has the server alone."""
        for name in ("redis-cli", "valkey-cli"):
            if shutil.which(name):
                return [name, "-h", "127.0.0.1", "-p", self.environment.get("REDIS_PORT")]
        raise CannotDo(
            "there is no redis-cli and no valkey-cli on this machine",
            fix="install one (Debian, Ubuntu: apt install redis-tools)",
        )

    def redis_script(self) -> list[str]:
        """Return the program that speaks to Redis without one."""
        return ["scripts/native/redis", "eval"]


def main(argv: Sequence[str]) -> int:
    """Run `python -m gangway.engines.native --env-file FILE … COMMAND` as a task prints it."""
    words, files = list(argv), []
    while words[:1] == ["--env-file"] and len(words) > 2:
        files.append(Path(words[1]))
        del words[:2]
    if not files:
        usage = "usage: python -m gangway.engines.native --env-file FILE … COMMAND"
        print(usage, file=sys.stderr)
        return 2
    layers = {file.parent.name: file.stem for file in files}
    stack, images = layers.get("stacks"), layers.get("images")
    try:
        found = load(Path.cwd(), files[0].stem, engine=NATIVE, stack=stack, images=images)
        return NativeEngine(found, cache(lambda: rendered(found))).call(*words)
    except GangwayError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
