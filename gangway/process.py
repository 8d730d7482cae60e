"""Running programs: argument lists in, exit statuses and text out. Nothing goes through a shell."""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gangway.errors import GangwayError


@contextlib.contextmanager
def interrupts_later() -> Iterator[None]:
    """Raise the KeyboardInterrupt of a Ctrl-C that comes in the block only at its end."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


@dataclass(frozen=True)
class Completed:
    """What a finished program left: its exit `status` and what it wrote."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Runner:
    """Runs programs in one working directory with one environment."""

    cwd: Path
    environment: Mapping[str, str]

    def capture(self, argv: Sequence[str], *, timeout: float | None = None) -> Completed:
        """Run `argv` to its end with no input, keeping what it writes.

        `timeout` is in seconds. Raises GangwayError when the program is missing or runs out of
        time; a status other than 0 is the caller's to judge.
        """
        try:
            done = subprocess.run(
                argv,
                cwd=self.cwd,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError as error:
            raise missing(argv[0]) from error
        except subprocess.TimeoutExpired as error:
            message = f"no answer within {timeout:g} s: {shlex.join(argv)}"
            raise GangwayError(message) from error
        return Completed(tuple(argv), done.returncode, done.stdout, done.stderr)

    def run(self, argv: Sequence[str]) -> int:
        """Run `argv` on this terminal and return its exit status.

        Ctrl-C reaches the program, which ends in its own way before KeyboardInterrupt goes on.
        """
        with self.start(argv) as program:
            try:
                return program.wait()
            except KeyboardInterrupt:
                program.wait()
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
                env=dict(self.environment),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                text=True,
                errors="replace",
                process_group=0 if own_group else None,
            )
        except FileNotFoundError as error:
            raise missing(argv[0]) from error


def missing(program: str) -> GangwayError:
    """Return the error for a program that isn't there."""
    if program == "docker":
        return GangwayError(
            "no container engine: the program 'docker' is not on PATH",
            mend="install Docker Engine 25 or later with Compose "
            "(https://docs.docker.com/engine/install/; "
            "on Debian: sudo scripts/host/debian-engine.sh)",
        )
    return GangwayError(f"the program {program!r} is not on PATH", mend=f"install {program}")
