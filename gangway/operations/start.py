"""Bringing a stack up: checks first, then Compose, watched until every service is ready."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Thread
from typing import IO

from gangway.base import output
from gangway.base.process import interrupts_later
from gangway.engines.container import Container
from gangway.engines.timeline import Event, Timeline, View, parse
from gangway.operations import diagnosis, image_builds, preflight
from gangway.operations.patience import Patience
from gangway.operations.project import Project

_TICK = 0.1
_SNAPSHOT_EVERY = 2.0


@dataclass(frozen=True)
class Wish:
    """What `up` was asked for; `timeout` is in seconds, 0 for as long as something happens."""

    services: tuple[str, ...] = ()
    build: bool = False
    auto_ports: bool = False
    timeout: float = 0.0
    options: tuple[str, ...] = ()
    """More options for `docker compose up`, e.g. `--scale api=3`."""
    enough: tuple[str, ...] = ()
    """Where it is enough that these are ready: the others only have to have started."""


def up(project: Project, wish: Wish, *, task: str = "up") -> Project:
    """Start the services (all for none named) and return when all are ready.

    Returns the project with the checkout's own settings. Raises GangwayError, after
    showing the service's last log lines and health output, when one fails or `timeout` passes.
    """
    with project.changing(task):
        project = preflight.prepare(project, wish.services, auto_ports=wish.auto_ports)
        start(project, wish)
    return project


def start(project: Project, wish: Wish) -> None:
    """Do what `up` does once everything is checked; the caller holds the environment's lock."""
    services = project.model.services
    wanted = project.model.wanted(wish.services)
    if wish.build:
        image_builds.build(project, [name for name in wanted if "build" in services[name]])
    else:
        image_builds.refresh(project, wanted)
    watched(project, wish, "up", "--detach", *wish.options, *wish.services)


def alone(project: Project, service: str) -> tuple[str, ...]:
    """Return Compose's flag that leaves alone what a service needs, where all of that is ready."""
    if project.native or project.dry_run:
        return ()
    one_shots = project.model.one_shots()
    there = {
        found.service
        for found in project.engine.containers(project.compose_name)
        if (found.state == "running" and found.health in ("", "healthy"))
        or (found.state == "exited" and found.exit_code == 0 and found.service in one_shots)
    }
    needed = set(project.model.wanted([service])) - {service}
    return ("--no-deps",) if needed <= there else ()


def watched(project: Project, wish: Wish, *tail: str) -> None:
    """Run a `docker compose` call that starts containers, and watch until they are ready."""
    if not project.announce(project.command(*tail)):
        return
    if project.native:
        from gangway.operations.native import starting

        renew = tail[0] == "restart"
        # What the named ones depend on goes on running.
        wanted = (
            list(wish.services) if renew and wish.services else project.model.wanted(wish.services)
        )
        starting.up(project, wanted, timeout=wish.timeout, enough=wish.enough, renew=renew)
        return
    start = _Start(project, project.model.wanted(wish.services), wish)
    with start.under_way(project.command("--progress", "plain", *tail)) as compose:
        start.follow(compose)
        start.await_ready()


class _Start:
    """One start under way: Compose's process, the engine's events, and the view of both."""

    def __init__(self, project: Project, wanted: Sequence[str], wish: Wish) -> None:
        self._project = project
        self._engine = project.engine
        self._enough = wish.enough
        services = project.model.services
        one_shots = project.model.one_shots()
        self._timeline = Timeline(
            wanted,
            probed=[name for name in wanted if services[name].get("healthcheck")],
            one_shots=one_shots,
            began=time.time(),
        )
        self._view = View(self._timeline, sys.stderr, output.state_colours(sys.stderr))
        self._patience = Patience(
            project, self._timeline, self._view, wish.timeout, self._containers
        )
        self._queue: Queue[Event | None] = Queue()
        self._said: deque[str] = deque(maxlen=400)
        # Compose builds or pulls images.
        self._fetching = False
        # The model doesn't say how many there will be.
        self._scaled = "--scale" in wish.options

    @contextlib.contextmanager
    def under_way(self, argv: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        """Run Compose beside the block, and let neither it nor the events outlive that."""
        runner = self._project.runner
        label = f"label=com.docker.compose.project={self._project.compose_name}"
        # "since" lets no event slip between the start of Compose and the start of this.
        since = f"{time.time():.6f}"
        programs = []
        try:
            # Neither may be on its way unknown to us when Ctrl-C comes.
            with interrupts_later():
                compose = runner.start(
                    argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL, own_group=True,
                )  # fmt: skip
                programs.append(compose)
                events = runner.start(
                    ["docker", "events", "--since", since,
                     "--filter", "type=container", "--filter", label, "--format", "{{json .}}"],
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                    own_group=True,
                )  # fmt: skip
                programs.append(events)
                self._compose_reader = self._in_thread(self._read_compose, compose.stdout)
                self._in_thread(self._read_events, events.stdout)
            yield compose
        except KeyboardInterrupt:
            self._interrupted(compose)
            raise
        finally:
            for program in reversed(programs):
                if program.poll() is None:
                    program.terminate()
                program.wait()

    @staticmethod
    def _in_thread(read: Callable[[IO[str] | None], None], stream: IO[str] | None) -> Thread:
        thread = Thread(target=read, args=(stream,), daemon=True)
        thread.start()
        return thread

    def _read_events(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            event = parse(line)
            if event:
                self._queue.put(event)
        self._queue.put(None)

    def _read_compose(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            text = line.rstrip()
            self._said.append(text)
            # Compose builds the images that are missing.
            if text.startswith("#"):
                image_builds.show_step(text)
            if text.startswith("#") or text.endswith(" Pulling"):
                self._fetching = True

    def _pending(self) -> bool:
        """Say whether there is a service to wait for that isn't ready."""
        pending = self._timeline.pending()
        return bool(set(self._enough).intersection(pending) if self._enough else pending)

    def follow(self, compose: subprocess.Popen[str]) -> None:
        """Follow events until Compose ends; raises GangwayError when a service fails, or it."""
        while compose.poll() is None:
            self._drain(_TICK)
            if self._timeline.failed():
                # Compose ends by itself when a dependency fails; other services it goes on with.
                self._give_up_on(compose)
                break
            self._check_patience(compose)
        self._compose_reader.join()
        if compose.returncode != 0:
            self._settle()
            self._fail(compose.returncode)

    def _give_up_on(self, compose: subprocess.Popen[str]) -> None:
        try:
            compose.wait(timeout=5)
        except subprocess.TimeoutExpired:
            compose.send_signal(signal.SIGINT)
            compose.wait()
        self._settle()
        if self._timeline.failed():
            self._fail(compose.returncode)

    def await_ready(self) -> None:
        """After Compose has started everything, wait for the last health checks."""
        if not self._all_seen():
            self._settle()
        snapshot = time.monotonic()
        while self._pending() and not self._timeline.failed():
            self._drain(_TICK)
            self._check_patience(None)
            if time.monotonic() - snapshot > _SNAPSHOT_EVERY:
                self._settle()
                snapshot = time.monotonic()
        self._view.update()
        if self._timeline.failed():
            self._settle()
            self._fail(0)

    def _all_seen(self) -> bool:
        """Say whether events have told of every container: the engine need not be asked then."""
        if self._scaled:
            return False
        while not self._queue.empty():
            self._drain(0)
        return all(
            self._timeline.count(name) >= int((service.get("deploy") or {}).get("replicas") or 1)
            for name, service in self._project.model.services.items()
            if name in self._timeline.services
        )

    def _drain(self, seconds: float) -> None:
        try:
            event = self._queue.get(timeout=seconds)
        except Empty:
            return
        if event is None:
            raise self._engine.unreachable("the engine's event stream ended")
        if self._timeline.feed(event):
            self._fetching = False
            self._patience.renew()
            self._view.update()

    def _containers(self) -> list[Container]:
        return self._engine.containers(self._project.compose_name)

    def _settle(self) -> None:
        self._timeline.settle(self._containers(), time.time())
        self._view.update()

    def _check_patience(self, compose: subprocess.Popen[str] | None) -> None:
        if self._fetching and compose:
            self._patience.restart()
        if not self._patience.is_over():
            return
        if compose:
            compose.send_signal(signal.SIGINT)
            compose.wait()
        self._settle()
        raise self._patience.error()

    def _fail(self, status: int) -> None:
        if failed := self._timeline.failed():
            raise diagnosis.did_not_start(self._project, failed)
        raise diagnosis.compose_failed(self._project, list(self._said), status)

    def _interrupted(self, compose: subprocess.Popen[str]) -> None:
        if compose.poll() is None:
            compose.send_signal(signal.SIGINT)
            compose.wait()
        diagnosis.interrupted(self._project)
