"""Running programs: argument lists in, exit statuses and text out. Nothing goes through a shell."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, NamedTuple

from gangway.base.errors import GangwayError


class _Held:
    """Takes SIGINT in place of Python's own handler, and remembers that it came."""

    came = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True


@contextlib.contextmanager
def interrupts_later() -> Iterator[None]:
    """Raise the KeyboardInterrupt of a Ctrl-C that comes in the block only at its end.

    Programs that the block runs are in groups of their own: the terminal tells all of ours.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    held = _Held()
    before = signal.signal(signal.SIGINT, held)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held.came:
        raise KeyboardInterrupt


def _group() -> int | None:
    """Return the group that a program is started in: one of its own while Ctrl-C is held."""
    return 0 if isinstance(signal.getsignal(signal.SIGINT), _Held) else None


class Ended(KeyboardInterrupt):
    """What SIGTERM or SIGHUP raises, so that it ends things as Ctrl-C does; `status` is its own."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


@contextlib.contextmanager
def told_to_end() -> Iterator[None]:
    """Raise Ended in the block for the first SIGTERM or SIGHUP, unless that is ignored.

    A further one is for what takes things down by then: `timeout` sends two.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    heard = {number for number, handler in before.items() if handler is not signal.SIG_IGN}

    def end(number: int, _frame: FrameType | None) -> None:
        for each in heard:
            # Not ignored: that is what programs would inherit.
            signal.signal(each, lambda *_: None)
        raise Ended(number)

    try:
        for number in heard:
            signal.signal(number, end)
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


class Completed(NamedTuple):
    """What a finished program left: its exit `status` and what it wrote."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


@dataclass
class Stream:
    """A program whose bytes go through `pipe`; `status` and what it `said` are there in the end."""

    pipe: IO[bytes]
    status: int = 0
    said: str = ""


@dataclass(frozen=True)
class Runner:
    """Runs programs in one working directory with one environment."""

    cwd: Path
    environment: Mapping[str, str]

    def capture(
        self,
        argv: Sequence[str],
        *,
        text: str = "",
        file: IO[bytes] | None = None,
        timeout: float | None = None,
    ) -> Completed:
        """Run `argv` to its end with `text` or a `file` as its input, keeping what it writes.

        `timeout` is in seconds. Raises GangwayError when the program is missing or runs out of
        time; a status other than 0 is the caller's to judge.
        """
        try:
            done = subprocess.run(
                argv,
                cwd=self.cwd,
                env=self._variables(),
                **({"stdin": file} if file else {"input": text}),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
                process_group=_group(),
            )
        except FileNotFoundError as error:
            raise missing(argv[0]) from error
        except subprocess.TimeoutExpired as error:
            message = f"no answer within {timeout:g} s: {shlex.join(argv)}"
            raise GangwayError(message) from error
        return Completed(tuple(argv), done.returncode, done.stdout, done.stderr)

    def pipe(self, argv: Sequence[str], data: bytes = b"") -> tuple[int, bytes, str]:
        """Run `argv` with `data` as its input; return its status, its output and its complaints.

        Raises GangwayError when the program is missing.
        """
        try:
            done = subprocess.run(
                argv, cwd=self.cwd, env=self._variables(), input=data, capture_output=True,
                check=False, process_group=_group(),
            )  # fmt: skip
        except FileNotFoundError as error:
            raise missing(argv[0]) from error
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")

    @contextlib.contextmanager
    def streaming(self, argv: Sequence[str], *, writing: bool) -> Iterator[Stream]:
        """Start `argv` for its bytes: write what it reads to the stream's pipe, or read from it.

        It has ended after the block, however it did; left by an error, it is killed. Raises
        GangwayError when the program is missing.
        """
        with tempfile.TemporaryFile() as complaints:
            try:
                program = subprocess.Popen(
                    argv, cwd=self.cwd, env=self._variables(), stderr=complaints,
                    stdin=subprocess.PIPE if writing else subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL if writing else subprocess.PIPE,
                    process_group=_group(),
                )  # fmt: skip
            except FileNotFoundError as error:
                raise missing(argv[0]) from error
            pipe = program.stdin if writing else program.stdout
            if pipe is None:
                raise AssertionError("a pipe was asked for")
            stream = Stream(pipe)
            try:
                with contextlib.suppress(BrokenPipeError):
                    yield stream
                    pipe.close()
            except BaseException:
                program.kill()
                raise
            finally:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
                stream.status = program.wait()
                complaints.seek(0)
                stream.said = complaints.read().decode(errors="replace")

    def _variables(self) -> dict[str, str]:
        # Compose takes the folder's name from PWD, and by a link's it would be another project's.
        return {**self.environment, "PWD": str(self.cwd)}

    def run(self, argv: Sequence[str]) -> int:
        """Run `argv` on this terminal and return its exit status.

        Ctrl-C reaches the program, which ends in its own way before KeyboardInterrupt goes on; so
        it does for a SIGTERM or SIGHUP to us, which goes on to it as a SIGTERM.
        """
        with self.start(argv) as program:
            try:
                return program.wait()
            except KeyboardInterrupt as interrupt:
                if isinstance(interrupt, Ended):
                    for pid in _workers(program.pid, argv[0]):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGTERM)
                program.wait()
                raise

    def stay(self, argv: Sequence[str], patience: float) -> int:
        """Run `argv`, which reads no input, until it ends or is interrupted; return its status.

        Interrupted, it has `patience` seconds to end before it's killed, with all it started.
        The end of the terminal counts as an interrupt: a group of its own doesn't hear of that.
        """
        program = None
        with ends_as_interrupts():
            try:
                # It may not be on its way unknown to us when Ctrl-C comes.
                with interrupts_later():
                    program = self.start(argv, stdin=subprocess.DEVNULL, own_group=True)
                return program.wait()
            except KeyboardInterrupt:
                if program:
                    _interrupt(program, patience)
                raise

    def start(
        self,
        argv: Sequence[str],
        *,
        stdout: int | None = None,
        stderr: int | None = None,
        stdin: int | None = None,
        own_group: bool = False,
    ) -> subprocess.Popen[str]:
        """Start `argv` without waiting; `own_group` keeps the terminal's Ctrl-C from it."""
        try:
            return subprocess.Popen(
                argv,
                cwd=self.cwd,
                env=self._variables(),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                text=True,
                errors="replace",
                process_group=0 if own_group else _group(),
            )
        except FileNotFoundError as error:
            raise missing(argv[0]) from error

    def stream(
        self, argv: Sequence[str], *, stdin: int | None = None, stdout: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start `argv` for bytes that don't fit into memory; what it complains of is a pipe.

        Raises GangwayError when the program is missing.
        """
        try:
            return subprocess.Popen(
                argv, cwd=self.cwd, env=self._variables(), stdin=stdin, stdout=stdout,
                stderr=subprocess.PIPE, process_group=_group(),
            )  # fmt: skip
        except FileNotFoundError as error:
            raise missing(argv[0]) from error


@contextlib.contextmanager
def ends_as_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt for the signals that end a process, too, unless they are ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(program: subprocess.Popen[str], patience: float) -> None:
    """Interrupt a program's group; kill what of it is left after `patience` seconds."""
    try:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(patience)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()


def _workers(pid: int, program: str) -> list[int]:
    """Return whom a program's signal is for: with `docker`, Compose, which it started.

    By itself `docker` tells it only to go, and Compose leaves there what it had begun.
    """
    if program != "docker":
        return [pid]
    # Any of its threads may have started it.
    tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
    if tasks:
        found = " ".join(task.read_text(encoding="utf-8") for task in tasks)
    else:
        listing = ["pgrep", "-P", str(pid)]
        found = subprocess.run(listing, capture_output=True, text=True, check=False).stdout
    return [int(child) for child in found.split()] or [pid]


def missing(program: str) -> GangwayError:
    """Return the error for a program that isn't there."""
    if program == "docker":
        return GangwayError(
            "no container engine: the program 'docker' is not on PATH",
            fix="install Docker Engine 25 or later with Compose "
            "(https://docs.docker.com/engine/install/; "
            "on Debian: sudo scripts/host/debian-engine.sh)",
        )
    return GangwayError(f"the program {program!r} is not on PATH", fix=f"install {program}")
