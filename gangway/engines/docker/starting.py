"""A start of containers: Compose at work, and the engine's events meanwhile."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from queue import Empty, Queue
from threading import Thread
from typing import IO, Final

from gangway.base.process import interrupts_later
from gangway.engines.container import Container
from gangway.engines.docker import failure, images
from gangway.engines.docker.client import Client
from gangway.engines.timeline import Event, Timeline, parse
from gangway.model.model import Model, replicas

_TICK: Final = 0.1
_SNAPSHOT_EVERY: Final = 2.0


class DockerStart:
    """One start under way; see `gangway.engines.interface.Start`."""

    def __init__(
        self,
        client: Client,
        model: Model,
        wanted: Sequence[str],
        *,
        scaled: bool,
        without: Collection[str] = (),
    ) -> None:
        """Prepare to follow these services; `scaled` where the model doesn't say how many.

        The containers `without` (ids) are others' business.
        """
        self.timeline = Timeline.of(model, wanted)
        self.fetching = False
        self._client = client
        self._services = model.services
        self._scaled = scaled
        self._without = frozenset(without)
        self._queue: Queue[Event | None] = Queue()
        self._said: deque[str] = deque(maxlen=400)
        self._ended = False
        self._looked = 0.0

    @contextlib.contextmanager
    def under_way(self, argv: Sequence[str]) -> Iterator[DockerStart]:
        """Run Compose beside the block, and let neither it nor the events outlive that."""
        runner = self._client.environment.runner
        # "since" lets no event slip between the start of Compose and the start of this.
        since = f"{time.time():.6f}"
        programs = []
        try:
            # Neither may be on its way unknown to us when Ctrl-C comes.
            with interrupts_later():
                self._compose = runner.start(
                    argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL, own_group=True,
                )  # fmt: skip
                programs.append(self._compose)
                events = runner.start(
                    ["docker", "events", "--since", since, "--format", "{{json .}}",
                     "--filter", "type=container", *self._client.ours],
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                    own_group=True,
                )  # fmt: skip
                programs.append(events)
                self._reader = _in_thread(self._read_compose, self._compose.stdout)
                _in_thread(self._read_events, events.stdout)
            yield self
        except KeyboardInterrupt:
            self._end_compose()
            raise
        finally:
            for program in reversed(programs):
                if program.poll() is None:
                    program.terminate()
                program.wait()

    def poll(self) -> bool:
        changed = self._take_in(_TICK)
        if self._compose.poll() is None:
            return changed
        if not self._ended:
            self._ended = True
            self._reader.join()
            self.fetching = False
            while not self._queue.empty():
                changed |= self._take_in(0)
            self._looked = time.monotonic()
            if self._compose.returncode or not self._all_seen():
                changed |= self._look()
            if self._compose.returncode and not self.timeline.failed():
                raise failure.compose_failed(self._client, self._said, self._compose.returncode)
        elif time.monotonic() - self._looked > _SNAPSHOT_EVERY:
            changed |= self._look()
        return changed

    def done(self) -> bool:
        return self._ended

    def containers(self) -> list[Container]:
        return [each for each in self._client.containers() if each.id not in self._without]

    def give_up(self, seconds: float = 0.0) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._compose.wait(timeout=seconds)
        self._end_compose()
        self._look()

    def _end_compose(self) -> None:
        if self._compose.poll() is None:
            self._compose.send_signal(signal.SIGINT)
            self._compose.wait()

    def _read_events(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            event = parse(line)
            if event and event.container not in self._without:
                self._queue.put(event)
        self._queue.put(None)

    def _read_compose(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            text = line.rstrip()
            self._said.append(text)
            # Compose builds the images that are missing.
            if text.startswith("#"):
                images.show_step(text)
            if text.startswith("#") or text.endswith(" Pulling"):
                self.fetching = True

    def _take_in(self, seconds: float) -> bool:
        try:
            event = self._queue.get(timeout=seconds)
        except Empty:
            return False
        if event is None:
            raise self._client.unreachable("the engine's event stream ended")
        changed = self.timeline.feed(event)
        if changed:
            self.fetching = False
        return changed

    def _all_seen(self) -> bool:
        """Say whether events have told of every container: the engine need not be asked then."""
        return not self._scaled and all(
            self.timeline.count(name) >= replicas(self._services[name])
            for name in self.timeline.services
        )

    def _look(self) -> bool:
        self._looked = time.monotonic()
        return self.timeline.settle(self.containers(), time.time())


def _in_thread(read: Callable[[IO[str] | None], None], stream: IO[str] | None) -> Thread:
    thread = Thread(target=read, args=(stream,), daemon=True)
    thread.start()
    return thread
