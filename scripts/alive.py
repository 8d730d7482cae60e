"""Give Celery or RQ a heartbeat and an end: ``alive.py celery|rq COMMAND...`` runs it right here.

``$TMPDIR/heartbeat`` gets the time, in seconds since the epoch, every second for as long as the
program's own loop turns: a worker's, or the scheduler's that Celery calls beat. While the loop has
reason to stand still, as where the broker is away, the program counts as alive; a process that is
stopped never does. The app knows nothing of it.

After SIGTERM a worker takes nothing more, and what it does has GRACEFUL_SECONDS (8). What goes on
then goes back to its queue where the app lets it: Celery's ``acks_late``, RQ's ``Retry``. Of RQ's,
others are in the registry of failed jobs at once.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import launch

# A loop that has not turned for so many seconds hangs.
STUCK = float(os.environ.get("HEARTBEAT_SECONDS") or 10)
# The most seconds that a loop which is idle takes for a turn.
TURN = max(1, int(STUCK / 2))
# Seconds that a task has after SIGTERM.
GRACE = float(os.environ.get("GRACEFUL_SECONDS") or 8)


class Pulse:
    """The file, as young as the loop."""

    def __init__(self, name: str = "heartbeat") -> None:
        folder = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  # as healthcheck has it
        self._file = os.path.join(folder, name)
        # When the loop last turned; None where it needn't.
        self._turned: float | None = None
        self._beside: list[str] = []

    def turn(self) -> None:
        """The loop has turned, and will again."""
        self._turned = time.monotonic()

    def rest(self) -> None:
        """The loop needn't turn until it has turned once more."""
        self._turned = None

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """It needn't turn meanwhile; what fails is tried again, and needn't until that succeeds."""
        self.rest()
        yield
        self.turn()

    def beside(self, name: str) -> str:
        """Beat only while the file of this name does, which another process writes."""
        path = os.path.join(os.path.dirname(self._file), name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._beside.append(path)
        return name

    def start(self) -> None:
        """Beat from now on, by a thread that takes no locks which a fork could inherit."""
        threading.Thread(target=self._go_on, daemon=True, name="pulse").start()

    def _go_on(self) -> None:
        while True:
            # Where there is no room, the age tells.
            with contextlib.suppress(OSError):
                if self._alive():
                    self._write()
            time.sleep(1)

    def _write(self) -> None:
        new = f"{self._file}.new"
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(file, b"%d\n" % time.time())
        os.close(file)
        os.replace(new, self._file)

    def _alive(self) -> bool:
        turned = self._turned
        return (turned is None or time.monotonic() - turned < STUCK) and all(
            map(_young, self._beside)
        )


def _young(path: str) -> bool:
    with contextlib.suppress(OSError):
        return time.time() - os.stat(path).st_mtime < STUCK
    return False


def _wrap(owner: type, name: str, wrapper: Callable[[Any], Any]) -> None:
    """Put what ``wrapper`` makes of a method in its place, in the class that defines it."""
    owner = next(each for each in owner.__mro__ if name in vars(each))
    setattr(owner, name, wrapper(vars(owner)[name]))


def _later(action: Callable[[], object]) -> None:
    """Do it once what runs has had its time, if this process is still there."""
    timer = threading.Timer(GRACE, action)
    timer.daemon = True
    timer.start()


# -- Celery ---------------------------------------------------------------------------------------


def celery(pulse: Pulse, command: Sequence[str]) -> None:
    """Have Celery's worker and its beat turn the pulse."""
    package: Any = importlib.import_module("celery")
    # As celery's own first line: gevent must come before all that it patches.
    package.maybe_patch_concurrency(list(command))
    signals: Any = importlib.import_module("celery.signals")
    defaults: Any = importlib.import_module("celery.app.defaults")
    platforms: Any = importlib.import_module("celery.platforms")
    # It takes whoever has no name for root; a container's user has none.
    warnings.simplefilter("ignore", platforms.SecurityWarning)
    # The working directory is the app's code, and read-only. What is kept says when each entry ran
    # last: what falls between an end and a start is made up for, and nothing runs twice.
    defaults.DEFAULTS["beat_schedule_filename"] = _kept("celerybeat-schedule", command)
    defaults.DEFAULTS["beat_sync_every"] = 1
    ours = os.getpid()

    def worker(instance: Any, options: dict[str, Any], **_: object) -> None:
        instance.app.steps["consumer"].add(_step(pulse))
        if options.get("beat"):
            pulse.beside("heartbeat-beat")

    def worker_starts(**_: object) -> None:
        pulse.start()

    def task_starts(**_: object) -> None:
        # The pool named solo does its tasks in the loop; others' are elsewhere, and the loop turns.
        pulse.rest()

    def worker_stops(how: str, **_: object) -> None:
        # It would wait for ever; told so, it gives back what it has not acknowledged.
        if how == "Warm":
            _later(partial(os.kill, os.getpid(), signal.SIGQUIT))

    def beat(sender: Any, **_: object) -> None:
        # Inside a worker it is a process of its own.
        own = pulse if os.getpid() == ours else Pulse("heartbeat-beat")
        _turn_with(sender.scheduler, own)
        own.start()

    signals.celeryd_init.connect(worker, weak=False)
    signals.celeryd_after_setup.connect(worker_starts, weak=False)
    signals.worker_shutting_down.connect(worker_stops, weak=False)
    signals.task_prerun.connect(task_starts, weak=False)
    signals.beat_init.connect(beat, weak=False)


def _kept(name: str, command: Sequence[str]) -> str:
    """Return a file that outlives the container where /var/tmp is a volume, for this command."""
    path = os.path.join("/var/tmp", f"{name}-{zlib.crc32(repr(command).encode()):08x}")  # noqa: S108
    folder = os.environ.get("TMPDIR")
    if folder or not os.access("/var/tmp", os.W_OK):  # noqa: S108
        return os.path.join(folder or "/tmp", name)  # noqa: S108
    return path


def _step(pulse: Pulse) -> type:
    """Return what Celery runs in a worker's loop for as long as the broker answers."""
    bootsteps: Any = importlib.import_module("celery.bootsteps")

    class Turning(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.consumer.tasks:Tasks",)
        timer: Any = None

        def start(self, consumer: Any) -> None:
            pulse.turn()
            self.timer = consumer.timer.call_repeatedly(1.0, pulse.turn)

        def stop(self, consumer: Any) -> None:
            pulse.rest()
            if self.timer:
                self.timer.cancel()

        shutdown = terminate = stop

    return Turning


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Have a SIGTERM wait until the block has been done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[Any] = []
    before: Any = signal.signal(signal.SIGTERM, lambda *given: came.append(given))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if came and callable(before):
        before(*came[0])


def _turn_with(scheduler: Any, pulse: Pulse) -> None:
    """Have a scheduler turn the pulse, at least every TURN seconds."""
    tick, connect = scheduler.tick, scheduler._ensure_connected  # noqa: SLF001

    def ticking(*arguments: Any, **named: Any) -> Any:
        # Its connection to the broker, for which it waits.
        _ = scheduler.producer
        pulse.turn()
        # It would end between noting that a task was sent and sending it.
        with _undisturbed():
            seconds = tick(*arguments, **named)
        pulse.turn()
        return min(seconds, TURN) if seconds else seconds

    def connecting() -> Any:
        with pulse.resting():
            return connect()

    scheduler.tick, scheduler._ensure_connected = ticking, connecting  # noqa: SLF001


# -- RQ -------------------------------------------------------------------------------------------


def _connecting(pulse: Pulse, connect: Any) -> Any:
    """Let the loop stand still from the first connection to the broker that fails.

    It is tried again for seconds before the worker hears of it.
    """

    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return connect(self, *arguments, **named)
        except Exception:
            pulse.rest()
            raise

    return call


def _stopping(stop: Any) -> Any:
    """End the process that does a job: its worker sees that, and takes the job for failed."""

    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        _later(self.kill_horse)
        return stop(self, *arguments, **named)

    return call


def rq(pulse: Pulse, command: Sequence[str]) -> None:
    """Have RQ's worker turn the pulse."""
    module: Any = importlib.import_module("rq.worker")
    worker, simple = module.Worker, module.SimpleWorker

    def resting(method: Any) -> Any:
        def call(self: Any, *arguments: Any, **named: Any) -> Any:
            with pulse.resting():
                return method(self, *arguments, **named)

        return call

    def starting(work: Any) -> Any:
        def call(self: Any, *arguments: Any, **named: Any) -> Any:
            pulse.start()
            return work(self, *arguments, **named)

        return call

    def shortly(dequeue: Any) -> Any:
        def call(self: Any, timeout: float | None, *arguments: Any, **named: Any) -> Any:
            return dequeue(self, timeout and min(timeout, TURN), *arguments, **named)

        return call

    def watching(monitor: Any) -> Any:
        def call(self: Any, *arguments: Any, **named: Any) -> Any:
            self.job_monitoring_interval = min(self.job_monitoring_interval, TURN)
            return monitor(self, *arguments, **named)

        return call

    _wrap(worker, "work", starting)
    _wrap(worker, "request_stop", _stopping)
    _wrap(worker, "heartbeat", resting)
    _wrap(worker, "dequeue_job_and_maintain_ttl", shortly)
    _wrap(worker, "monitor_work_horse", watching)
    _wrap(
        importlib.import_module("redis.connection").Connection,
        "_connect",
        partial(_connecting, pulse),
    )
    # While workers are suspended it only asks whether they still are; a simple one works itself.
    _wrap(worker, "check_for_suspension", resting)
    _wrap(simple, "execute_job", resting)


# -- the command line -----------------------------------------------------------------------------

KINDS = {"celery": celery, "rq": rq}


def main() -> None:
    """Hook in, and become the command."""
    kind, *command = sys.argv[1:]
    launch.forget_ourselves()
    try:
        KINDS[kind](Pulse(), command)
    except (ImportError, AttributeError, StopIteration, LookupError) as error:
        print(f"alive: no heartbeat with this {kind}: {error!r}", file=sys.stderr, flush=True)
    launch.run(command)


if __name__ == "__main__":
    main()
