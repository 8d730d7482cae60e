"""Processes that a test starts, looks at and ends."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


def eventually(look: Callable[[], Value], what: str, seconds: float = 20) -> Value:
    """Return the first true value that ``look`` returns, within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := look()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.01)
    return value


@dataclass(frozen=True)
class Running:
    """A process whose output, both streams, goes to a file."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def log(self) -> str:
        """What it has said until now."""
        return self.output.read_text(errors="replace")

    def says(self, text: str, seconds: float = 20) -> None:
        """Return once ``text`` is in its output."""
        try:
            eventually(lambda: text in self.log or self._ended(text), repr(text), seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it said: {self.log}") from None

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ends(self, seconds: float = 20) -> int:
        """Return its exit status, within ``seconds``."""
        return self.process.wait(seconds)

    def _ended(self, text: str) -> bool:
        ended = self.process.poll() is not None and text not in self.log
        assert not ended, f"it ended before it said {text!r}"
        return False


@contextmanager
def running(
    command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None
) -> Iterator[Running]:
    """Yield ``command`` as a process of its own group, and leave nothing of it behind."""
    with tempfile.NamedTemporaryFile(prefix="gangway-test-") as output:
        process = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield Running(process, Path(output.name))
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
