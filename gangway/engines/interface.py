"""What every engine can do: what the operations ask of it, whichever it is.

What one does at a prompt is asked for in `docker compose`'s words, such as `exec api ls`: so what
is printed is what is done, and a command that is pasted does what the task did.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import IO, Any, NamedTuple, Protocol

from gangway.base.errors import GangwayError
from gangway.base.process import Completed
from gangway.engines.container import Container
from gangway.engines.databases import Kept
from gangway.engines.releases import Production
from gangway.engines.start import Start
from gangway.model.model import Model
from gangway.settings.environment import Environment

# The flags that may stand before a call's first word, each with one word of its own.
_BEFORE = ("--profile", "--progress")


class CannotDo(GangwayError):
    """What this engine is no good for; the fix says what is."""


class Debugger(NamedTuple):
    """How a service opens a port to a debugger.

    It listens on `host` and `port` (which may be a reference to a variable) and finds the
    debugger's packages in the folder `path`. `maps_paths` where it sees the sources elsewhere than
    an editor does.
    """

    host: str
    port: str
    path: str
    maps_paths: bool


class Due(NamedTuple):
    """What the services run from and should be built: a service for each, and why, for people.

    `missing` was never built, `outdated` was made of something else than is there now.
    """

    missing: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    why: str = ""


class Inside(NamedTuple):
    """What runs where a service does: lines of `/proc/PID/stat`, each with its program behind.

    `main` is the service's first process, None where it is the first of all.
    """

    lines: Sequence[str]
    main: int | None = None


class Engine(Protocol):
    """What runs the services of one environment."""

    @property
    def environment(self) -> Environment:
        """The environment whose services it runs."""

    @property
    def name(self) -> str:
        """What `--engine` calls it."""

    @property
    def manner(self) -> str:
        """How services run here: `in containers`, `natively`."""

    @property
    def host(self) -> str:
        """The machine that it runs services on, as one reaches it; empty for this one."""

    @property
    def model(self) -> Model:
        """The merged model of the stack."""

    @property
    def production(self) -> Production:
        """What it can do with releases; raises CannotDo where that is nothing."""

    # ---- is it there, and who is?

    def reach(self) -> None:
        """Raise GangwayError where it doesn't answer: what needs an engine begins with this."""

    def check(self) -> None:
        """Raise GangwayError where it doesn't answer, is too old or lacks something."""

    def check_proxy(self) -> None:
        """Refuse to put a proxy in front of development where there is none to put."""

    def running(self) -> bool:
        """Say whether a service of the project runs here; False where nothing answers."""

    def owners(self) -> str:
        """Return which other checkouts have the project's name here, for people."""

    def publisher(self, port: int) -> str | None:
        """Return who of its own has a port of this machine; None for nobody, or unknown."""

    def containers(self) -> list[Container]:
        """Return everything of the project, what has ended too."""

    def has_others_files(self, volume: str, image: str, uid: str) -> bool:
        """Say whether a volume has files that aren't this user's; `image` is its service's."""

    def kept_databases(self, volume: str, service: Mapping[str, Any]) -> Kept | None:
        """Return what a volume holds for PostgreSQL; None where it isn't there, or can't be told.

        The image of the `service` that is to have it looks, and says what it is itself.
        """

    def beside(self, service: str, words: Sequence[str]) -> list[str]:
        """Return the plain command that runs `words` in a new container, apart from what runs.

        That is as the settings have the service now; its volume is made where it is missing. What
        the command is given to read, the words read. Raises CannotDo.
        """

    def declared_volumes(self, images: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the paths at which images say that they keep data; those that are here."""

    def logs(self, container: Container, lines: int) -> str:
        """Return the last lines that a container wrote."""

    def health_output(self, container: Container) -> str:
        """Return what a container's last health check said; empty where there was none."""

    # ---- calls, in Compose's words

    def command(self, *words: str) -> list[str]:
        """Return the plain command that does what `call` does."""

    def call(self, *words: str) -> int:
        """Do it on this terminal and return its exit status; raises CannotDo, or GangwayError."""

    def capture(self, *words: str, text: str = "", file: IO[bytes] | None = None) -> Completed:
        """Do it with `text` or a `file` as its input, and return what it wrote."""

    def start(self, words: Sequence[str], services: Sequence[str]) -> AbstractContextManager[Start]:
        """Do what starts `services` (all that are on for none named), to be watched in the block.

        An end of the block before that of the start gives up on it.
        """

    def building(self, services: Sequence[str], *, no_cache: bool) -> list[str]:
        """Return the call that builds what the services run from, or all for none named."""

    def due(self, services: Sequence[str]) -> Due:
        """Return which of that isn't there, or isn't up to date."""

    # ---- data of other checkouts

    def clone(self, source: Environment, service: str, script: str) -> Completed | None:
        """Give a data store that has nothing yet a copy of another checkout's.

        `script`, seen from the checkout, is called with both folders; PGUSER is their owner, and
        PGHOST and PGPORT say where the other server is, if it runs. None where this one has data,
        or that one hasn't.
        """

    def left_by(self, folder: str, project: str) -> list[str]:
        """Return what is here of a checkout whose folder is gone: for people, and `remove_left`."""

    def remove_left(self, left: Sequence[str]) -> None:
        """Remove what `left_by` has returned; raises GangwayError where that fails."""

    # ---- looking into a service

    def debugger(self, *, install: bool) -> Debugger:
        """Return how a debugger gets in; `install` puts it there where it is missing."""

    def inside(self, container: Container) -> Inside:
        """Return what runs where a running container does."""

    def profiler(self, container: Container, pid: str, seconds: int) -> list[str]:
        """Return the call of py-spy on one of those, which writes an SVG to standard output."""


def py_spy(program: str, pid: str, seconds: int, file: str) -> str:
    """Return the shell's words for py-spy's look at a process, by way of a file.

    The SVG goes to standard output, what py-spy says of it elsewhere.
    """
    words = [program, "record", "--pid", pid, "--subprocesses", "--duration", str(seconds)]
    record = shlex.join([*words, "--format", "flamegraph", "--output", file])
    return f"{record} >&2; cat {shlex.quote(file)}"


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the flags before a call's first word, and the words from that on."""
    rest = list(words)
    flags: list[str] = []
    while rest and rest[0] in _BEFORE:
        flags += rest[:2]
        del rest[:2]
    return flags, rest
